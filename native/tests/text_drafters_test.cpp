// What is drafted from texts: that at hand, and one that came with the request.
#include <algorithm>
#include <random>
#include <vector>

#include "check.h"
#include "observed_costs.h"
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

}  // namespace

TEST(text_drafters, "guesses what came behind the same text before") {
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

TEST(text_drafters, "goes on in the text that is being rewritten behind a difference") {
    const std::string source = "let first = second + third; return first;";
    check_draft(source, "let first = secand", " + thi", 0);
    check_draft(source, "let first = second - thi", "rd; re", 4);
    // Nothing there is like it any more.
    check_draft(source, "let first = 0123456789", "", 0);
}

TEST(text_drafters, "goes through a draft that came with the request, and on behind a difference") {
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

TEST(text_drafters, "is the surer of a token, the more of the draft stands before it") {
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

TEST(text_drafters, "never guesses a continuation that was not there, and misses none that was") {
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
