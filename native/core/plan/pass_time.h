// Predicts how long a pass takes when the units of a model are placed in a given way. Pure: no I/O, no clock.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "plan/device_profile.h"

namespace nmos {

// What is computed at the same time: by the card what it holds, then what is uploaded for it, and beside that by the
// processor what stays in RAM. All of it in bytes of weights.
struct PassStep {
    uint64_t card = 0;
    std::array<uint64_t, 3> streamed{};
    uint64_t processor = 0;
    double width = 0;         // tokens that a weight is multiplied with, on average; 0: all of the pass
    uint32_t operations = 0;  // of the card, other than multiplications with these weights
    uint32_t exchanged = 0;   // bytes of a token, to the processor and as many back
    double read = 1;          // share of the weights that is multiplied with any token; all of what is streamed is uploaded
    uint32_t copies = 0;      // small ones between card and processor, beside the exchange
    uint32_t experts = 0;     // of a mixture; 0: no mixture
    uint32_t drawn = 0;       // those that any token chooses, of which by chance more or fewer are on the card
    uint32_t where = 0;       // which card, where there are several
    uint64_t copied = 0;      // for the card by ggml, which waits for it before each copy and computes behind it; nothing else then
};

// A card that takes part in a pass, and how many upload slots it has.
struct PassCard {
    const DeviceProfile* profile = nullptr;
    uint32_t slots = 0;
};

// Seconds of a pass of `width` tokens over the steps in their order, in the middle of many such passes: the upload ring of
// each card fills round the end of one pass into the next, also while another card computes. Uploads run beside both card
// and processor.
double pass_seconds(std::span<const PassStep> steps, uint32_t width, std::span<const PassCard> cards);

}  // namespace nmos
