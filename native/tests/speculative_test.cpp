#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "check.h"
#include "speculative/draft_control.h"
#include "speculative/given_draft.h"
#include "speculative/suffix_drafter.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

Tokens tokens_of(const std::string& letters) {
    return Tokens(letters.begin(), letters.end());
}

// What comes behind the text, a letter a token.
void check_draft(const std::string& text, const std::string& answer, const std::string& expected, size_t matched, Location at = Location::here()) {
    SuffixDrafter drafter(tokens_of(text));
    for (const char letter : answer) drafter.append(letter);
    const Draft draft = drafter.draft(6);
    expect_equal(std::string(draft.tokens.begin(), draft.tokens.end()), expected, at);
    expect_equal(drafter.matched(), matched, at);
}

// What is left of a draft behind an answer, and whether the answer was like it so far.
void check_given(const std::string& given, const std::string& answer, const std::string& expected, bool agreed, Location at = Location::here()) {
    GivenDraft drafter(tokens_of(given));
    for (const char letter : answer) drafter.append(letter);
    const Draft draft = drafter.draft(6);
    expect_equal(std::string(draft.tokens.begin(), draft.tokens.end()), expected, at);
    expect_equal(draft.certainties.size(), expected.size(), at);
    for (size_t i = 0; i < draft.size(); ++i) expect_equal(int{draft.certainties[i]}, int{agreed ? certainty_of_given : certainty_of_match(i)}, at);
}

// Often enough to go by.
void observe(PassCosts& costs, uint32_t width, double seconds) {
    for (int i = 0; i < 2; ++i) costs.observe(width, seconds);
}

// Seconds of passes that grow with the width like this.
PassCosts costs_of(double slope) {
    PassCosts costs;
    for (const uint32_t width : {1u, 2u, 4u, 8u, 16u}) observe(costs, width, 1 + slope * (width - 1));
    return costs;
}

Draft some_draft(size_t length, size_t matched) {
    return {Tokens(length, 1), std::vector(length, certainty_of_match(matched))};
}

}  // namespace

TEST(speculative, "guesses what came behind the same text before") {
    check_draft("", "", "", 0);
    check_draft("abc", "", "", 0);
    check_draft("abcdefg", "abc", "defgab", 3);
    check_draft("abcdefg abc", "", "defg a", 3);
    check_draft("abcdefg", "ab", "", 0);
    check_draft("abcdefg", "xabcd", "efgxab", 4);
    // The longest match, not the latest.
    check_draft("1abcX 2abcY abcZ", "2abc", "Y abcZ", 4);
    // Of equal ones the latest.
    check_draft("1abcX2abcY3", "abc", "Y3abc", 3);
}

TEST(speculative, "a draft model is tried where two tokens take almost as long as four, and sixteen hardly longer") {
    // A model larger than the card that a smaller one lies on.
    constexpr std::array<double, widest_verification> seconds{1, 1.74, 1.93, 2.12, 2.18, 2.23, 2.29, 2.35, 2.48, 2.62, 2.75, 2.89, 3.03, 3.16, 3.3, 3.43};
    PassCosts costs;
    for (uint32_t width = 1; width <= widest_verification; ++width) observe(costs, width, seconds[width - 1]);
    const double promised = DraftControl().forecast({}, widest_verification - 1, 0.12, costs);
    expect(promised > 1.1, "a gain that is worth trying, got " + show(promised));
    expect(DraftControl().forecast({}, widest_verification - 1, 0.6, costs) < least_gain, "none where its passes are dear");
}

TEST(speculative, "goes on in the text that is being rewritten behind a difference") {
    const std::string source = "let first = second + third; return first;";
    check_draft(source, "let first = secand", " + thi", 0);
    check_draft(source, "let first = second - thi", "rd; re", 4);
    // Nothing there is like it any more.
    check_draft(source, "let first = 0123456789", "", 0);
}

