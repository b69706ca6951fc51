#include "speculative/draft_control.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace nmos {

namespace {

// What was learned from a token counts half after so many others.
constexpr double half_life = 200;

// With every draft that is not verified, what was learned of its kind counts so much less.
constexpr double decay_by_declining = 0.005;

// Of tokens of draft models, until verifications tell: that they are right, as if seen so often.
constexpr double assumed_of_model = 0.8;
constexpr double assumed_tries = 4;

// Calls `consider` with the number of leaves and the tokens that are expected with them, for none, one, and so on.
template <typename Leaves, typename Consider> void with_leaves(const Leaves& leaves, size_t room, double expected, Consider consider) {
    consider(size_t{0}, expected);
    for (size_t count = 1; count <= std::min({leaves.size(), room, most_leaves}); ++count) {
        expected += leaves[count - 1].first;
        consider(count, expected);
    }
}

}  // namespace

DraftControl::DraftControl() : of_model_{assumed_of_model * assumed_tries, assumed_tries} {
    for (size_t i = 0; i < certainties; ++i) rates_[i] = assumed(static_cast<Certainty>(i));
    // The draft model is believed what it says, of these as well.
    for (size_t i = 0; i < likelihoods; ++i) rates_of_seconds_[i] = assumed(static_cast<Certainty>(text_certainties + i));
}

// The longer the match, the likelier is the guess, in recent answers as in the text at hand; what another model wrote is right as
// often as a long one, and a draft model is believed what it says.
DraftControl::Rate DraftControl::assumed(Certainty certainty) {
    constexpr std::array<Rate, certainty_of_given + 1> of_texts{{{2, 4}, {1, 4}, {2, 5}, {3, 5}, {4, 5}, {9, 10}, {4, 5}}};
    if (!is_of_model(certainty)) return of_texts[certainty > certainty_of_given ? certainty - certainty_of_given : certainty];
    const size_t bin = certainty - text_certainties;
    const double low = bin == 0 ? 0 : probability_bounds[bin - 1];
    const double high = bin == probability_bounds.size() ? 1 : probability_bounds[bin];
    return {(low + high) / 2 * assumed_tries, assumed_tries};
}

void DraftControl::Rate::add(double share_right) {
    const double kept = std::exp2(-1 / half_life);
    right = right * kept + share_right;
    tried = tried * kept + 1;
}

void DraftControl::Rate::return_to(const Rate& assumed) {
    right += decay_by_declining * (assumed.right - right);
    tried += decay_by_declining * (assumed.tried - tried);
}

void DraftControl::add(const Draft& draft, size_t place, double& all_right, double& expected, Leaves& leaves) const {
    const double right = rates_[draft.certainties[place]].value();
    if (const SecondChoice second = draft.second(place); second.token != LLAMA_TOKEN_NULL) {
        const std::pair leaf(all_right * (1 - right) * rates_of_seconds_[second.likelihood].value(), place);
        leaves.insert(std::ranges::upper_bound(leaves, leaf, std::greater()), leaf);
    }
    all_right *= right;
    expected += all_right;
}

DraftControl::Choice DraftControl::best(const Draft& draft, const PassCosts& costs, double spent, size_t most, size_t before) const {
    most = std::min<size_t>(most, widest_verification - before);
    const double without = costs.relative(static_cast<uint32_t>(before));
    Choice best{0, without / (without + spent)};
    double to_beat = least_gain * best.gain;
    double expected = 1;
    double all_right = 1;
    Leaves leaves;
    for (size_t length = 1; length <= std::min(draft.size(), most); ++length) {
        add(draft, length - 1, all_right, expected, leaves);
        with_leaves(leaves, most - length, expected, [&](size_t count, double tokens) {
            const double gain = without * tokens / (costs.relative(static_cast<uint32_t>(before + length + count)) + spent);
            if (gain <= to_beat) return;
            best = {length, gain};
            for (size_t i = 0; i < count; ++i) best.leaves.push_back(leaves[i].second);
            to_beat = gain;
        });
    }
    std::ranges::sort(best.leaves);
    return best;
}

double DraftControl::forecast(const Draft& draft, size_t most, double price, const PassCosts& costs, size_t before) const {
    most = std::min<size_t>(most, widest_verification - before);
    const double without = costs.relative(static_cast<uint32_t>(before));
    double expected = 1;
    double all_right = 1;
    Leaves leaves;
    for (size_t place = 0; place < draft.size(); ++place) add(draft, place, all_right, expected, leaves);
    double best = 0;
    // Further than the next token, because a pass may be dear at one width and hardly dearer at twice that.
    for (size_t length = draft.size() + 1; length <= most; ++length) {
        all_right *= of_model_.value();
        expected += all_right;
        with_leaves(leaves, most - length, expected, [&](size_t count, double tokens) {
            best = std::max(best, without * tokens / (costs.relative(static_cast<uint32_t>(before + length + count)) + static_cast<double>(length) * price));
        });
    }
    return best;
}

void DraftControl::learn_made(const Draft& draft) {
    // It took a pass over the draft model and is of no use: a grammar forbids what comes next.
    if (draft.empty()) of_model_.add(0);
    // Also of what is not worth a pass: how sure it is of its tokens tells how often they would be right.
    for (const Certainty certainty : draft.certainties) of_model_.add(rates_[certainty].value());
}

void DraftControl::learn(const Draft& draft, size_t accepted, llama_token instead) {
    // Behind the first wrong token nothing is known.
    for (size_t i = 0; i < std::min(accepted + 1, draft.size()); ++i) {
        rates_[draft.certainties[i]].add(i < accepted ? 1 : 0);
    }
    const SecondChoice second = draft.second(accepted);
    if (instead == LLAMA_TOKEN_NULL || second.token == LLAMA_TOKEN_NULL) return;
    rates_of_seconds_[second.likelihood].add(second.token == instead ? 1 : 0);
}

void DraftControl::decline(Certainty certainty) {
    rates_[certainty].return_to(assumed(certainty));
}

void DraftControl::decline_model() {
    of_model_.return_to({assumed_of_model * assumed_tries, assumed_tries});
    for (size_t i = text_certainties; i < certainties; ++i) decline(static_cast<Certainty>(i));
}

}  // namespace nmos
