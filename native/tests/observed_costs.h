// Costs of passes as if they had been measured.
#pragma once

#include "speculative/pass_costs.h"

namespace nmos::testing {

// Often enough to go by.
inline void observe(PassCosts& costs, uint32_t width, double seconds) {
    for (int i = 0; i < 2; ++i) costs.observe(width, seconds);
}

// Seconds of passes that grow with the width like this.
inline PassCosts costs_of(double slope) {
    PassCosts costs;
    for (const uint32_t width : {1u, 2u, 4u, 8u, 16u}) observe(costs, width, 1 + slope * (width - 1));
    return costs;
}

}  // namespace nmos::testing
