// Whether a pass over several tokens computes, bit for bit, what passes over one token each do: then an answer does not depend on
// how many of its tokens were guessed.
//
// It depends on the kernels that the library chooses for the types of the weights and for the machine, so it is tried.
// native/bench/exact_widths tells for every width how far apart they are. Of weights that are not repacked (the simulated card,
// for which the processor computes on one thread) all widths up to 16 are exact: of SmolLM2-135M in Q4_1 with both types of KV
// cache, empty and behind 400 tokens, and of a 0.5B in Q4_K_M with an empty F16 cache. Over Vulkan, on Mesa's driver for the
// processor, two tokens are exact and three are not, with either cache (six layers of Q4_K at random: logits differ by up to
// 0.009); wider passes were not tried there. Of real cards nothing is known yet.
#pragma once

#include <llama.h>

#include "runtime/cancellation.h"

namespace nmos {

// Computes some 150 tokens, one by one and in passes of every width that verifies guesses, with a cache of KvType::Q8_0, on the
// calling thread alone, because several of them would wait for each other while other models compute: seconds for a large model.
// Any thread. False also when there is no memory for it, or when it was cancelled. `cancellation` may be null.
bool computes_exactly(llama_model* model, const CancellationPtr& cancellation);

}  // namespace nmos
