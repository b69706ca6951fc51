// What was measured of a card and of the processor beside it holds as long as this stays the same.
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <string>

namespace nmos {

// What the system says of the machine and of a card's driver.
struct CardState {
    bool saves_energy = false;  // both are clocked lower then
    std::string driver;         // its version; empty where it is not told
};

// At present. May take milliseconds.
CardState card_state(ggml_backend_dev_t card);

// All that their speed depends on as far as it can be told, in one line. `card` may be the processor.
std::string speed_key(ggml_backend_dev_t card, int32_t threads, const CardState& state);

// What is measured of it is remembered under this name: on battery and on mains each, because a laptop is used by turns on both.
std::string cache_name(const std::string& device, const CardState& state);

}  // namespace nmos
