// What passes over a model cost on this machine, by the tokens in them: learned from passes, and before those from what the
// planner predicts. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace nmos {

// The widest pass that verifies a draft: the draft and the token before it.
constexpr uint32_t widest_verification = 16;

// A prompt of fewer tokens tells nothing about the cost of longer ones.
constexpr uint32_t telling_prefill = 2 * widest_verification;

class PassCosts {
  public:
    // A pass so wide is predicted to take so long. What was observed corrects it.
    void predict(uint32_t width, double seconds);
    // A pass took so long; of at most widest_verification tokens.
    void observe(uint32_t width, double seconds);
    // A prompt of so many tokens took so long, in however many passes.
    void observe_prefill(size_t tokens, double seconds);
    // Choosing a token that is only drafted, among the logits of a pass, took so long.
    void observe_choice(double seconds);

    // Whether passes of one token were timed often enough to go by.
    bool known() const;
    // Of a pass one token wide; 0: unknown.
    double seconds() const;
    // In terms of a pass that is one token wide, up to widest_verification. Before anything wider was seen or predicted, a guess.
    double relative(uint32_t width) const;
    // Of computing so many tokens of a prompt; a guess, rather too much, until a prompt was.
    double prefill_seconds(size_t tokens) const;
    // Of choosing a token that is only drafted; 0: unknown.
    double choice_seconds() const;

  private:
    using Relative = std::array<double, widest_verification + 1>;  // by width

    struct Average {
        double seconds = 0;  // forgets
        uint32_t passes = 0;
        uint32_t unseen = 0;  // passes without one like this since the latest one

        void add(double latest);
        void pass_by();
        bool tells() const;
        // How little it is believed, from 0 to 1.
        double doubt() const;
    };

    // Seconds by width, where more than one pass tells; what is `expected` of a width is believed the more, the longer there
    // was none.
    template <typename Expected> std::map<uint32_t, double> told(Expected expected) const;
    Relative from_observed() const;
    Relative from_predicted() const;

    std::map<uint32_t, Average> observed_;   // by width
    std::map<uint32_t, double> predicted_;  // by width
    Average choice_;
    double prefill_ = 0;                     // seconds a token, an average that forgets; 0: unknown
    mutable std::optional<Relative> relative_;  // asked for many times a token; none: there is something new
};

}  // namespace nmos
