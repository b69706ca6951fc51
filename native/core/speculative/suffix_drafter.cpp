#include "speculative/suffix_drafter.h"

#include <algorithm>

namespace nmos {

namespace {

// A match that is no chance: the answer follows the text there.
constexpr size_t telling_match = 8;

}  // namespace

SuffixDrafter::SuffixDrafter(std::span<const llama_token> text) {
    index_.reserve(text.size() * 2);
    for (const llama_token token : text) index_.append(token);
    match_ = index_.find_own_end(source_);
}

void SuffixDrafter::append(llama_token token) {
    follow(token);
    index_.append(token);
    // Of places that match alike, the one that the answer has followed.
    match_ = index_.find_own_end(source_);
    if (match_.length < telling_match) return;
    source_ = match_.place;
    strayed_ = 0;
}

// Keeps to the text that is being rewritten.
void SuffixDrafter::follow(llama_token token) {
    if (source_ == TextIndex::none) return;
    const std::span<const llama_token> ahead = text().subspan(source_);
    const auto to = ahead.begin() + static_cast<std::ptrdiff_t>(std::min(realignment, ahead.size()));
    const auto found = std::find(ahead.begin(), to, token);
    if (found != to) {
        source_ += static_cast<size_t>(found - ahead.begin()) + 1;
        strayed_ = 0;
    } else if (++strayed_ > realignment) {
        source_ = TextIndex::none;
    }
}

Draft SuffixDrafter::draft(size_t most) const {
    const size_t place = match_.place == TextIndex::none && strayed_ == 0 ? source_ : match_.place;
    if (place == TextIndex::none) return {};
    const std::span<const llama_token> behind = text().subspan(place, std::min(most, text().size() - place));
    return {{behind.begin(), behind.end()}, certainties_behind(matched(), behind.size(), certainty_of_match)};
}

}  // namespace nmos
