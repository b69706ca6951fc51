// Guesses how an answer goes on from what was written before: an answer about code repeats much of the code.
//
// The prompt and the answer so far are one text of tokens. Where its last tokens occurred before, the guess is what came
// behind them there: the place with the longest such match, as "prompt lookup" decoding does it (Saxena, 2023), found
// through chains of the places with the same last few tokens, as LZ77 compressors find theirs. While an answer rewrites a
// text, the guess goes on in that text behind a difference without a new match.
//
// Memory is linear in the text, adding a token takes constant time, and a guess looks at a bounded number of places. Used by
// one thread at a time.
#pragma once

#include <llama.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "speculative/draft.h"

namespace nmos {

class SuffixDrafter {
  public:
    // Of the text that is known before the answer.
    explicit SuffixDrafter(std::span<const llama_token> text);

    void append(llama_token token);
    // At most so many tokens that may come next; none when nothing like the end of the text was there before.
    Draft draft(size_t most) const;
    // Tokens before the draft that were the same there; 0: the text that is being rewritten goes on.
    size_t matched() const { return matched_; }

  private:
    static constexpr size_t none = SIZE_MAX;

    void index(llama_token token);
    void follow(llama_token token);
    void find_match();
    // Tokens before `place` and before the end of the text that are the same.
    size_t matched_before(size_t place) const;

    std::vector<llama_token> text_;
    std::unordered_map<uint64_t, size_t> last_place_;  // by the last few tokens: the place behind them
    std::vector<size_t> place_before_;                 // (text + 1) the place before, behind the same few tokens; none: there is none
    size_t best_ = none;                               // where the longest match ends
    size_t matched_ = 0;                               // its tokens
    size_t source_ = none;                             // where what is being rewritten goes on
    size_t strayed_ = 0;                               // tokens since the answer was last the same as there
};

}  // namespace nmos
