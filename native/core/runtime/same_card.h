// One card is a device of every backend that can use it, of CUDA and of Vulkan: only one of them may compute, or its memory
// would be counted twice.
//
// A pure function.
#pragma once

#include <string>
#include <vector>

namespace nmos {

struct CardIdentity {
    std::string backend;      // as its registry calls it, such as "CUDA", "Vulkan"
    std::string pci_id;       // such as "0000:01:00.0"; empty when the driver does not tell
    std::string description;  // such as "NVIDIA GeForce GTX 1650"
    bool is_card = true;      // false: the processor, which is never repeated
};

// For every device, whether another one is the same card and goes before it: CUDA's before others, else the earlier one.
// Where one of two tells no PCI id, cards of different backends that are called the same are taken for one, each only once.
std::vector<bool> repeated_cards(const std::vector<CardIdentity>& cards);

}  // namespace nmos
