// Whether a pass over several tokens computes, bit for bit, what passes over one token each do: then an answer does not depend on
// how many of its tokens were guessed.
//
// It depends on the kernels that the library chooses for the types of the weights and for the machine, so it is tried.
#pragma once

#include <llama.h>

namespace nmos {

// Computes about twenty tokens with a cache of KvType::Q8_0, on the calling thread alone, because several of them would wait for
// each other while other models compute. Any thread. False also when there is no memory for it.
bool computes_exactly(llama_model* model);

}  // namespace nmos
