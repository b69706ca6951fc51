#include "speculative/text_index.h"

#include <algorithm>

namespace nmos {

namespace {

// Of the last few tokens.
uint64_t hash_of_end(std::span<const llama_token> text) {
    uint64_t hash = 0;
    for (const llama_token token : text.last(TextIndex::shortest_match)) hash = (hash ^ static_cast<uint32_t>(token)) * 0x9e3779b97f4a7c15u;
    return hash;
}

}  // namespace

void TextIndex::append(llama_token token) {
    text_.push_back(token);
    place_before_.push_back(none);
    if (text_.size() < shortest_match) return;
    const auto [entry, is_new] = last_place_.try_emplace(hash_of_end(text_), text_.size());
    if (is_new) return;
    place_before_.back() = entry->second;
    entry->second = text_.size();
}

void TextIndex::clear() noexcept {
    std::vector<llama_token>().swap(text_);
    std::vector<size_t>().swap(place_before_);
    last_place_.clear();
}

TextIndex::Match TextIndex::find(std::span<const llama_token> other) const {
    if (other.size() < shortest_match) return {};
    const auto entry = last_place_.find(hash_of_end(other));
    return entry == last_place_.end() ? Match{} : search(entry->second, other, none);
}

TextIndex::Match TextIndex::find_own_end(size_t preferred) const {
    return text_.empty() ? Match{} : search(place_before_.back(), text_, preferred);
}

TextIndex::Match TextIndex::search(size_t place, std::span<const llama_token> other, size_t preferred) const {
    Match best;
    for (size_t looked_at = 0; place != none && looked_at < most_places; place = place_before_[place - 1], ++looked_at) {
        // Nothing goes on there.
        if (place == text_.size() || text_[place] == LLAMA_TOKEN_NULL) continue;
        const size_t length = matched_before(place, other);
        best.compared += length + 1;
        // What only has the same hash is shorter.
        if (length < shortest_match || length < best.length || (length == best.length && place != preferred)) continue;
        best.place = place;
        best.length = length;
    }
    return best;
}

size_t TextIndex::matched_before(size_t place, std::span<const llama_token> other) const {
    const size_t most = std::min({place, other.size(), longest_match});
    size_t matched = 0;
    while (matched < most && text_[place - 1 - matched] == other[other.size() - 1 - matched]) ++matched;
    return matched;
}

}  // namespace nmos
