// A draft of the whole answer that came with the request, such as what a smaller model has suggested. Behind a difference it
// goes on where the answer is like it again.
//
// Used by one thread at a time.
#pragma once

#include <llama.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "speculative/draft.h"

namespace nmos {

class GivenDraft {
  public:
    // Without tokens there is never a draft.
    explicit GivenDraft(std::vector<llama_token> tokens) : tokens_(std::move(tokens)) {}

    // What the answer has next.
    void append(llama_token token);
    // At most so many tokens that may come next; none at its end, and none before the answer is like it again.
    Draft draft(size_t most) const;

  private:
    std::vector<llama_token> tokens_;
    size_t next_ = 0;     // the token that goes on where the answer is
    size_t strayed_ = 0;  // tokens since the answer was last like it
    bool agreed_ = true;  // with all of the answer
};

}  // namespace nmos
