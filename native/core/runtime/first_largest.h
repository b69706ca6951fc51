// The best of many logits.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>

namespace nmos {

// The first of the largest of `value(0)` to `value(count - 1)`. In lanes that do not wait for each other, which compilers make vector
// instructions of; what a block has only matters when it has the largest so far.
template <typename Value>
size_t first_largest(size_t count, const Value& value) {
    constexpr size_t lanes = 16;
    constexpr size_t block = 32 * lanes;
    constexpr float least = -std::numeric_limits<float>::infinity();
    const auto larger = [](float a, float b) { return a > b ? a : b; };
    float best = least;
    size_t best_block = 0;
    for (size_t begin = 0; begin < count; begin += block) {
        const size_t end = std::min(count, begin + block);
        std::array<float, lanes> largest;
        largest.fill(least);
        size_t i = begin;
        for (; i + lanes <= end; i += lanes) {
            for (size_t lane = 0; lane < lanes; ++lane) largest[lane] = larger(value(i + lane), largest[lane]);
        }
        for (; i < end; ++i) largest[0] = larger(value(i), largest[0]);
        const float found = *std::max_element(largest.begin(), largest.end());
        if (found > best) {
            best = found;
            best_block = begin;
        }
    }
    for (size_t i = best_block; i < count; ++i) {
        if (value(i) == best) return i;
    }
    return best_block;
}

}  // namespace nmos
