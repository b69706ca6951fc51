// Tokens that may come next, and how sure their drafter is of each.
#pragma once

#include <llama.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace nmos {

// Drafted tokens of one certainty are right equally often, which is what is learned of them. A number below `certainties`:
// first those of texts, by the length of the match, of drafts that came with the request, and of recent answers, by the length of
// the match, then those of draft models, by the probability that they gave the token. Whether a token is right is only asked where
// those of the draft before it were, so that they count as matched, too.
using Certainty = uint8_t;

// The text that is being rewritten goes on without a match; matches of up to so many tokens; longer ones.
constexpr std::array<size_t, 5> match_bounds{0, 3, 5, 8, 16};
// Probabilities below these; higher ones.
constexpr std::array<double, 7> probability_bounds{0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95};

// The answer has been like the draft that came with the request so far.
constexpr Certainty certainty_of_given = match_bounds.size() + 1;
// Matches in recent answers have at least one token.
constexpr size_t text_certainties = certainty_of_given + 1 + match_bounds.size();
constexpr size_t certainties = text_certainties + probability_bounds.size() + 1;

inline Certainty certainty_of_match(size_t matched) {
    return static_cast<Certainty>(std::ranges::lower_bound(match_bounds, matched) - match_bounds.begin());
}

inline Certainty certainty_of_recent(size_t matched) {
    return static_cast<Certainty>(certainty_of_given + certainty_of_match(matched));
}

inline Certainty certainty_of_probability(double probability) {
    return static_cast<Certainty>(text_certainties + static_cast<size_t>(std::ranges::upper_bound(probability_bounds, probability) - probability_bounds.begin()));
}

inline bool is_of_model(Certainty certainty) {
    return certainty >= text_certainties;
}

// Tokens within which a text that the answer follows is looked for again behind a difference.
constexpr size_t realignment = 12;

// Of so many tokens behind a match, by the length of that: `certainty_of_match` or `certainty_of_recent`.
inline std::vector<Certainty> certainties_behind(size_t matched, size_t tokens, Certainty (*certainty)(size_t)) {
    std::vector<Certainty> behind(tokens);
    for (size_t i = 0; i < tokens; ++i) behind[i] = certainty(matched + i);
    return behind;
}

// What a draft model takes for the likeliest where the token that it drafted is wrong.
struct SecondChoice {
    llama_token token = LLAMA_TOKEN_NULL;  // null: there is none
    uint8_t likelihood = 0;                // below `likelihoods`; those of one are right equally often, where the first is wrong
};

constexpr size_t likelihoods = probability_bounds.size() + 1;

// `probability`: that it is right, where the first is wrong.
inline SecondChoice second_choice(llama_token token, double probability) {
    return {token, static_cast<uint8_t>(certainty_of_probability(probability) - text_certainties)};
}

// A chain of tokens, and beside some of them their second choices as leaves: a leaf is verified in the place of its token, behind
// the same ones, and nothing is behind it.
struct Draft {
    std::vector<llama_token> tokens;
    std::vector<Certainty> certainties;   // (tokens)
    std::vector<SecondChoice> seconds{};  // (tokens), or fewer: of the others there is none
    std::vector<size_t> leaves{};         // places in `tokens`, ascending, whose second choice is verified, too

    size_t size() const { return tokens.size(); }
    bool empty() const { return tokens.empty(); }
    SecondChoice second(size_t place) const { return place < seconds.size() ? seconds[place] : SecondChoice{}; }
    void push_back(llama_token token, Certainty certainty, SecondChoice second = {}) {
        tokens.push_back(token);
        certainties.push_back(certainty);
        seconds.push_back(second);
    }
    // Keeps the first so many tokens, and their leaves.
    void cut(size_t length) {
        tokens.resize(length);
        certainties.resize(length);
        seconds.resize(std::min(seconds.size(), length));
        std::erase_if(leaves, [length](size_t place) { return place >= length; });
    }
    // A pass makes a row of logits for the token before the draft, one for every token of it, and one for every leaf, in this
    // order. The row behind `token`, which the logits of `row` have chosen; none: it was not verified.
    std::optional<size_t> row_behind(size_t row, llama_token token) const {
        if (row >= size()) return std::nullopt;
        if (tokens[row] == token) return row + 1;
        const auto leaf = std::ranges::find(leaves, row);
        if (leaf == leaves.end() || second(row).token != token) return std::nullopt;
        return size() + 1 + static_cast<size_t>(leaf - leaves.begin());
    }
};

}  // namespace nmos
