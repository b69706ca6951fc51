// Passes over a loaded model, one behind the other.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "check.h"
#include "runtime/session.h"

namespace nmos::testing {

// By how much the processor may find another token likelier than the one that a divided model finds: sums of another order
// round differently (see streaming_test.cpp).
constexpr double widest_tie = 0.5;

// The logits behind a prompt and behind each of the tokens that follow it, one by one.
class Passes {
  public:
    explicit Passes(std::shared_ptr<Session> session) : session_(std::move(session)) { session_->acquire(std::make_shared<Cancellation>()); }
    ~Passes() { session_->release(); }

    std::vector<float> behind(const std::vector<llama_token>& tokens, size_t vocabulary) {
        expect(session_->compute(tokens, true), "the pass to be computed");
        const float* const logits = session_->logits();
        return {logits, logits + vocabulary};
    }

  private:
    std::shared_ptr<Session> session_;
};

inline size_t likeliest(const std::vector<float>& logits) {
    return static_cast<size_t>(std::ranges::max_element(logits) - logits.begin());
}

}  // namespace nmos::testing
