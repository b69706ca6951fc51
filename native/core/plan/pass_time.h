// Predicts how long a pass takes when the units of a model are placed in a given way. Pure: no I/O, no clock.
#pragma once

#include <cstdint>
#include <span>

#include "plan/device_profile.h"

namespace nmos {

enum class Place : uint8_t {
    Card,       // resident in VRAM
    Processor,  // computed from RAM
    Streamed,   // uploaded for the pass, computed by the card
};

struct PlacedUnit {
    uint64_t bytes = 0;  // of weights that a pass reads
    Place place = Place::Card;
    uint32_t width = 0;  // tokens it computes; 0: all of the pass
};

// Seconds of a pass of `width` tokens over the units in their order, in the middle of many such passes: the upload ring of
// `slots` slots fills round the end of one pass into the next. Card and processor take turns, uploads run beside both.
double pass_seconds(std::span<const PlacedUnit> units, uint32_t width, uint32_t slots, const DeviceProfile& profile);

}  // namespace nmos
