// What becomes of a plan when a card grants memory for fewer upload slots than were planned. Pure: no I/O, no clock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plan/model_profile.h"
#include "plan/placement.h"

namespace nmos {

// The `card`-th of the placement's cards has `slots` slots, at least 1 and fewer than were planned: what the placement says of
// them, of the memory that is used, of what there is no room for and of the time of passes follows. A placement that is cut up.
void grant_slots(const ModelProfile& model, Placement& placement, size_t card, uint32_t slots);

}  // namespace nmos
