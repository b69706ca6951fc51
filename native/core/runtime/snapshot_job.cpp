#include "runtime/snapshot_job.h"

#include "runtime/engine_error.h"

namespace nmos {

SnapshotJob::SnapshotJob(std::shared_ptr<Session> session, SnapshotPtr to_restore, CancellationPtr cancellation, OnDone on_done)
    : session_(std::move(session)), to_restore_(std::move(to_restore)), cancellation_(std::move(cancellation)), on_done_(std::move(on_done)) {
    session_->acquire(cancellation_);
}

bool SnapshotJob::step() {
    Outcome outcome;
    try {
        outcome = copy();
    } catch (...) {
        outcome = std::current_exception();
    }
    session_->release();
    on_done_(std::move(outcome));
    return true;
}

SnapshotPtr SnapshotJob::copy() {
    // Nobody but who closes the session or the engine cancels it.
    if (cancelled()) throw EngineError(ErrorCode::Closed, "The session was closed before its KV cache was copied.");
    if (!to_restore_) return session_->save();
    session_->restore(*to_restore_);
    return to_restore_;
}

}  // namespace nmos
