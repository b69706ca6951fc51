// Refusing the memory that a thread asks `operator new` for: the tests' program replaces the operator.
//
// Only what this program's own code asks for is counted and refused, also where llama.cpp or ggml have called it, as they do with
// buffers, queues and graphs of ours. What they ask for themselves is granted: they own no errors that this project could mend, and
// some of their code is C, which gives nothing back when it is thrown through. On Windows their libraries have an operator of
// their own. Elsewhere they share this one, and who asks is told by the nearest caller outside the standard library. What a
// simulated card needs for its own work is its driver's, and granted, too.
#pragma once

#include <cstdint>

namespace nmos::testing {

// Of what this thread asks for from now on, the request behind `granted` others is refused, alone or with all behind it.
void refuse_new(uint64_t granted, bool lasting);
// Nothing is refused any more. Returns how many requests there were.
uint64_t grant_new();

// As long as it lives, this thread works for the test: its requests are granted and not counted.
class OwnMemory {
  public:
    OwnMemory();
    ~OwnMemory();
    OwnMemory(const OwnMemory&) = delete;
    OwnMemory& operator=(const OwnMemory&) = delete;
};

}  // namespace nmos::testing
