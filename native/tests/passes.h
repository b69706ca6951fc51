// Passes over a loaded model, one behind the other.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
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

// A divided model beside the same one on the processor, token by token: what the processor finds likeliest comes next for both.
class BesideProcessor {
  public:
    BesideProcessor(std::shared_ptr<Session> divided, std::shared_ptr<Session> processor, std::vector<llama_token> prompt)
        : vocabulary_(processor->model().vocabulary().size()), divided_(std::move(divided)), processor_(std::move(processor)), next_(std::move(prompt)) {}

    void check_pass(const std::string& when, Location at = Location::here()) {
        const std::vector<float> expected = processor_.behind(next_, vocabulary_);
        const size_t found = likeliest(divided_.behind(next_, vocabulary_));
        const size_t likely = likeliest(expected);
        const float worse = expected[likely] - expected[found];
        expect(worse < widest_tie, "the processor's token " + when + ", got one that is less likely by " + show(worse), at);
        next_ = {static_cast<llama_token>(likely)};
    }

  private:
    size_t vocabulary_;
    Passes divided_;
    Passes processor_;
    std::vector<llama_token> next_;
};

}  // namespace nmos::testing
