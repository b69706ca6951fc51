#include "speculative/recent_answers.h"

#include <algorithm>
#include <utility>

namespace nmos {

void RecentAnswers::add(std::span<const llama_token> answer) {
    // Nothing comes behind a match.
    if (answer.size() <= TextIndex::shortest_match) return;
    for (const llama_token token : answer) append(token);
    // No text has it, so that no match and no draft reaches from one answer into another.
    append(LLAMA_TOKEN_NULL);
}

void RecentAnswers::append(llama_token token) {
    if (newer_.text().size() >= half_) older_ = std::exchange(newer_, {});
    newer_.append(token);
}

void RecentAnswers::forget() noexcept {
    newer_.clear();
    older_.clear();
}

Draft RecentAnswers::draft(std::span<const llama_token> text, size_t longer_than, size_t most) const {
    std::span<const llama_token> behind;
    size_t matched = longer_than;
    for (const TextIndex* index : {&newer_, &older_}) {
        // There is none that is longer.
        if (matched >= TextIndex::longest_match) break;
        const TextIndex::Match match = index->find(text);
        if (match.length <= matched) continue;
        matched = match.length;
        behind = index->text().subspan(match.place);
    }
    behind = behind.first(std::min(most, behind.size()));
    const auto end = std::ranges::find(behind, LLAMA_TOKEN_NULL);
    const auto length = static_cast<size_t>(end - behind.begin());
    return {{behind.begin(), end}, certainties_behind(matched, length, certainty_of_recent)};
}

}  // namespace nmos
