// From which width of a pass on ggml's scheduler lets a card compute with weights that are in RAM, which it copies there before
// each product. It asks the card for that, node by node, and so does this.
#pragma once

#include <ggml-backend.h>

#include <cstdint>

namespace nmos {

// Tokens, at most `widest_pass`; UINT32_MAX where the card wants none. Any thread.
uint32_t offload_width(ggml_backend_dev_t card, uint32_t widest_pass);

}  // namespace nmos
