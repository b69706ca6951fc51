#include "speculative/given_draft.h"

#include <algorithm>

namespace nmos {

void GivenDraft::append(llama_token token) {
    const auto from = tokens_.begin() + static_cast<std::ptrdiff_t>(next_);
    const auto to = from + static_cast<std::ptrdiff_t>(std::min(realignment, tokens_.size() - next_));
    const auto found = std::find(from, to, token);
    if (found == to) ++strayed_;
    else strayed_ = 0;
    agreed_ = agreed_ && found == from && found != to;
    if (found != to) next_ = static_cast<size_t>(found - tokens_.begin()) + 1;
    else if (strayed_ > realignment) next_ = tokens_.size();
}

Draft GivenDraft::draft(size_t most) const {
    if (strayed_ > 0) return {};
    const auto begin = tokens_.begin() + static_cast<std::ptrdiff_t>(next_);
    const size_t length = std::min(most, tokens_.size() - next_);
    return {{begin, begin + static_cast<std::ptrdiff_t>(length)}, agreed_ ? std::vector(length, certainty_of_given) : certainties_behind(0, length, certainty_of_match)};
}

}  // namespace nmos
