// Whether a card computes attention over a KV cache in Q8_0. Where it does not, ggml has the processor do it, for which it copies
// all of the cache in every pass.
#pragma once

#include <ggml-backend.h>

#include "plan/model_profile.h"

namespace nmos {

// Asks the card's backend about attention of the model's shape; computes nothing. Any thread.
bool reads_quantised_kv(ggml_backend_dev_t card, const ModelProfile& model);

}  // namespace nmos
