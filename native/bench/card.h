// The card that a benchmark runs on: a simulated one, or one of this machine of which only a part is used.
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <optional>
#include <string>

#include "sim_device.h"

namespace nmos::bench {

struct Card {
    ggml_backend_dev_t handle = nullptr;
    sim::SimDevice* simulated = nullptr;  // null: a card of this machine
    std::string name;                     // such as "GeForce GTX 1650"
    uint64_t memory = 0;                  // bytes that both sides of a comparison may fill
    uint64_t planned = 0;                 // bytes of it that NMOS plans with
    uint64_t free = 0;                    // bytes, when it was opened
    bool limited = true;                  // whether more than `memory` cannot be had

    // As text for JSON, without braces.
    std::string describe() const;
};

// Loads backends from the folder `libraries` and opens the card `name`: the profile of a simulated one, DEVICE@MIB for so
// much of a card of this machine, such as "CUDA0@4096", or "none". Of a real card all but that is taken and kept until the
// process ends, so that what a backend allocates beside the model counts, too; where its driver tells no less free memory
// for that (one that computes on the processor), `limited` is false. Throws std::invalid_argument for a name that is not
// known, std::runtime_error when the card has less than that free. Once a process.
std::optional<Card> open_card(const std::string& libraries, const std::string& name);

// What is in use beyond what was when it was opened, in bytes.
uint64_t used_bytes(const Card& card);

}  // namespace nmos::bench
