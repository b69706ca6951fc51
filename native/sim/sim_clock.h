// Waiting to tens of microseconds without burning the processor.
#pragma once

namespace nmos::sim {

// Seconds of the steady clock.
double now();
// Returns at that moment, or at once when it has passed.
void sleep_until(double moment);

}  // namespace nmos::sim
