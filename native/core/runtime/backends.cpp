#include "runtime/backends.h"

#include <ggml-backend-impl.h>

#include <filesystem>
#include <mutex>
#include <set>

#include "device/streaming_device.h"
#include "platform/os.h"
#include "runtime/engine_error.h"
#include "runtime/log.h"

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

// The backend in a library, null with the reason in `error` when its driver or hardware is not on this machine.
//
// In place of ggml_backend_load, which takes a path in the code page of Windows: for it there is nothing in the folder of
// a user whose name has other letters.
ggml_backend_reg_t open_backend(const std::string& path, std::string& error) {
    std::unique_ptr<os::DynamicLibrary> library = os::open_library(path, error);
    if (!library) return nullptr;
    const auto init = reinterpret_cast<ggml_backend_init_t>(library->symbol("ggml_backend_init"));
    const ggml_backend_reg_t backend = init ? init() : nullptr;
    if (!backend || backend->api_version != GGML_BACKEND_API_VERSION) {
        error = backend ? "made for another version of ggml" : "it found nothing to compute with";
        return nullptr;
    }
    // Threads may compute with it until the process ends, so it is never closed.
    static auto& kept = *new std::vector<std::unique_ptr<os::DynamicLibrary>>;
    kept.push_back(std::move(library));
    return backend;
}

struct BackendFiles {
    std::string best_cpu;
    std::vector<std::string> others;
};

BackendFiles find_backends(const std::string& directory) {
    BackendFiles files;
    int best = 0;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(fs::path(std::u8string(directory.begin(), directory.end())), failure)) {
        const std::string name = backend_name(utf8(entry.path().filename()));
        if (name.empty()) continue;
        const std::string path = utf8(entry.path());
        if (!is_cpu(name)) {
            files.others.push_back(path);
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

}  // namespace

void load_backends(const std::string& directory, bool cpu_only) {
    static std::mutex mutex;
    static std::set<std::string> loaded;
    std::lock_guard lock(mutex);
    const BackendFiles files = find_backends(directory);
    const auto load = [&](const std::string& path) {
        if (loaded.contains(path)) return true;
        std::string error;
        const ggml_backend_reg_t backend = open_backend(path, error);
        if (backend) {
            ggml_backend_register(backend);
            loaded.insert(path);
        } else {
            log(LogLevel::Info, "left out, its driver or hardware is not on this machine: " + path + " (" + error + ")");
        }
        return backend != nullptr;
    };
    if (!ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) && (files.best_cpu.empty() || !load(files.best_cpu))) {
        throw EngineError(ErrorCode::BackendUnavailable,
                          "Expected a CPU backend that fits this processor in " + directory +
                              ", but found none. Reinstall the extension for this platform.");
    }
    if (cpu_only) return;
    for (const std::string& path : files.others) load(path);
}

std::vector<Device> list_devices() {
    std::vector<Device> devices;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        const ggml_backend_dev_t handle = ggml_backend_dev_get(i);
        if (ggml_backend_dev_type(handle) == GGML_BACKEND_DEVICE_TYPE_ACCEL || StreamingDevice::of(handle)) continue;
        Device device;
        device.handle = handle;
        device.name = ggml_backend_dev_name(handle);
        device.description = ggml_backend_dev_description(handle);
        device.kind = kind_of(handle);
        if (device.kind == DeviceKind::Cpu) {
            const os::Memory memory = os::memory();
            device.memory_total = memory.total;
            device.memory_free = memory.available;
            devices.insert(devices.begin(), device);
        } else {
            size_t free = 0;
            size_t total = 0;
            ggml_backend_dev_memory(handle, &free, &total);
            device.memory_free = free;
            device.memory_total = total;
            devices.push_back(device);
        }
    }
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
