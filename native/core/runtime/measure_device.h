// Measures what the planner needs to know of a card and of the processor beside it.
#pragma once

#include <ggml-backend.h>

#include "plan/device_profile.h"
#include "runtime/session.h"

namespace nmos {

// Takes one to three seconds, during which nothing else should compute. `widest_pass` in tokens. Throws OUT_OF_MEMORY when
// the card has no room for a test matrix, BACKEND_UNAVAILABLE when it gives no queue.
DeviceProfile measure_device(ggml_backend_dev_t card, ComputeThreads threads, uint32_t widest_pass);

// What a machine without a card can be told of: the processor's times, all others are 0. Takes about a second.
DeviceProfile measure_processor(ComputeThreads threads, uint32_t widest_pass);

}  // namespace nmos
