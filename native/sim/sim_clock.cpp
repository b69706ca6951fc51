#include "sim_clock.h"

#include <chrono>
#include <thread>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace nmos::sim {

using Clock = std::chrono::steady_clock;

namespace {

// The rest is spun away, because a sleep ends late.
constexpr double spun_seconds = 20e-6;

}  // namespace

double now() {
    return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

void sleep_until(double moment) {
#if defined(__linux__)
    // Linux lets a sleep of an ordinary thread end 50 µs late, to end several at once.
    static thread_local const int slack = prctl(PR_SET_TIMERSLACK, 1000UL);
    (void)slack;
#endif
    const double left = moment - now() - spun_seconds;
    if (left > 0) std::this_thread::sleep_for(std::chrono::duration<double>(left));
    while (now() < moment) {
    }
}

}  // namespace nmos::sim
