#include "runtime/backends.h"

#include <ggml-backend-impl.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>

#include "device/streaming_device.h"
#include "platform/os.h"
#include "runtime/engine_error.h"
#include "runtime/log.h"
#include "runtime/same_card.h"

namespace nmos {

namespace fs = std::filesystem;

namespace {

#if defined(_WIN32)
constexpr std::string_view file_prefix = "ggml-";
constexpr std::string_view file_suffix = ".dll";
#else
constexpr std::string_view file_prefix = "libggml-";
constexpr std::string_view file_suffix = ".so";  // Also on macOS, where only what is linked is a .dylib.
#endif

std::string utf8(const fs::path& path) {
    const std::u8string text = path.u8string();
    return {text.begin(), text.end()};
}

// "vulkan" for "libggml-vulkan.so"; empty when the file is no backend.
std::string backend_name(const std::string& file) {
    if (!file.starts_with(file_prefix) || !file.ends_with(file_suffix)) return "";
    const std::string name = file.substr(file_prefix.size(), file.size() - file_prefix.size() - file_suffix.size());
    return name == "base" ? "" : name;
}

bool is_cpu(const std::string& name) {
    return name == "cpu" || name.starts_with("cpu-");
}

// How well a CPU variant suits this processor; 0 when the processor lacks what it needs.
int score_of(const std::string& path) {
    std::string error;
    const auto library = os::open_library(path, error);
    if (!library) {
        log(LogLevel::Debug, path + ": " + error);
        return 0;
    }
    const auto score = reinterpret_cast<int (*)()>(library->symbol("ggml_backend_score"));
    return score ? score() : 1;
}

// Never closed: threads may compute with it until the process ends, and libraries of drivers are not made to be unloaded.
os::DynamicLibrary* open_for_good(const std::string& path, std::string& error) {
    static auto& kept = *new std::vector<std::unique_ptr<os::DynamicLibrary>>;
    std::unique_ptr<os::DynamicLibrary> library = os::open_library(path, error);
    if (!library) return nullptr;
    kept.push_back(std::move(library));
    return kept.back().get();
}

// The backend in a library, null with the reason in `error` when its driver or hardware is not on this machine.
//
// In place of ggml_backend_load, which takes a path in the code page of Windows: for it there is nothing in the folder of
// a user whose name has other letters.
ggml_backend_reg_t open_backend(const std::string& path, std::string& error) {
    const os::DynamicLibrary* const library = open_for_good(path, error);
    if (!library) return nullptr;
    const auto init = reinterpret_cast<ggml_backend_init_t>(library->symbol("ggml_backend_init"));
    if (!init) {
        error = "it is no backend of this engine";
        return nullptr;
    }
    const ggml_backend_reg_t backend = init();
    if (backend && backend->api_version == GGML_BACKEND_API_VERSION) return backend;
    error = backend ? "made for another version of ggml" : "it found nothing to compute with";
    return nullptr;
}

struct BackendFiles {
    std::string best_cpu;
    std::map<std::string, std::string> others;  // paths by name
};

BackendFiles find_backends(const std::string& directory) {
    BackendFiles files;
    int best = 0;
    const fs::path folder(std::u8string(directory.begin(), directory.end()));
    for (const std::string& file : os::files_in(directory)) {
        const std::string name = backend_name(file);
        if (name.empty()) continue;
        const std::string path = utf8(folder / std::u8string(file.begin(), file.end()));
        if (!is_cpu(name)) {
            files.others[name] = path;
        } else if (const int score = score_of(path); score > best) {
            best = score;
            files.best_cpu = path;
        }
    }
    return files;
}

DeviceKind kind_of(ggml_backend_dev_t device) {
    switch (ggml_backend_dev_type(device)) {
        case GGML_BACKEND_DEVICE_TYPE_GPU: return DeviceKind::Gpu;
        case GGML_BACKEND_DEVICE_TYPE_IGPU: return DeviceKind::Integrated;
        default: return DeviceKind::Cpu;
    }
}

CardIdentity identity_of(const Device& device) {
    ggml_backend_dev_props props{};
    ggml_backend_dev_get_props(device.handle, &props);
    const std::string backend = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device.handle));
    return {backend, props.device_id ? props.device_id : "", device.description, device.kind != DeviceKind::Cpu};
}

void read_memory(Device& device) {
    if (device.kind == DeviceKind::Cpu) {
        const os::Memory memory = os::memory();
        device.memory_total = memory.total;
        device.memory_free = memory.available;
        return;
    }
    size_t free = 0;
    size_t total = 0;
    ggml_backend_dev_memory(device.handle, &free, &total);
    device.memory_free = free;
    // The driver tells what the card has free, not what the system lets this process have of it.
    if (const auto granted = device.kind == DeviceKind::Gpu ? os::video_memory(device.description) : std::nullopt) {
        device.memory_free = std::min<uint64_t>(free, granted->free());
        device.memory_beyond = granted->beyond();
    }
    device.memory_total = total;
}

