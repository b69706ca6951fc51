// Whether a card still works. Any thread; waits for the card.
#pragma once

#include <string>

namespace nmos {

// Whether the card of that name, ggml's, grants a little memory, and takes and gives what lies there. What its driver throws
// is logged.
bool card_answers(const std::string& device);

}  // namespace nmos
