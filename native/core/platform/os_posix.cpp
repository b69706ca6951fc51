#include "platform/os.h"
#include "platform/pipe_access.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#if defined(__APPLE__)
#include <IOKit/ps/IOPowerSources.h>
#include <mach/mach.h>
#include <sys/sysctl.h>
#else
#include <sched.h>
#endif

namespace nmos::os {

namespace {

class PosixLibrary final : public DynamicLibrary {
  public:
    explicit PosixLibrary(void* handle) : handle_(handle) {}
    ~PosixLibrary() override { dlclose(handle_); }
    PosixLibrary(const PosixLibrary&) = delete;
    PosixLibrary& operator=(const PosixLibrary&) = delete;

    void* symbol(const char* name) const override { return dlsym(handle_, name); }

  private:
    void* handle_;
};

#if defined(__APPLE__)

template <typename T> T sysctl_value(const char* name) {
    T value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

#else

// The number in a one-line file, or `missing` ("max" in a cgroup file counts as missing).
uint64_t number_in(const std::string& path, uint64_t missing) {
    std::ifstream file(path);
    uint64_t value = 0;
    return file >> value ? value : missing;
}

// The value of `key` in /proc/meminfo or /proc/self/status, in bytes.
uint64_t kilobytes_of(const char* path, const std::string& key) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(key)) continue;
        std::istringstream words(line.substr(key.size()));
        uint64_t kilobytes = 0;
        words >> kilobytes;
        return kilobytes * 1024;
    }
    return 0;
}

// The limit of the container, when there is one smaller than the machine (cgroup v2).
void apply_cgroup_limit(Memory& memory) {
    const uint64_t limit = number_in("/sys/fs/cgroup/memory.max", UINT64_MAX);
    if (limit >= memory.total) return;
    const uint64_t used = number_in("/sys/fs/cgroup/memory.current", 0);
    std::ifstream stat("/sys/fs/cgroup/memory.stat");
    uint64_t reclaimable = 0;
    for (std::string key; stat >> key;) {
        uint64_t value = 0;
        stat >> value;
        if (key == "inactive_file" || key == "active_file") reclaimable += value;
    }
    memory.total = limit;
    const uint64_t occupied = used - std::min(used, reclaimable);
    memory.available = std::min(memory.available, limit - std::min(limit, occupied));
}

// The first word of a file.
std::string word_in(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string word;
    file >> word;
    return word;
}

// A battery of the machine, not one of a mouse or a headset.
bool is_system_battery(const std::filesystem::path& supply) {
    return word_in(supply / "type") == "Battery" && word_in(supply / "scope") != "Device";
}

#endif

}  // namespace

std::string keep_pipe_to_user(const std::string&, std::string& error) {
    error = "named pipes are of Windows only";
    return "";
}

std::optional<VideoMemory> video_memory(const std::string&) {
    return std::nullopt;
}

std::string driver_version(const std::string& description) {
#if !defined(__APPLE__)
    if (description.find("NVIDIA") != std::string::npos) return word_in("/sys/module/nvidia/version");
#endif
    (void)description;
    return "";
}

bool saves_energy() {
#if defined(__APPLE__)
    const CFTypeRef sources = IOPSCopyPowerSourcesInfo();
    if (!sources) return false;
    const CFStringRef providing = IOPSGetProvidingPowerSourceType(sources);
    const bool on_battery = providing && CFStringCompare(providing, CFSTR("Battery Power"), 0) == kCFCompareEqualTo;
    CFRelease(sources);
    return on_battery;
#else
    if (word_in("/sys/firmware/acpi/platform_profile") == "low-power") return true;
    std::error_code error;
    std::filesystem::directory_iterator supply("/sys/class/power_supply", error);
    // A supply may go while they are looked at.
    for (; supply != std::filesystem::directory_iterator(); supply.increment(error)) {
        if (is_system_battery(supply->path()) && word_in(supply->path() / "status") == "Discharging") return true;
        if (error) break;
    }
    return false;
#endif
}

namespace {

// Of this process, in seconds.
double own_processor_seconds() {
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

ProcessorTimes processor_times() {
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    double all = 0;
    double idle = 0;
#if defined(__APPLE__)
    host_cpu_load_info_data_t load{};
    mach_msg_type_number_t size = HOST_CPU_LOAD_INFO_COUNT;
    if (host_statistics(mach_host_self(), HOST_CPU_LOAD_INFO, reinterpret_cast<host_info_t>(&load), &size) != KERN_SUCCESS) return {};
    for (const natural_t state : load.cpu_ticks) all += state;
    idle = load.cpu_ticks[CPU_STATE_IDLE];
#else
    // "cpu", then the ticks of user, nice, system, idle, iowait, irq, softirq and steal; what follows is part of the first two.
    std::ifstream file("/proc/stat");
    std::string name;
    if (!(file >> name) || name != "cpu") return {};
    constexpr int states = 8;
    constexpr int first_idle = 3;
    constexpr int last_idle = 4;
    for (int state = 0; state < states; ++state) {
        double value = 0;
        if (!(file >> value)) return {};
        all += value;
        if (state >= first_idle && state <= last_idle) idle += value;
    }
#endif
    return {all / ticks, (all - idle) / ticks - own_processor_seconds(), static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN))};
}

