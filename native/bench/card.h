// The cards that a benchmark runs on: simulated ones, or cards of this machine of which only a part is used.
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <string>
#include <vector>

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
};

// Loads backends from the folder `libraries` and opens the cards of these names, with "+" between them; "none": none. A name
// is the profile of a simulated card or DEVICE@MIB for so much of a card of this machine, such as "CUDA0@4096". Of a real card
// all but that is taken and kept until the process ends, so that what a backend allocates beside the model counts, too; where
// its driver tells no less free memory for that (one that computes on the processor), `limited` is false. Throws
// std::invalid_argument for a name that is not known and for a real card that is named twice, std::runtime_error when the card
// has less than that free. Once a process.
std::vector<Card> open_cards(const std::string& libraries, const std::string& names);

// As text for JSON, without braces: the names with "+" between them, the memory of all, and whether all are limited.
std::string describe(const std::vector<Card>& cards);

// What is in use beyond what was when it was opened, in bytes.
uint64_t used_bytes(const Card& card);

}  // namespace nmos::bench
