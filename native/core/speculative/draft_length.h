// Decides how many drafted tokens a pass shall verify: as many as make the answer come soonest, from what passes cost on this
// machine and from how often drafts like this one were right.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

#include "speculative/suffix_drafter.h"

namespace nmos {

// The widest pass that verifies a draft: the draft and the token before it.
constexpr uint32_t widest_verification = 16;

// Seconds of a pass by its width, learned from passes. Not thread-safe.
class PassCosts {
  public:
    void observe(uint32_t width, double seconds);
    // In terms of a pass that is one token wide; between the widths that were seen linear. Before anything wider was seen, a
    // guess.
    double relative(uint32_t width) const;

  private:
    std::map<uint32_t, double> seconds_;  // by width, averages that forget
};

// One for each model: how often a drafted token is right depends on who judges. Not thread-safe.
class DraftLength {
  public:
    // For a draft as certain as this one; 0: none of it is worth a wider pass.
    size_t best(const Draft& draft, const PassCosts& costs) const;
    // Of a draft that was verified, the first so many tokens were right.
    void learn(const Draft& draft, size_t accepted);
    // Nothing of the draft was verified. After many of them, one like it is tried again.
    void decline(const Draft& draft);

  private:
    static constexpr size_t classes = 6;
    static size_t class_of(const Draft& draft);

    struct Rate {
        double right;  // tokens, with those assumed at first; older ones count less
        double tried;
    };
    // The longer the match, the likelier is the guess.
    static constexpr std::array<Rate, classes> assumed{{{2, 4}, {1, 4}, {2, 5}, {3, 5}, {4, 5}, {9, 10}}};
    std::array<Rate, classes> rates_ = assumed;
};

// What is learned of a model while it answers.
struct Speculation {
    PassCosts costs;
    DraftLength length;
};

}  // namespace nmos
