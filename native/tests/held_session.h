// A session held by a test as a job holds it.
#pragma once

#include <memory>
#include <utility>

#include "runtime/session.h"

namespace nmos::testing {

// What the compute thread does, here on the test's thread: nothing else runs then.
class Held {
  public:
    explicit Held(std::shared_ptr<Session> session) : session_(std::move(session)) { session_->acquire(cancellation_); }
    ~Held() { session_->release(); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    Session* operator->() const { return session_.get(); }

    void cancel() const { cancellation_->cancel(); }

  private:
    const CancellationPtr cancellation_ = std::make_shared<Cancellation>();
    std::shared_ptr<Session> session_;
};

}  // namespace nmos::testing
