// Drafts what the next pass of a generation verifies: what came with the request, else from the text or from recent answers,
// or with a draft model where that is worth its time.
//
// The draft never decides what the answer is: the generation draws every token from the main model's logits. Drafts of a model
// are drawn with a copy of the generation's own sampler, which has the same random numbers coming, so that they agree as often
// as the two models do ("drafter-invariant speculative decoding", Daliri, Musco and Suresh, 2024).
//
// A draft is a chain, and it is made between two passes over the main model. Where a model is larger than its card, a pass also
// verifies second choices of the draft model beside uncertain tokens of the chain, if it costs less than they add: leaves, for
// which the draft model computes nothing more. Against the best chain, by the computation that follows but with what this control
// learns, they gain 4.9% in a chat and 4.6% in prose; from -1 to 2% where a draft token costs a twentieth of a pass, because the draft
// is longer then and so is the pass. What else could be done was computed from ten recorded answers of a 1.5B with guesses of a 0.5B
// (1,767 tokens) and the predicted passes of a 7B on a card of 4 GB beside the draft model, where a draft token costs a tenth of a pass:
// - Trees ("Sequoia", Chen et al., 2024; "EAGLE-2", Li et al., 2024): where the first choice is wrong, which is so for 0.4% of
//   the tokens of rewritten code, 18% of a chat and 33% of prose, the second one is right half of the times. Against the best
//   chain, the best tree of up to 15 tokens gains nothing in rewriting, 5 to 7% in a chat and 5 to 10% in prose; most of that is
//   in leaves beside the chain (7% and 5%).
// - Drafting on while the main model verifies, as if the draft were right ("PEARL", Liu et al., 2024): at most 4% in rewriting,
//   8% in a chat and 2% in prose if the card were idle during the pass. In half of the time that it is idle, nothing in rewriting
//   and 4% in a chat, for a second thread that computes; so it is not done.
//
// One for each generation; of the compute thread.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "runtime/model_drafter.h"
#include "runtime/sampler.h"
#include "speculative/draft_control.h"
#include "speculative/given_draft.h"
#include "speculative/suffix_drafter.h"

namespace nmos {

// What came of the drafts of one generation.
struct SpeculationResult {
    uint32_t drafted_tokens = 0;   // verified by passes, leaves too
    uint32_t accepted_tokens = 0;  // those of them that are part of the answer
    uint32_t model_drafted_tokens = 0;  // of both, the draft model's
    uint32_t model_accepted_tokens = 0;
    uint32_t draft_passes = 0;     // over the draft model
    double draft_seconds = 0;      // those took, and what was done with their logits
};

class Speculator {
  public:
    // `given`: what the whole answer may be; none: nobody knows. `draft_session` null: there is no draft model. One that others
    // use, or that was closed, counts as none.
    Speculator(const Session& main, std::vector<llama_token> given, std::shared_ptr<Session> draft_session, std::span<const llama_token> prompt,
               const CancellationPtr& request);
    // The model remembers what was answered, however that ended.
    ~Speculator();
    Speculator(const Speculator&) = delete;
    Speculator& operator=(const Speculator&) = delete;

    void append(llama_token token);
    // Begins a draft of what comes next, as `sampler` would choose it, for a pass that begins with so many tokens `before` it; at
    // most `left` tokens are still to come.
    void begin(size_t left, size_t before, const Sampler& sampler);
    // Goes on; true when the draft is there. Computes one pass over the draft model at most, and none when it returns true.
    bool step();
    // What is to be verified.
    const Draft& draft() const { return draft_; }
    // Behind the first so many tokens of the draft nobody has asked.
    void cut(size_t length) { draft_.cut(length); }
    // The pass was made, and the first `right` tokens of the draft were; in the place of the next one is `instead`, null: nobody has
    // asked. So many of those, and of the leaves, are part of the answer.
    void learn(size_t right, size_t accepted, llama_token instead);
    // The generation is over; the draft model's session is free again.
    SpeculationResult end();

  private:
    // The best part of what is drafted without a model; returns its gain.
    double draft_from_texts();
    // Whether the draft model promises more than `gain` and what it has to compute first is worth it.
    bool is_model_worth(double gain, size_t left) const;
    // Whether this second choice of the draft model may be verified.
    bool is_leaf(llama_token token) const;
    void draft_from_model();
    void finish_model_draft();
    void end_model_draft();
    void drop_model();
    double price() const;

    const Session& main_;
    // Stays usable while the main session is held, also after its model began to close.
    const Vocabulary& vocabulary_;
    Speculation& learned_;
    GivenDraft given_;
    SuffixDrafter from_text_;
    std::unique_ptr<ModelDrafter> from_model_;  // null: none, or none any more
    std::optional<Sampler> rehearsal_;          // there while the model drafts
    Draft draft_;
    size_t before_ = 1;   // tokens that the pass begins with
    size_t most_ = 0;
    size_t answered_ = 0;  // tokens of the answer so far
    bool ready_ = true;
    SpeculationResult result_;
};

}  // namespace nmos
