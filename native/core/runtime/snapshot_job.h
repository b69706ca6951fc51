// Copies the KV cache of a session to RAM, or back, in one step on the compute thread.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <variant>

#include "runtime/cancellation.h"
#include "runtime/scheduler.h"
#include "runtime/session.h"
#include "runtime/snapshot.h"

namespace nmos {

class SnapshotJob final : public Job {
  public:
    // The snapshot that was made or restored; null where there was nothing to copy.
    using Outcome = std::variant<SnapshotPtr, std::exception_ptr>;
    // Called on the compute thread once the session is free again.
    using OnDone = std::function<void(Outcome)>;

    // Takes hold of the session; `cancellation` must not be null. Without a snapshot to restore one is made. Throws
    // SESSION_BUSY, CLOSED.
    SnapshotJob(std::shared_ptr<Session> session, SnapshotPtr to_restore, CancellationPtr cancellation, OnDone on_done);

    bool step() override;
    bool cancelled() const override { return cancellation_->cancelled(); }

  private:
    SnapshotPtr copy();

    std::shared_ptr<Session> session_;
    SnapshotPtr to_restore_;
    CancellationPtr cancellation_;
    OnDone on_done_;
};

}  // namespace nmos
