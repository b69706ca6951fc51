// Decides how many tokens to draft, how many of them a pass shall verify, and beside which of those their second choices, too: as
// many as make the answer come soonest, from what passes cost on this machine and from how often drafts like this one were right.
//
// A leaf adds one token where the chain is wrong in its place: then it is mostly not in vain that the pass was made wider. How often
// second choices are right is learned from every wrong token, whether they were verified or not, because the main model says what
// comes in its place.
//
// All costs are in terms of a pass over the main model that is one token wide, a gain is tokens of the answer in that time.
#pragma once

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "speculative/answer_lengths.h"
#include "speculative/draft.h"
#include "speculative/pass_costs.h"
#include "speculative/recent_answers.h"

namespace nmos {

// A gain that is not worth the risk is none.
constexpr double least_gain = 1.03;

// Of one pass. Each is a sequence of the KV cache of its own.
constexpr size_t most_leaves = 4;

// One for each main model: how often a drafted token is right depends on who judges. Not thread-safe.
class DraftControl {
  public:
    struct Choice {
        size_t length = 0;  // tokens to verify
        double gain = 1;    // against a pass without a draft
        std::vector<size_t> leaves{};  // places of those beside which the second choice is worth it, ascending
    };

    DraftControl();

    // The best part of a draft whose making took `spent`, in passes of one token, up to `most` tokens with leaves, for a pass that
    // begins with `before` tokens.
    Choice best(const Draft& draft, const PassCosts& costs, double spent = 0, size_t most = widest_verification - 1, size_t before = 1) const;
    // The most that is to be expected of a draft model that goes on behind `draft`, all of whose tokens it made, up to `most`
    // tokens in all, for such a pass; one token costs `price`.
    double forecast(const Draft& draft, size_t most, double price, const PassCosts& costs, size_t before = 1) const;
    // A draft model made this draft; none when it was asked in vain.
    void learn_made(const Draft& draft);
    // Of a draft that was verified, the first so many tokens were right, and in the place of the next one is `instead`; null:
    // nobody has asked.
    void learn(const Draft& draft, size_t accepted, llama_token instead = LLAMA_TOKEN_NULL);
    // Nothing that is so certain was verified, or nothing that a draft model makes was made. After many of these, it is tried again.
    void decline(Certainty certainty);
    void decline_model();

  private:
    struct Rate {
        double right = 0;  // tokens, with those assumed at first; older ones count less
        double tried = 0;

        double value() const { return right / tried; }
        void add(double share_right);
        void return_to(const Rate& assumed);
    };

    // Tokens that second choices are expected to add, with their places; most first.
    using Leaves = std::vector<std::pair<double, size_t>>;

    static Rate assumed(Certainty certainty);
    // The next token of a draft: what behind it is expected in all.
    void add(const Draft& draft, size_t place, double& all_right, double& expected, Leaves& leaves) const;

    std::array<Rate, certainties> rates_;
    std::array<Rate, likelihoods> rates_of_seconds_;
    Rate of_model_;  // of the tokens that one makes next
};

// What is learned of a model while it answers.
struct Speculation {
    PassCosts costs;
    DraftControl control;
    AnswerLengths lengths;
    RecentAnswers recent;
};

}  // namespace nmos
