// How far counts are from what was to be expected.
#pragma once

#include <array>
#include <cstddef>
#include <numeric>

namespace nmos::testing {

// Pearson's statistic; by chance above 23.5 once in 10,000 times for five.
inline double chi_square(const std::array<double, 5>& counts, const std::array<double, 5>& probabilities) {
    const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
    double sum = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
        const double expected = all * probabilities[i];
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    return sum;
}

}  // namespace nmos::testing
