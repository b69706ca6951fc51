// How much RAM the process has had.
#pragma once

#include <cstdint>

namespace nmos::bench {

// Bytes, at most so far, with what it mapped of files and read. What a timed simulated card holds is not among them, as nobody writes there.
uint64_t peak_bytes();

}  // namespace nmos::bench
