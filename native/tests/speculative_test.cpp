#include <algorithm>
#include <random>

#include "check.h"
#include "speculative/draft_control.h"
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

// Seconds of passes that grow with the width like this.
PassCosts costs_of(double slope) {
    PassCosts costs;
    for (const uint32_t width : {1u, 2u, 4u, 8u, 16u}) costs.observe(width, 1 + slope * (width - 1));
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

TEST(speculative, "goes on in the text that is being rewritten behind a difference") {
    const std::string source = "let first = second + third; return first;";
    check_draft(source, "let first = secand", " + thi", 0);
    check_draft(source, "let first = second - thi", "rd; re", 4);
    // Nothing there is like it any more.
    check_draft(source, "let first = 0123456789", "", 0);
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
    costs.observe(1, 2.0);
    costs.observe(5, 4.0);
    expect_equal(costs.relative(1), 1.0);
    expect_equal(costs.relative(3), 1.5);
    expect_equal(costs.relative(5), 2.0);
    expect_equal(costs.relative(9), 3.0);
    for (int i = 0; i < 100; ++i) costs.observe(5, 2.0);
    expect(std::abs(costs.relative(5) - 1) < 1e-6, "old passes to be forgotten");
}
