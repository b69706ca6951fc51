// Guesses how an answer goes on by asking a smaller model with the same vocabulary.
//
// Its session's KV cache follows the text: what it already holds of it is not computed again. It holds the session as a job
// does; of the compute thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/cancellation.h"
#include "runtime/sampler.h"
#include "runtime/session.h"
#include "speculative/draft.h"

namespace nmos {

class ModelDrafter {
  public:
    // Behind a text. `session` drafts for the model that the text is of; its passes end with `request`. Throws SESSION_BUSY, CLOSED.
    ModelDrafter(std::shared_ptr<Session> session, std::span<const llama_token> text, const CancellationPtr& request);
    ~ModelDrafter();
    ModelDrafter(const ModelDrafter&) = delete;
    ModelDrafter& operator=(const ModelDrafter&) = delete;

    // False when the session is wanted back or its context is too short for a draft of so many tokens.
    bool usable(size_t most) const;
    const PassCosts& costs() const { return session_->model().speculation().costs; }
    size_t vocabulary_size() const { return vocabulary_size_; }

    // The text goes on; what was drafted is forgotten.
    void append(llama_token token);
    void forget_draft();
    // Tokens to compute before the first one can be drafted.
    size_t missing() const;
    // One pass towards that; or, where what passes cost is unknown, one that is a token wide. False when called off. Throws
    // what `Session::compute` throws.
    bool compute();
    // Whether the next token can be drafted.
    bool ready() const { return computed_ == text_.size(); }
    // Drafts a token as `sampler` draws it, which must have accepted those before it, and computes nothing; none when a
    // grammar forbids it.
    struct Drafted {
        llama_token token;
        Certainty certainty;
        SecondChoice second;  // the likeliest one but that, whatever a sampler or a grammar says
    };
    std::optional<Drafted> draft(Sampler& sampler);

  private:
    using Clock = std::chrono::steady_clock;

    std::shared_ptr<Session> session_;
    CancellationPtr cancellation_;
    size_t vocabulary_size_;         // stays known when the model is closed
    std::vector<llama_token> text_;  // with what was drafted
    size_t length_;                  // without
    size_t computed_ = 0;            // tokens of the text whose KV is there and, when that is all, the logits behind it
    double catching_up_ = 0;         // seconds that the passes over what was missing took so far
    size_t caught_up_ = 0;           // their tokens
};

}  // namespace nmos