// What was loaded or tried in this process.
struct Backends {
    std::mutex mutex;
    std::map<std::string, BackendState> by_path;
    std::vector<std::string> order;  // of trying, paths of cards' backends
};

Backends& backends() {
    static Backends& instance = *new Backends;  // threads of the libraries may outlive statics
    return instance;
}

// The libraries of a pack are looked for nowhere but where it says: each is loaded by its path, and the backend then finds
// it among what is loaded. Its own folder counts as well, for what those load later.
BackendState load_card_backend(const BackendPack& pack) {
    BackendState state;
    state.name = backend_name(utf8(fs::path(std::u8string(pack.backend.begin(), pack.backend.end())).filename()));
    for (const std::string& library : pack.libraries) {
        if (!open_for_good(library, state.reason)) return state;
    }
    state.reason.clear();
    const ErrorCapture errors;
    std::string error;
    const ggml_backend_reg_t backend = open_backend(pack.backend, error);
    state.usable = backend && ggml_backend_reg_dev_count(backend) > 0;
    if (!state.usable) state.reason = !errors.text().empty() ? errors.text() : backend ? "it finds no card it can use" : error;
    if (state.usable) ggml_backend_register(backend);
    return state;
}

}  // namespace

void load_backends(const std::string& directory, bool cpu_only, const std::vector<BackendPack>& packs, const std::vector<std::string>& left_out) {
    Backends& known = backends();
    std::lock_guard lock(known.mutex);
    const BackendFiles files = find_backends(directory);
    std::string error;
    const auto load_cpu = [&] {
        const ggml_backend_reg_t cpu = files.best_cpu.empty() ? nullptr : open_backend(files.best_cpu, error);
        if (cpu) ggml_backend_register(cpu);
        return cpu != nullptr;
    };
    if (!ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) && !load_cpu()) {
        throw EngineError(ErrorCode::BackendUnavailable,
                          "Expected a CPU backend that fits this processor in " + directory +
                              ", but found none. Reinstall the extension for this platform.");
    }
    if (cpu_only) return;
    const auto load = [&](const BackendPack& pack) {
        if (known.by_path.contains(pack.backend)) return;
        const BackendState state = load_card_backend(pack);
        if (!state.usable) log(LogLevel::Info, "left out: " + pack.backend + ": " + state.reason);
        known.by_path[pack.backend] = state;
        known.order.push_back(pack.backend);
    };
    std::ranges::for_each(packs, load);
    for (const auto& [name, path] : files.others) {
        if (std::ranges::find(left_out, name) == left_out.end()) load({path, {}});
    }
}

std::vector<BackendState> backend_states() {
    Backends& known = backends();
    std::lock_guard lock(known.mutex);
    std::vector<BackendState> states;
    for (const std::string& path : known.order) states.push_back(known.by_path[path]);
    return states;
}

std::vector<Device> list_devices() {
    std::vector<Device> devices;
    std::vector<CardIdentity> cards;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        const ggml_backend_dev_t handle = ggml_backend_dev_get(i);
        if (ggml_backend_dev_type(handle) == GGML_BACKEND_DEVICE_TYPE_ACCEL || StreamingDevice::of(handle)) continue;
        Device device;
        device.handle = handle;
        device.name = ggml_backend_dev_name(handle);
        device.description = ggml_backend_dev_description(handle);
        device.kind = kind_of(handle);
        devices.push_back(device);
        cards.push_back(identity_of(device));
    }
    const std::vector<bool> repeated = repeated_cards(cards);
    size_t index = 0;
    std::erase_if(devices, [&](const Device&) { return repeated[index++]; });
    // Only now: a driver that is asked for the memory of a card takes some of it.
    for (Device& device : devices) read_memory(device);
    std::ranges::stable_partition(devices, [](const Device& device) { return device.kind == DeviceKind::Cpu; });
    return devices;
}

CpuFunctions cpu_functions() {
    const ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!cpu) throw EngineError(ErrorCode::BackendUnavailable, "Expected a loaded CPU backend; load the backends first.");
    const ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(cpu);
    const auto find = [&](const char* name) {
        void* function = ggml_backend_reg_get_proc_address(reg, name);
        if (!function) throw EngineError(ErrorCode::BackendUnavailable, std::string("The CPU backend lacks ") + name);
        return function;
    };
    return {reinterpret_cast<decltype(&ggml_threadpool_new)>(find("ggml_threadpool_new")),
            reinterpret_cast<decltype(&ggml_threadpool_free)>(find("ggml_threadpool_free")),
            reinterpret_cast<decltype(&ggml_backend_cpu_set_n_threads)>(find("ggml_backend_set_n_threads")),
            reinterpret_cast<decltype(&ggml_backend_cpu_set_threadpool)>(find("ggml_backend_cpu_set_threadpool")),
            reinterpret_cast<decltype(&ggml_backend_cpu_set_abort_callback)>(find("ggml_backend_set_abort_callback"))};
}

}  // namespace nmos
