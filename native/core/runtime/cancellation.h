// One flag for one operation: set from any thread, read between passes and inside a pass. Never reset.
#pragma once

#include <atomic>
#include <memory>

namespace nmos {

class Cancellation {
  public:
    void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
    bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

  private:
    std::atomic<bool> cancelled_{false};
};

using CancellationPtr = std::shared_ptr<Cancellation>;

}  // namespace nmos
