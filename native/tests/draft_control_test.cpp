#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "check.h"
#include "observed_costs.h"
#include "speculative/draft_control.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

Draft some_draft(size_t length, size_t matched) {
    return {Tokens(length, 1), std::vector(length, certainty_of_match(matched))};
}

// Tokens of a draft model that is so sure of each and, where that is wrong, of its second choice.
Draft with_seconds(size_t length, double probability, double of_second) {
    Draft draft;
    for (size_t i = 0; i < length; ++i) draft.push_back(1, certainty_of_probability(probability), second_choice(2, of_second));
    return draft;
}

}  // namespace

TEST(draft_control, "verifies more the cheaper a wide pass is and the likelier the guess") {
    const DraftControl fresh;
    const Draft draft = some_draft(15, 20);
    expect_equal(fresh.best(draft, costs_of(1)).length, size_t{0});
    size_t before = 15;
    for (const double slope : {0.0, 0.05, 0.2, 0.5, 0.9}) {
        const size_t length = fresh.best(draft, costs_of(slope)).length;
        expect(length <= before, "no longer draft with dearer passes");
        before = length;
    }
    expect_equal(fresh.best(draft, costs_of(0)).length, size_t{15});
    DraftControl sure;
    DraftControl unsure;
    for (int i = 0; i < 30; ++i) {
        sure.learn(draft, 15);
        unsure.learn(draft, 0);
    }
    expect(sure.best(draft, costs_of(0.3)).length > fresh.best(draft, costs_of(0.3)).length, "longer drafts when they are right");
    expect_equal(unsure.best(draft, costs_of(0.3)).length, size_t{0});
    // Another kind of draft has not been judged yet.
    expect(unsure.best(some_draft(15, 12), costs_of(0.3)).length > 0, "drafts of another kind");
    // After many that were not tried, one is.
    int declined = 0;
    while (unsure.best(draft, costs_of(0.3)).length == 0 && ++declined < 10'000) unsure.decline(draft.certainties.front());
    expect(declined > 50 && declined < 2'000, "a try now and then, got one after " + show(declined));
}

TEST(draft_control, "finds out that wide passes are cheap where narrow ones are dear") {
    // As of a model of 1.5 billion parameters on two cores, in terms of the first one.
    constexpr std::array<double, widest_verification> seconds{1, 1.94, 2.8, 3.33, 3.95, 4.58, 4.87, 5.15, 5.32, 5.49, 5.66, 5.83, 6, 6.16, 6.33, 6.5};
    PassCosts costs;
    observe(costs, 1, 1);
    DraftControl control;
    size_t length = 0;
    // The text is written once more, so that every token of its drafts is right.
    for (int pass = 0; pass < 40; ++pass) {
        Draft draft = some_draft(15, 12);
        length = control.best(draft, costs).length;
        expect(length > 0, "a draft in every pass");
        draft.cut(length);
        costs.observe(static_cast<uint32_t>(1 + length), seconds[length]);
        control.learn(draft, length);
    }
    expect_equal(length, size_t{15});
}

TEST(draft_control, "expects an answer to go on as earlier ones did") {
    AnswerLengths lengths;
    const double at_first = lengths.remaining(0, 1000);
    expect(at_first > 50 && at_first < 300, "something usual, got " + show(at_first));
    for (int i = 0; i < 16; ++i) lengths.observe(40);
    expect_equal(lengths.remaining(0, 1000), 40.0);
    expect_equal(lengths.remaining(30, 1000), 10.0);
    expect_equal(lengths.remaining(0, 25), 25.0);
    // Longer than any before.
    expect_equal(lengths.remaining(80, 1000), 20.0);
    for (int i = 0; i < 8; ++i) lengths.observe(100);
    expect_equal(lengths.remaining(0, 1000), 70.0);
    expect_equal(lengths.remaining(50, 1000), 50.0);
}

TEST(draft_control, "a draft model is tried where two tokens take almost as long as four, and sixteen hardly longer") {
    // A model larger than the card that a smaller one lies on.
    constexpr std::array<double, widest_verification> seconds{1, 1.74, 1.93, 2.12, 2.18, 2.23, 2.29, 2.35, 2.48, 2.62, 2.75, 2.89, 3.03, 3.16, 3.3, 3.43};
    PassCosts costs;
    for (uint32_t width = 1; width <= widest_verification; ++width) observe(costs, width, seconds[width - 1]);
    const double promised = DraftControl().forecast({}, widest_verification - 1, 0.12, costs);
    expect(promised > 1.1, "a gain that is worth trying, got " + show(promised));
    expect(DraftControl().forecast({}, widest_verification - 1, 0.6, costs) < least_gain, "none where its passes are dear");
}

TEST(draft_control, "asks a draft model for more the cheaper it is and the surer it was") {
    const DraftControl fresh;
    const PassCosts costs = costs_of(0.1);
    expect(fresh.forecast({}, 15, 0.05, costs) > 1.5, "a cheap one to be worth it");
    expect(fresh.forecast({}, 15, 0.9, costs) < 1, "one that is as slow as the model itself not to be");
    expect(fresh.forecast({}, 0, 0.05, costs) < 1, "nothing from no tokens");
    Draft sure;
    Draft unsure;
    for (int i = 0; i < 3; ++i) {
        sure.push_back(1, certainty_of_probability(0.99));
        unsure.push_back(1, certainty_of_probability(0.15));
    }
    const auto goes_on = [&](const Draft& draft) {
        const double price = 0.1;
        return fresh.forecast(draft, 15, price, costs) > fresh.best(draft, costs, 3 * price).gain;
    };
    expect(goes_on(sure), "to go on behind sure tokens");
    expect(!goes_on(unsure), "to stop behind unsure ones");
    // A pass that is dear at every width up to 8 and no dearer behind: a step ahead sees nothing, further ahead it pays.
    PassCosts steps;
    for (const auto& [width, seconds] : {std::pair(1u, 1.0), std::pair(2u, 2.0), std::pair(16u, 2.0)}) observe(steps, width, seconds);
    expect_equal(fresh.best(sure, steps).length, size_t{3});
    expect(fresh.forecast({}, 1, 0.01, steps) < 1, "one token not to be worth it");
    expect(fresh.forecast({}, 15, 0.01, steps) > 1.03, "many tokens to be worth it");
}

TEST(draft_control, "prices a pass by all of its tokens, also where it begins with two") {
    const DraftControl fresh;
    Draft sure;
    for (int i = 0; i < 5; ++i) sure.push_back(1, certainty_of_probability(0.99));
    // Dear from five tokens on.
    PassCosts steps;
    for (const auto& [width, seconds] : {std::pair(1u, 1.0), std::pair(4u, 1.0), std::pair(5u, 8.0), std::pair(16u, 8.0)}) observe(steps, width, seconds);
    expect_equal(fresh.best(sure, steps, 0, 15).length, size_t{3});
    expect_equal(fresh.best(sure, steps, 0, 14, 2).length, size_t{2});
    expect(fresh.forecast({}, 3, 0.01, steps) > fresh.forecast({}, 3, 0.01, steps, 2), "less to be expected beside two tokens");
    // Against a pass over the two alone: what costs nothing beside them gains as much as beside one.
    const PassCosts even = costs_of(0);
    expect_equal(fresh.best(sure, even, 0, 14, 2).gain, fresh.best(sure, even, 0, 14).gain);
    PassCosts dear;
    for (const auto& [width, seconds] : {std::pair(1u, 1.0), std::pair(2u, 4.0), std::pair(16u, 4.0)}) observe(dear, width, seconds);
    expect_equal(fresh.best({}, dear, 0, 14, 2).gain, 1.0);
    expect_equal(fresh.best(sure, dear, 0, 14, 2).length, size_t{5});
    expect_equal(fresh.best(sure, dear, 0, 14).length, size_t{5});
}

TEST(draft_control, "verifies second choices where a wider pass costs less than they add") {
    const DraftControl fresh;
    const auto leaves = [&](const Draft& draft, double slope, size_t most = 15) { return fresh.best(draft, costs_of(slope), 0.3, most).leaves; };
    using Places = std::vector<size_t>;
    expect_equal(leaves(with_seconds(3, 0.6, 0.8), 0), Places{0, 1, 2});
    expect_equal(leaves(with_seconds(3, 0.6, 0.8), 0.5), Places{});
    expect_equal(leaves(with_seconds(8, 0.6, 0.8), 0).size(), most_leaves);
    // The first ones are reached most often.
    expect_equal(leaves(with_seconds(8, 0.6, 0.8), 0), Places{0, 1, 2, 3});
    expect_equal(leaves(with_seconds(3, 0.6, 0.8), 0.15), Places{0});
    // None where the chain is surely right, or the second choice as wrong as the first.
    expect_equal(leaves(with_seconds(3, 0.99, 0.8), 0.05), Places{});
    expect_equal(leaves(with_seconds(3, 0.6, 0.05), 0.05), Places{});
    expect_equal(leaves(some_draft(3, 5), 0), Places{});
    // The chain comes first where there is room for few.
    const DraftControl::Choice few = fresh.best(with_seconds(8, 0.9, 0.8), costs_of(0), 0, 8);
    expect_equal(few.length + few.leaves.size(), size_t{8});
    // With them the same draft gains more, never less.
    Draft chain = with_seconds(3, 0.6, 0.8);
    const double with = fresh.best(chain, costs_of(0)).gain;
    const double forecast = fresh.forecast(chain, 15, 0.01, costs_of(0));
    chain.seconds.clear();
    expect(with > fresh.best(chain, costs_of(0)).gain, "a higher gain with second choices");
    expect(forecast > fresh.forecast(chain, 15, 0.01, costs_of(0)), "a higher forecast with second choices");
}

TEST(draft_control, "learns how often second choices are right from every wrong token") {
    const Draft draft = with_seconds(3, 0.6, 0.5);
    const auto are_worth_it = [&](const DraftControl& control) { return !control.best(draft, costs_of(0.05), 0.3).leaves.empty(); };
    DraftControl right;
    DraftControl wrong;
    DraftControl unknown;
    for (size_t i = 0; i < 60; ++i) {
        right.learn(draft, i % 2, 2);
        wrong.learn(draft, i % 2, 3);
        unknown.learn(draft, i % 2);
    }
    expect(are_worth_it(right) && are_worth_it(unknown), "right ones to be verified");
    expect(!are_worth_it(wrong), "wrong ones not to be");
    // Also of those that were not verified: they are tried again as soon as they would have been right.
    for (size_t i = 0; i < 60; ++i) wrong.learn(draft, i % 2, 2);
    expect(are_worth_it(wrong), "those that have become right to be verified");
}

TEST(draft_control, "finds the row of logits behind what was chosen") {
    Draft draft = with_seconds(4, 0.6, 0.8);
    draft.leaves = {1, 3};
    using Row = std::optional<size_t>;
    const auto check = [&](size_t row, llama_token token, Row expected) { expect(draft.row_behind(row, token) == expected, "row " + show(expected.value_or(99)) + " behind row " + show(row)); };
    check(0, 1, 1);
    check(0, 2, std::nullopt);
    check(1, 2, 5);
    check(1, 3, std::nullopt);
    check(3, 1, 4);
    check(3, 2, 6);
    for (const size_t last : {4, 5, 6}) check(last, 1, std::nullopt);
    draft.cut(3);
    expect_equal(draft.leaves, std::vector<size_t>{1});
    check(1, 2, 4);
    check(2, 2, std::nullopt);
}

TEST(draft_control, "a draft model that is asked in vain is soon asked no more") {
    DraftControl control;
    const PassCosts costs = costs_of(0.1);
    expect(control.forecast({}, 15, 0.2, costs) > 1.03, "a new one to be worth it");
    for (int i = 0; i < 50; ++i) control.learn_made({});
    expect(control.forecast({}, 15, 0.2, costs) < 1.03, "one in vain not to be");
}

TEST(draft_control, "learns how often a draft model is right, also from drafts that nothing verified") {
    DraftControl control;
    const PassCosts costs = costs_of(0.1);
    Draft unsure;
    unsure.push_back(1, certainty_of_probability(0.05));
    for (int i = 0; i < 50; ++i) control.learn_made(unsure);
    expect(control.forecast({}, 15, 0.2, costs) < 1.03, "no more drafts of a model that is never sure");
    int declined = 0;
    while (control.forecast({}, 15, 0.2, costs) < 1.03 && ++declined < 10'000) control.decline_model();
    expect(declined > 50 && declined < 2'000, "a try now and then, got one after " + show(declined));
    // One that is sure and wrong is believed no more.
    Draft wrong;
    wrong.push_back(1, certainty_of_probability(0.99));
    for (int i = 0; i < 30; ++i) control.learn(wrong, 0);
    expect_equal(control.best(wrong, costs).length, size_t{0});
}
