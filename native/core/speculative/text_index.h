// A text of tokens that grows, with an index of the places where it reads like the end of a text, of this one or another.
//
// Places with the same last few tokens before them are chained, the latest first, as LZ77 compressors find their matches.
// Memory is linear in the text, adding a token takes constant time, and a search compares a bounded number of tokens. Used by
// one thread at a time.
#pragma once

#include <llama.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace nmos {

class TextIndex {
  public:
    static constexpr size_t none = SIZE_MAX;
    // Tokens of a match. Shorter ones are found everywhere and say little.
    static constexpr size_t shortest_match = 3;
    // Beyond this a longer match does not make a guess more likely.
    static constexpr size_t longest_match = 64;
    // That a search looks at, the latest first.
    static constexpr size_t most_places = 24;

    struct Match {
        size_t place = none;  // behind the tokens that are the same
        size_t length = 0;    // of them
        size_t compared = 0;  // tokens that the search has looked at, by which tests hold its bound
    };

    // Room for so many tokens.
    void reserve(size_t tokens) { text_.reserve(tokens); }
    void append(llama_token token);
    // Gives the memory back, but for the table's buckets.
    void clear() noexcept;
    // Until the next one is added.
    std::span<const llama_token> text() const { return text_; }

    // The longest match of the end of another text that this one goes on behind: the latest of equal ones. It goes on behind its last
    // token nowhere, nor where LLAMA_TOKEN_NULL is next.
    Match find(std::span<const llama_token> other) const;
    // Of this text's own end, before it: `preferred` among equal ones, or else the latest.
    Match find_own_end(size_t preferred) const;

  private:
    // Along the chain from `place`.
    Match search(size_t place, std::span<const llama_token> other, size_t preferred) const;
    // Tokens before `place` and before the end of the other text that are the same.
    size_t matched_before(size_t place, std::span<const llama_token> other) const;

    std::vector<llama_token> text_;
    std::unordered_map<uint64_t, size_t> last_place_;  // by the last few tokens: the place behind them
    std::vector<size_t> place_before_;                 // (text) of the place behind each token: the place before, behind the same few tokens; or none
};

}  // namespace nmos
