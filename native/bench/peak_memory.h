// How much RAM the process has had.
#pragma once

#include <cstdint>

namespace nmos::bench {

// Bytes, at most so far. What a simulated card holds lies there, too.
uint64_t peak_bytes();

}  // namespace nmos::bench
