// One flag for one operation: set from any thread, read between passes and inside a pass. Never reset. A part of an operation
// may have a flag of its own, which is also set with that of the whole.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace nmos {

class Cancellation {
  public:
    Cancellation() = default;
    explicit Cancellation(std::shared_ptr<const Cancellation> whole) : whole_(std::move(whole)) {}

    void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
    bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed) || (whole_ && whole_->cancelled()); }

  private:
    const std::shared_ptr<const Cancellation> whole_;
    std::atomic<bool> cancelled_{false};
};

using CancellationPtr = std::shared_ptr<Cancellation>;

}  // namespace nmos
