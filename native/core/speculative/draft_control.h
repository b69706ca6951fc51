// Decides how many tokens to draft and how many of them a pass shall verify: as many as make the answer come soonest, from
// what passes cost on this machine and from how often drafts like this one were right.
//
// All costs are in terms of a pass over the main model that is one token wide, a gain is tokens of the answer in that time.
#pragma once

#include <array>
#include <cstddef>

#include "speculative/answer_lengths.h"
#include "speculative/draft.h"
#include "speculative/pass_costs.h"
#include "speculative/recent_answers.h"

namespace nmos {

// A gain that is not worth the risk is none.
constexpr double least_gain = 1.03;

// One for each main model: how often a drafted token is right depends on who judges. Not thread-safe.
class DraftControl {
  public:
    struct Choice {
        size_t length = 0;  // tokens to verify
        double gain = 1;
    };

    DraftControl();

    // The best part of a draft whose making took `spent`.
    Choice best(const Draft& draft, const PassCosts& costs, double spent = 0) const;
    // The most that is to be expected of a draft model that goes on behind `draft`, all of whose tokens it made, up to `most`
    // tokens in all; one token costs `price`.
    double forecast(const Draft& draft, size_t most, double price, const PassCosts& costs) const;
    // A draft model made this draft; none when it was asked in vain.
    void learn_made(const Draft& draft);
    // Of a draft that was verified, the first so many tokens were right.
    void learn(const Draft& draft, size_t accepted);
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

    static Rate assumed(Certainty certainty);

    std::array<Rate, certainties> rates_;
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
