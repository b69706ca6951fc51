#include "plan/tensor_split.h"

namespace nmos {

std::vector<float> tensor_split(std::span<const uint32_t> layers) {
    std::vector<float> split;
    for (size_t i = 0; i < layers.size(); ++i) {
        float share = static_cast<float>(layers[i]);
        if (i == 0) share -= 0.5f;
        if (i + 1 == layers.size()) share += 1.5f;  // with the output head
        split.push_back(share);
    }
    return split;
}

}  // namespace nmos
