// The compute backends of ggml: found in a folder, loaded by path at run time, listed as devices.
//
// Backends are process-wide and stay loaded; loading the same folder twice does nothing. Any thread may call.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpu.h>

#include <cstdint>
#include <string>
#include <vector>

namespace nmos {

enum class DeviceKind { Cpu, Gpu, Integrated };

struct Device {
    std::string name;         // ggml's, such as "CPU", "Vulkan0", "CUDA0"
    std::string description;  // such as "NVIDIA GeForce GTX 1650"
    DeviceKind kind = DeviceKind::Cpu;
    uint64_t memory_total = 0;  // bytes; of RAM for the processor
    uint64_t memory_free = 0;   // bytes at the time of the call
    ggml_backend_dev_t handle = nullptr;
};

// Loads from `directory` (absolute, UTF-8) the variant of the CPU backend that suits this processor best and, unless
// `cpu_only`, every other backend whose driver is on the machine. A card's backend that cannot be loaded is logged
// and left out. Throws BACKEND_UNAVAILABLE when there is no CPU backend.
void load_backends(const std::string& directory, bool cpu_only);

// Devices of the loaded backends, the processor first. Reads free memory anew.
std::vector<Device> list_devices();

// Functions of the CPU backend, which is loaded at run time and so cannot be linked.
struct CpuFunctions {
    decltype(&ggml_threadpool_new) threadpool_new;
    decltype(&ggml_threadpool_free) threadpool_free;
    decltype(&ggml_backend_cpu_set_n_threads) set_threads;
    decltype(&ggml_backend_cpu_set_threadpool) set_threadpool;
    decltype(&ggml_backend_cpu_set_abort_callback) set_abort_callback;
};
CpuFunctions cpu_functions();

}  // namespace nmos
