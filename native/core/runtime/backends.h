// The compute backends of ggml: found in a folder or named by an engine pack, loaded by path at run time, listed as devices.
//
// Backends are process-wide and stay loaded; loading the same file twice does nothing. Any thread may call.
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
    uint64_t memory_beyond = 0; // bytes that this process has of it beyond what the system grants, which are moved to RAM
    ggml_backend_dev_t handle = nullptr;
};

// A backend that does not lie beside the others, with the libraries it needs. Absolute paths, UTF-8.
struct BackendPack {
    std::string backend;
    std::vector<std::string> libraries;  // loaded before it, in this order
};

// What came of loading a card's backend.
struct BackendState {
    std::string name;    // as in its file's, such as "cuda", "vulkan"
    bool usable = false;  // loaded, and it found a card
    std::string reason;  // why it is not usable, in the system's or the library's words
};

// Loads from `directory` (absolute, UTF-8) the variant of the CPU backend that suits this processor best and, unless
// `cpu_only`, the packs and every other backend whose driver is on the machine. A card's backend that cannot be loaded is
// logged and left out, `backend_states` says why. Those of the folder that are named in `left_out` are not touched at all.
// Throws BACKEND_UNAVAILABLE when there is no CPU backend.
void load_backends(const std::string& directory, bool cpu_only, const std::vector<BackendPack>& packs = {},
                   const std::vector<std::string>& left_out = {});

// Of every card's backend that was tried in this process, in the order of trying.
std::vector<BackendState> backend_states();

// Devices of the loaded backends, the processor first. Of several that are the same card, only the one to compute with
// (same_card.h). Reads free memory anew.
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
