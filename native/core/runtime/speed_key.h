// What was measured of a card and of the processor beside it holds as long as this stays the same.
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <string>

namespace nmos {

// All that their speed depends on as far as it can be told, in one line. `saves_energy`: a machine on battery clocks both lower.
std::string speed_key(ggml_backend_dev_t card, int32_t threads, bool saves_energy);

}  // namespace nmos
