// Watches the passes of one model for the slowness of a card whose memory was moved to RAM (slow_passes.h), with the clock and
// the machine's state.
//
// Passes are observed on the compute thread; what came of it any thread may ask.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>

#include "plan/placement.h"
#include "runtime/slow_passes.h"

namespace nmos {

class PassWatch {
  public:
    using Look = std::function<Surroundings()>;

    // As long as one lives, slow passes are no surprise: a model is loaded, or weights move. Any thread.
    class Disturbance {
      public:
        Disturbance() { ++under_way_; }
        ~Disturbance() { --under_way_; }
        Disturbance(const Disturbance&) = delete;
        Disturbance& operator=(const Disturbance&) = delete;
    };

    explicit PassWatch(const Placement& placement);

    // A pass that verifies tokens was computed and awaited, in `seconds`; so many are predicted for it, or 0. A model without a
    // card is not watched.
    void observe(uint32_t width, double seconds, double predicted);
    // The weights have moved. `any_released`: some that belong on a card are not there now, and the processor computes them,
    // which no prediction knows of.
    void forget(bool any_released = false);
    // As of SlowPasses.
    double times_as_long() const;

    // Has the surroundings looked at in another way than by asking the system, for tests. Before any pass.
    void look_by(Look look) { look_ = std::move(look); }

  private:
    static inline std::atomic<int> under_way_{0};

    const Placement& placement_;
    Look look_;
    mutable std::mutex mutex_;
    SlowPasses passes_;
};

}  // namespace nmos
