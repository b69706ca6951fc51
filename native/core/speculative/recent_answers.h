// What a model has answered lately, and how an answer goes on that reads like an earlier one: who asks again, or for nearly the
// same, gets nearly the same words.
//
// In RAM only. Answers are indexed once, when they end, and kept from one request to the next (as SuffixDecoding keeps a tree
// of earlier outputs; Oliaro et al., 2024). There are two halves: when one is full, the older one is dropped and its place is
// the new one's, so that what is kept is bounded and no token is ever indexed again. One for each model; used by one thread at
// a time.
#pragma once

#include <llama.h>

#include <cstddef>
#include <span>

#include "speculative/draft.h"
#include "speculative/text_index.h"

namespace nmos {

class RecentAnswers {
  public:
    // Of both, that is a hundred answers and more, in some 2 MB.
    static constexpr size_t usual_half = 16 * 1024;

    // Tokens in a half.
    explicit RecentAnswers(size_t half = usual_half) : half_(half) {}

    // As far as it went.
    void add(std::span<const llama_token> answer);
    void forget() noexcept;
    // Tokens that are remembered, with one behind every answer.
    size_t size() const { return newer_.text().size() + older_.text().size(); }

    // At most so many tokens that came in an earlier answer behind the same tokens as at the end of `text`, where more than
    // `longer_than` of them are the same; none at the end of that answer, and none where there is no such place.
    Draft draft(std::span<const llama_token> text, size_t longer_than, size_t most) const;

  private:
    void append(llama_token token);

    size_t half_;
    TextIndex newer_;
    TextIndex older_;
};

}  // namespace nmos
