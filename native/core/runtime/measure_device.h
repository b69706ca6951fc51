// Measures what the planner needs to know of a card and of the processor beside it.
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <span>

#include "plan/measured_device.h"
#include "runtime/session.h"

namespace nmos {

// Measures what is not known yet of a card and the processor beside it, or of the processor alone, for a model of these types
// of weights: the first of them at all widths up to `widest_pass` tokens, the others at some. Of a device that nothing is known
// of that takes one to three seconds, during which nothing else should compute. Throws OUT_OF_MEMORY when the card has no room for a
// test matrix, BACKEND_UNAVAILABLE when it gives no queue, MODEL_UNSUPPORTED for a type that the processor cannot multiply with;
// what was measured before stays known.
void measure_device(MeasuredDevice& known, ggml_backend_dev_t device, ComputeThreads threads, uint32_t widest_pass, std::span<const TypeShare> types);

}  // namespace nmos
