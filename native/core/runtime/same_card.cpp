#include "runtime/same_card.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace nmos {

namespace {

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    return text;
}

bool is_same(const CardIdentity& a, const CardIdentity& b) {
    if (!a.is_card || !b.is_card || a.backend == b.backend) return false;
    if (!a.pci_id.empty() && !b.pci_id.empty()) return lower(a.pci_id) == lower(b.pci_id);
    return !a.description.empty() && a.description == b.description;
}

}  // namespace

std::vector<bool> repeated_cards(const std::vector<CardIdentity>& cards) {
    std::vector<size_t> order(cards.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t i) { return cards[i].backend != "CUDA"; });
    std::vector<bool> repeated(cards.size());
    std::vector<std::pair<size_t, std::string>> matched;  // a device that stays, with the backend that repeats it
    std::vector<size_t> kept;
    for (const size_t i : order) {
        const auto original = std::ranges::find_if(kept, [&](size_t other) {
            return is_same(cards[i], cards[other]) && std::ranges::find(matched, std::pair(other, cards[i].backend)) == matched.end();
        });
        repeated[i] = original != kept.end();
        if (repeated[i]) matched.emplace_back(*original, cards[i].backend);
        else kept.push_back(i);
    }
    return repeated;
}

}  // namespace nmos
