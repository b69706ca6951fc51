// Cards that the simulated device can play. Figures are what such cards reach in practice, not their data sheets' peaks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nmos::sim {

struct CardProfile {
    std::string name;
    uint64_t vram_bytes = 0;         // usable beside the desktop
    double vram_bandwidth = 0;       // bytes/s
    double pinned_bandwidth = 0;     // bytes/s, each direction, from and to pinned host memory
    double pageable_bandwidth = 0;   // bytes/s, from and to other host memory
    double operations = 0;           // multiplications and additions a second of a matrix multiplication
    double launch_seconds = 0;       // of a kernel
    double transfer_seconds = 0;     // of a copy, beside its bytes
};

std::vector<CardProfile> card_profiles();
std::optional<CardProfile> find_card_profile(std::string_view name);

}  // namespace nmos::sim