TEST(speculative, "goes through a draft that came with the request, and on behind a difference") {
    constexpr bool agreed = true;
    constexpr bool resumed = false;
    check_given("", "", "", agreed);
    check_given("", "abc", "", agreed);
    check_given("abcdefgh", "", "abcdef", agreed);
    check_given("abcdefgh", "abc", "defgh", agreed);
    check_given("abcdefgh", "abcdefgh", "", agreed);
    check_given("abcdefgh", "abcdefghi", "", agreed);
    // Another token, one more, one less.
    check_given("abcdefgh", "abX", "", resumed);
    check_given("abcdefgh", "abXd", "efgh", resumed);
    check_given("abcdefgh", "abXc", "defgh", resumed);
    check_given("abcdefgh", "abd", "efgh", resumed);
    check_given("abcdefgh", "Xa", "bcdefg", resumed);
    check_given("abcdefgh", "a" + std::string(12, 'X') + "b", "cdefgh", resumed);
    // It is about something else.
    check_given("abcdefgh", "a" + std::string(13, 'X') + "b", "", resumed);
    expect(is_of_model(certainty_of_probability(0)) && !is_of_model(certainty_of_given), "one that came with the request to be of no draft model");
    expect(int{certainty_of_probability(1)} < int{certainties}, "every certainty to have a place");
}

TEST(speculative, "is the surer of a token, the more of the draft stands before it") {
    const std::string letters = "abcdefghijklmnopqrstuvwxyz";
    const auto check = [&](const std::string& answer, size_t matched) {
        SuffixDrafter drafter(tokens_of(letters));
        for (const char letter : answer) drafter.append(letter);
        const Draft draft = drafter.draft(15);
        expect_equal(drafter.matched(), matched);
        expect_equal(draft.size(), size_t{15});
        for (size_t i = 0; i < draft.size(); ++i) expect_equal(int{draft.certainties[i]}, int{certainty_of_match(matched + i)});
    };
    check("abc", 3);
    check(letters.substr(0, 12), 12);
    // Behind a difference.
    check(letters.substr(0, 12) + "Xn", 0);
    // What is right at the beginning of a draft is not told by what is right at its end.
    DraftControl control;
    Draft draft;
    for (size_t i = 0; i < 15; ++i) draft.push_back(1, certainty_of_match(3 + i));
    for (int i = 0; i < 40; ++i) control.learn(draft, i % 2 == 0 ? 15 : 0);
    const auto gain = [&](size_t matched) {
        Draft one;
        one.push_back(1, certainty_of_match(matched));
        return control.best(one, costs_of(0)).gain;
    };
    expect(gain(3) < 1.7 && gain(12) > 1.9, "half of the first tokens to be right, and all behind them, got " + show(gain(3)) + " and " + show(gain(12)));
    expect_equal(control.best(draft, costs_of(0.1)).length, size_t{15});
}

TEST(speculative, "never guesses a continuation that was not there, and misses none that was") {
    std::mt19937 random(1);
    for (int run = 0; run < 200; ++run) {
        Tokens text;
        const int letters = 2 + static_cast<int>(random() % 6);
        for (int i = 0; i < 120; ++i) text.push_back(static_cast<llama_token>(random() % static_cast<unsigned>(letters)));
        SuffixDrafter drafter({text.data(), 20});
        for (size_t length = 20; length < text.size(); ++length) {
            const Draft draft = drafter.draft(4);
            // By comparing every place with the end of the text.
            size_t longest = 0;
            for (size_t place = 1; place < length; ++place) {
                size_t same = 0;
                while (same < place && same < 64 && text[place - 1 - same] == text[length - 1 - same]) ++same;
                longest = std::max(longest, same);
            }
            expect(drafter.matched() <= longest, "no match of more than " + show(longest) + ", got " + show(drafter.matched()));
            expect_equal(drafter.matched() > 0, longest >= 3);
            Tokens whole(text.begin() + static_cast<std::ptrdiff_t>(length - drafter.matched()), text.begin() + static_cast<std::ptrdiff_t>(length));
            whole.insert(whole.end(), draft.tokens.begin(), draft.tokens.end());
            const auto end = text.begin() + static_cast<std::ptrdiff_t>(length);
            expect(drafter.matched() == 0 || std::search(text.begin(), end, whole.begin(), whole.end()) != end, "match and guess to be one piece of the text");
            drafter.append(text[length]);
        }
    }
}

