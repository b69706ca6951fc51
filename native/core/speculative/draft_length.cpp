#include "speculative/draft_length.h"

#include <algorithm>
#include <cmath>

namespace nmos {

namespace {

// Share of the last pass in the average.
constexpr double weight_of_latest = 0.2;

// What a further token is thought to add to a pass, in terms of the first one, until passes tell.
constexpr double assumed_slope = 0.5;

// What was learned from a token counts half after so many others.
constexpr double half_life = 200;

// With every draft that is not verified, what was learned of its kind counts so much less.
constexpr double decay_by_declining = 0.005;

// A wider pass that promises less is not worth the risk.
constexpr double least_gain = 1.03;

}  // namespace

void PassCosts::observe(uint32_t width, double seconds) {
    const auto [entry, is_new] = seconds_.try_emplace(width, seconds);
    if (!is_new) entry->second += weight_of_latest * (seconds - entry->second);
}

double PassCosts::relative(uint32_t width) const {
    const auto single = seconds_.find(1);
    if (width <= 1) return 1;
    if (single == seconds_.end()) return 1 + assumed_slope * (width - 1);
    const auto above = seconds_.lower_bound(width);
    const auto below = std::prev(above == seconds_.begin() ? std::next(above) : above);
    const double cost_below = below->second / single->second;
    double cost = 0;
    if (above != seconds_.end()) {
        const double share = static_cast<double>(width - below->first) / static_cast<double>(above->first - below->first);
        cost = cost_below + share * (above->second / single->second - cost_below);
    } else if (below->first == 1) {
        cost = 1 + assumed_slope * (width - 1);
    } else {
        // As between the first and the widest one.
        cost = 1 + (cost_below - 1) * (width - 1) / (below->first - 1);
    }
    return std::max(1.0, cost);
}

size_t DraftLength::class_of(const Draft& draft) {
    if (draft.matched == 0) return 0;
    // 3, 4 and 5, up to 8, up to 16, more.
    constexpr std::array<size_t, classes - 2> upper{3, 5, 8, 16};
    return 1 + static_cast<size_t>(std::ranges::lower_bound(upper, draft.matched) - upper.begin());
}

size_t DraftLength::best(const Draft& draft, const PassCosts& costs) const {
    const Rate& rate = rates_[class_of(draft)];
    const double right = rate.right / rate.tried;
    size_t best = 0;
    double best_gain = least_gain;
    double expected = 1;
    double all_right = 1;
    for (size_t length = 1; length <= std::min<size_t>(draft.tokens.size(), widest_verification - 1); ++length) {
        all_right *= right;
        expected += all_right;
        const double gain = expected / costs.relative(static_cast<uint32_t>(length + 1));
        if (gain <= best_gain) continue;
        best = length;
        best_gain = gain;
    }
    return best;
}

void DraftLength::learn(const Draft& draft, size_t accepted) {
    Rate& rate = rates_[class_of(draft)];
    // Behind the first wrong token nothing is known.
    const double tried = static_cast<double>(std::min(accepted + 1, draft.tokens.size()));
    const double kept = std::exp2(-tried / half_life);
    rate.right = rate.right * kept + static_cast<double>(accepted);
    rate.tried = rate.tried * kept + tried;
}

void DraftLength::decline(const Draft& draft) {
    Rate& rate = rates_[class_of(draft)];
    const Rate& first = assumed[class_of(draft)];
    rate.right += decay_by_declining * (first.right - rate.right);
    rate.tried += decay_by_declining * (first.tried - rate.tried);
}

}  // namespace nmos
