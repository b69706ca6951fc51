#include "speculative/suffix_drafter.h"

#include <algorithm>

namespace nmos {

namespace {

// Tokens of a match. Shorter ones are found everywhere and say little.
constexpr size_t shortest_match = 3;

// Beyond this a longer match does not make a guess more likely.
constexpr size_t longest_match = 64;

// A match that is no chance: the answer follows the text there.
constexpr size_t telling_match = 8;

// Places that a guess looks at, the latest first.
constexpr size_t most_places = 24;

// Tokens within which a rewritten text is looked for again behind a difference.
constexpr size_t realignment = 12;

uint64_t mix(uint64_t hash, llama_token token) {
    return (hash ^ static_cast<uint32_t>(token)) * 0x9e3779b97f4a7c15u;
}

}  // namespace

SuffixDrafter::SuffixDrafter(std::span<const llama_token> text) : place_before_(1, none) {
    text_.reserve(text.size() * 2);
    for (const llama_token token : text) index(token);
    find_match();
}

void SuffixDrafter::append(llama_token token) {
    follow(token);
    index(token);
    find_match();
    if (matched_ < telling_match) return;
    source_ = best_;
    strayed_ = 0;
}

void SuffixDrafter::index(llama_token token) {
    text_.push_back(token);
    place_before_.push_back(none);
    if (text_.size() < shortest_match) return;
    uint64_t hash = 0;
    for (size_t i = text_.size() - shortest_match; i < text_.size(); ++i) hash = mix(hash, text_[i]);
    const auto [entry, is_new] = last_place_.try_emplace(hash, text_.size());
    if (is_new) return;
    place_before_.back() = entry->second;
    entry->second = text_.size();
}

// Keeps to the text that is being rewritten.
void SuffixDrafter::follow(llama_token token) {
    if (source_ == none) return;
    const auto from = text_.begin() + static_cast<std::ptrdiff_t>(source_);
    const auto to = from + static_cast<std::ptrdiff_t>(std::min(realignment, text_.size() - source_));
    const auto found = std::find(from, to, token);
    if (found != to) {
        source_ = static_cast<size_t>(found - text_.begin()) + 1;
        strayed_ = 0;
    } else if (++strayed_ > realignment) {
        source_ = none;
    }
}

size_t SuffixDrafter::matched_before(size_t place) const {
    size_t matched = 0;
    while (matched < std::min(place, longest_match) && text_[place - 1 - matched] == text_[text_.size() - 1 - matched]) ++matched;
    return matched;
}

void SuffixDrafter::find_match() {
    best_ = none;
    matched_ = 0;
    size_t looked_at = 0;
    for (size_t place = place_before_.back(); place != none && looked_at < most_places; place = place_before_[place], ++looked_at) {
        const size_t length = matched_before(place);
        // Of places that match alike, the one that the answer has followed, or else the latest.
        if (length < shortest_match || length < matched_ || (length == matched_ && place != source_)) continue;
        best_ = place;
        matched_ = length;
    }
}

Draft SuffixDrafter::draft(size_t most) const {
    const size_t place = best_ == none && strayed_ == 0 ? source_ : best_;
    if (place == none) return {};
    const auto begin = text_.begin() + static_cast<std::ptrdiff_t>(place);
    const size_t length = std::min(most, text_.size() - place);
    return {{begin, begin + static_cast<std::ptrdiff_t>(length)}, std::vector(length, certainty_of_match(matched_))};
}

}  // namespace nmos
