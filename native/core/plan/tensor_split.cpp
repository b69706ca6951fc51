#include "plan/tensor_split.h"

#include <algorithm>

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

std::vector<uint32_t> devices_of_layers(std::span<const float> split, uint32_t layers_and_head) {
    std::vector<float> ends(split.begin(), split.end());
    float sum = 0;
    for (float& end : ends) end = sum += end;
    for (float& end : ends) end /= sum;
    std::vector<uint32_t> devices;
    for (uint32_t position = 0; position < layers_and_head; ++position) {
        const float share = static_cast<float>(position) / static_cast<float>(layers_and_head);
        devices.push_back(static_cast<uint32_t>(std::ranges::upper_bound(ends, share) - ends.begin()));
    }
    return devices;
}

}  // namespace nmos