Memory memory() {
    Memory memory;
#if defined(__APPLE__)
    memory.total = sysctl_value<uint64_t>("hw.memsize");
    vm_statistics64_data_t stats;
    mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&stats), &count) ==
        KERN_SUCCESS) {
        const uint64_t pages = uint64_t{stats.free_count} + stats.inactive_count + stats.purgeable_count;
        memory.available = pages * static_cast<uint64_t>(vm_kernel_page_size);
    }
    mach_task_basic_info_data_t task;
    mach_msg_type_number_t task_count = MACH_TASK_BASIC_INFO_COUNT;
    if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, reinterpret_cast<task_info_t>(&task), &task_count) ==
        KERN_SUCCESS) {
        memory.process = task.resident_size;
    }
#else
    memory.total = kilobytes_of("/proc/meminfo", "MemTotal:");
    memory.available = kilobytes_of("/proc/meminfo", "MemAvailable:");
    memory.process = kilobytes_of("/proc/self/status", "VmRSS:");
    apply_cgroup_limit(memory);
#endif
    return memory;
}

unsigned physical_cores() {
#if defined(__APPLE__)
    // Efficiency cores slow every pass down to their speed, so only the fast ones count where there are both.
    const int fast = sysctl_value<int>("hw.perflevel0.physicalcpu");
    const int all = sysctl_value<int>("hw.physicalcpu");
    return static_cast<unsigned>(std::max(1, fast > 0 ? fast : all));
#else
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return std::max(1u, std::thread::hardware_concurrency());
    std::set<std::pair<uint64_t, uint64_t>> cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
        const auto own = static_cast<uint64_t>(cpu);
        cores.emplace(number_in(topology + "physical_package_id", 0), number_in(topology + "core_id", own));
    }
    return std::max(1u, static_cast<unsigned>(cores.size()));
#endif
}

std::optional<uint64_t> file_size(const std::string& path, std::string& error) {
    std::error_code failure;
    const uint64_t size = std::filesystem::file_size(path, failure);
    if (!failure) return size;
    error = failure.message();
    return std::nullopt;
}

std::vector<std::string> files_in(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code failure;
    std::filesystem::directory_iterator entry(directory, failure);
    for (; !failure && entry != std::filesystem::directory_iterator(); entry.increment(failure)) {
        std::error_code unknown;
        if (!entry->is_directory(unknown)) names.push_back(entry->path().filename().string());
    }
    return names;
}

std::string openable(const std::string& path) {
    return path;
}

namespace {

uintptr_t page_bytes() {
    return static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
}

// False where the range is not all mapped.
bool will_need(const void* memory, size_t bytes) {
    const auto address = reinterpret_cast<uintptr_t>(memory);
    const uintptr_t begin = address / page_bytes() * page_bytes();
    return madvise(reinterpret_cast<void*>(begin), address + bytes - begin, MADV_WILLNEED) == 0 || errno != ENOMEM;
}

}  // namespace

void read_ahead(const void* memory, size_t bytes) {
    if (bytes > 0) will_need(memory, bytes);
}

void page_in(const void* memory, size_t bytes) {
    if (bytes == 0 || !will_need(memory, bytes)) return;
    const auto* const begin = static_cast<const volatile char*>(memory);
    const size_t page = page_bytes();
    for (size_t at = 0; at < bytes; at += page) static_cast<void>(begin[at]);
    static_cast<void>(begin[bytes - 1]);
}

uint64_t process_id() {
    return static_cast<uint64_t>(getpid());
}

void name_this_thread(const char* name) {
#if defined(__APPLE__)
    pthread_setname_np(name);
#else
    pthread_setname_np(pthread_self(), name);
#endif
}

std::unique_ptr<DynamicLibrary> open_library(const std::string& path, std::string& error) {
    if (void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return std::make_unique<PosixLibrary>(handle);
    const char* reason = dlerror();
    error = reason ? reason : "unknown reason";
    return nullptr;
}

void search_own_folders_only() {}

}  // namespace nmos::os