TEST(speculative, "verifies more the cheaper a wide pass is and the likelier the guess") {
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

TEST(speculative, "knows the cost of passes it has not seen from those it has") {
    PassCosts costs;
    expect_equal(costs.relative(1), 1.0);
    expect(costs.relative(4) > 1, "a guess");
    observe(costs, 1, 2.0);
    observe(costs, 5, 4.0);
    expect_equal(costs.relative(1), 1.0);
    expect_equal(costs.relative(3), 1.5);
    expect_equal(costs.relative(5), 2.0);
    expect_equal(costs.relative(9), 3.0);
    for (int i = 0; i < 100; ++i) costs.observe(5, 2.0);
    expect(std::abs(costs.relative(5) - 1) < 1e-6, "old passes to be forgotten");
    // However steep it is up to the widest one that was seen, half a pass for every further token.
    PassCosts steep;
    observe(steep, 1, 1.0);
    observe(steep, 5, 5.0);
    expect_equal(steep.relative(4), 4.0);
    expect_equal(steep.relative(5), 5.0);
    expect_equal(steep.relative(9), 7.0);
    // Unless prompts tell that wide passes are no cheaper.
    steep.observe_prefill(100, 75);
    expect_equal(steep.relative(9), 8.0);
    steep.observe_prefill(100, 100'000);
    expect_equal(steep.relative(9), 9.0);
}

TEST(speculative, "finds out that wide passes are cheap where narrow ones are dear") {
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

TEST(speculative, "corrects what was predicted of passes by what they take") {
    PassCosts costs;
    expect_equal(costs.seconds(), 0.0);
    expect_equal(costs.relative(3), 2.0);
    for (const auto& [width, seconds] : {std::pair(1u, 2.0), std::pair(4u, 6.0), std::pair(16u, 6.0)}) costs.predict(width, seconds);
    expect_equal(costs.seconds(), 2.0);
    expect(std::abs(costs.relative(2) - 5.0 / 3.0) < 1e-9, "a third of the way from one to four tokens");
    expect_equal(costs.relative(8), 3.0);
    expect(!costs.known(), "what is only predicted not to be known");
    // All of them take half as long again: relative to each other they stay.
    for (int i = 0; i < 2; ++i) costs.observe(1, 3.0);
    expect(costs.known(), "what was timed twice to be known");
    expect_equal(costs.seconds(), 3.0);
    for (int i = 0; i < 2; ++i) costs.observe(4, 9.0);
    expect_equal(costs.relative(4), 3.0);
    expect_equal(costs.relative(16), 3.0);
    // Wide ones take less than that, and so probably those between.
    for (int i = 0; i < 2; ++i) costs.observe(16, 4.5);
    expect_equal(costs.relative(16), 1.5);
    expect(costs.relative(10) > 1.5 && costs.relative(10) < 3, "a cost between");
    // Not cheaper than one token.
    for (int i = 0; i < 99; ++i) costs.observe(16, 1.0);
    expect_equal(costs.relative(16), 1.0);
}

TEST(speculative, "takes the quicker of the first two passes of a width, and an average from there") {
    PassCosts costs;
    costs.observe(1, 9);
    costs.observe(1, 1);
    expect_equal(costs.seconds(), 1.0);
    costs.observe(1, 2);
    expect(costs.seconds() > 1 && costs.seconds() < 2, "an average");
    PassCosts prompts;
    for (int i = 0; i < 2; ++i) prompts.observe(1, 0.1);
    expect(prompts.prefill_seconds(100) > 5, "a guess that is rather too much");
    prompts.observe_prefill(200, 1);
    expect_equal(prompts.prefill_seconds(100), 0.5);
}

TEST(speculative, "is not misled for good by a pass that something held up") {
    PassCosts first;
    observe(first, 1, 1);
    const double guess = first.relative(8);
    // The first one of a width also builds what later ones need.
    first.observe(8, 20);
    expect_equal(first.relative(8), guess);
    first.observe(8, 2);
    expect_equal(first.relative(8), 2.0);
    for (const double held_up : {100.0, 100'000.0}) {
        PassCosts costs;
        for (const uint32_t width : {1u, 8u}) observe(costs, width, width == 1 ? 1 : 2);
        costs.observe(8, held_up);
        expect(costs.relative(8) < 3, "hardly dearer passes, got " + show(costs.relative(8)));
        for (int i = 0; i < 20; ++i) costs.observe(8, held_up);
        expect(costs.relative(8) > 50, "dearer ones where they stay so, got " + show(costs.relative(8)));
    }
}

TEST(speculative, "tries a width again that looked dear long ago, and believes what it sees then") {
    const auto single_passes = [](PassCosts& costs, int count) {
        for (int i = 0; i < count; ++i) costs.observe(1, 1);
    };
    for (const bool predicted : {false, true}) {
        PassCosts costs;
        observe(costs, 1, 1);
        if (predicted) {
            for (const uint32_t width : {1u, 16u}) costs.predict(width, width == 1 ? 0.5 : 1);
        }
        const double expected = costs.relative(8);
        observe(costs, 8, 40);
        expect_equal(costs.relative(8), 40.0);
        single_passes(costs, 60);
        expect_equal(costs.relative(8), 40.0);
        single_passes(costs, 600);
        expect(std::abs(costs.relative(8) - expected) < 1e-9, "to expect " + show(expected) + " again, got " + show(costs.relative(8)));
        PassCosts cheaper = costs;
        cheaper.observe(8, 2);
        expect_equal(cheaper.relative(8), 2.0);
        costs.observe(8, 40);
        expect_equal(costs.relative(8), 40.0);
        // What one pass of a single token takes is seen all the time, or predicted.
        for (int i = 0; i < 600; ++i) costs.observe(8, 40);
        expect_equal(costs.relative(8), 40.0);
    }
}

TEST(speculative, "knows what choosing a drafted token takes, and forgets it while none is drafted") {
    PassCosts costs = costs_of(0.1);
    expect_equal(costs.choice_seconds(), 0.0);
    costs.observe_choice(9);
    expect_equal(costs.choice_seconds(), 0.0);
    // The first one also makes room for what later ones use.
    costs.observe_choice(0.25);
    expect_equal(costs.choice_seconds(), 0.25);
    costs.observe_choice(100'000);
    expect(costs.choice_seconds() < 0.5, "hardly more where something held one up, got " + show(costs.choice_seconds()));
    for (int i = 0; i < 60; ++i) costs.observe(1, 1);
    expect(costs.choice_seconds() > 0.25, "to be known still");
    for (int i = 0; i < 600; ++i) costs.observe(1, 1);
    expect_equal(costs.choice_seconds(), 0.0);
    costs.observe_choice(0.5);
    expect_equal(costs.choice_seconds(), 0.5);
}

TEST(speculative, "expects an answer to go on as earlier ones did") {
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

TEST(speculative, "asks a draft model for more the cheaper it is and the surer it was") {
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

TEST(speculative, "prices a pass by all of its tokens, also where it begins with two") {
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

// Tokens of a draft model that is so sure of each and, where that is wrong, of its second choice.
Draft with_seconds(size_t length, double probability, double of_second) {
    Draft draft;
    for (size_t i = 0; i < length; ++i) draft.push_back(1, certainty_of_probability(probability), second_choice(2, of_second));
    return draft;
}

TEST(speculative, "verifies second choices where a wider pass costs less than they add") {
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

TEST(speculative, "learns how often second choices are right from every wrong token") {
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

TEST(speculative, "finds the row of logits behind what was chosen") {
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

TEST(speculative, "a draft model that is asked in vain is soon asked no more") {
    DraftControl control;
    const PassCosts costs = costs_of(0.1);
    expect(control.forecast({}, 15, 0.2, costs) > 1.03, "a new one to be worth it");
    for (int i = 0; i < 50; ++i) control.learn_made({});
    expect(control.forecast({}, 15, 0.2, costs) < 1.03, "one in vain not to be");
}

TEST(speculative, "learns how often a draft model is right, also from drafts that nothing verified") {
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
