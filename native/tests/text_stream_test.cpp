#include "runtime/text_stream.h"

#include <algorithm>
#include <random>

#include "check.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

struct Input {
    std::vector<std::string> pushes;
    std::vector<std::string> stops = {};
    size_t skip = 0;
};

// `expected`: what every push hands out, then what `finish` does.
void check(const Input& input, const std::vector<std::string>& expected, bool stopped = false, Location at = Location::here()) {
    TextStream stream(input.skip, input.stops);
    std::vector<std::string> handed_out;
    for (const std::string& bytes : input.pushes) handed_out.push_back(stream.push(bytes));
    handed_out.push_back(stream.finish());
    expect_equal(handed_out, expected, at);
    expect_equal(stream.stopped(), stopped, at);
}

void check_tail(std::string_view text, size_t expected, Location at = Location::here()) {
    expect_equal(incomplete_tail(text), expected, at);
}

bool is_continuation(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

// Begins and ends between two characters; enough for text that is cut out of valid UTF-8.
bool is_whole(std::string_view text) {
    return text.empty() || (!is_continuation(text.front()) && incomplete_tail(text) == 0);
}

using Random = std::mt19937;

size_t below(Random& random, size_t end) {
    return random() % end;
}

std::string random_text(Random& random, size_t longest) {
    // Few letters, so that stop strings come about by chance, and characters of every length, two of which share
    // their first three bytes.
    static const std::vector<std::string> letters = {"a", "b", "\n", "\u00e4", "\u20ac", "\U0001F600", "\U0001F601"};
    std::string text;
    for (size_t count = below(random, longest + 1); count > 0; --count) text += letters[below(random, letters.size())];
    return text;
}

// What is shown of `text`: up to the stop string that is complete first, or else all whole characters.
std::string shown_part(const std::string& text, const std::vector<std::string>& stops) {
    for (size_t end = 1; end <= text.size(); ++end) {
        size_t begin = std::string::npos;
        for (const std::string& stop : stops) {
            if (std::string_view(text).substr(0, end).ends_with(stop)) begin = std::min(begin, end - stop.size());
        }
        if (begin != std::string::npos) return text.substr(0, begin);
    }
    return text.substr(0, text.size() - incomplete_tail(text));
}

void check_random_stream(unsigned seed) {
    Random random(seed);
    const auto at = Location::here();
    const std::string context = " with seed " + std::to_string(seed);
    std::vector<std::string> stops;
    for (size_t count = below(random, 4); count > 0; --count) {
        if (std::string stop = random_text(random, 4); !stop.empty()) stops.push_back(stop);
    }
    std::string text = random_text(random, 30);
    text.resize(text.size() - below(random, std::min<size_t>(text.size(), 3) + 1));  // generation may end anywhere
    const std::string skipped = random_text(random, 3);
    const std::string expected = shown_part(text, stops);
    size_t longest_held = 3;
    for (const std::string& stop : stops) longest_held = std::max(longest_held, stop.size() - 1);

    TextStream stream(skipped.size(), stops);
    const std::string bytes = skipped + text;
    std::string shown;
    for (size_t from = 0; from < bytes.size();) {
        const size_t length = 1 + below(random, std::min<size_t>(bytes.size() - from, 6));
        const std::string piece = stream.push(std::string_view(bytes).substr(from, length));
        from += length;
        shown += piece;
        expect(is_whole(piece), "whole characters, got " + show(piece) + context, at);
        expect(expected.starts_with(shown), show(shown) + " to begin " + show(expected) + context, at);
        const size_t pushed = from - std::min(from, skipped.size());
        expect(stream.stopped() || pushed - shown.size() <= longest_held, "no more text held back than needed" + context, at);
    }
    shown += stream.finish();
    expect_equal(shown, expected, at);
    expect_equal(stream.finish(), std::string(), at);
}

}  // namespace

TEST(text_stream, "finds the bytes of an unfinished character") {
    check_tail("", 0);
    check_tail("abc", 0);
    check_tail("\u00e4", 0);
    check_tail("\u20ac", 0);
    check_tail("\U0001F600", 0);
    check_tail("a\xC3", 1);
    check_tail("a\xE2", 1);
    check_tail("a\xE2\x82", 2);
    check_tail("a\xF0", 1);
    check_tail("a\xF0\x9F", 2);
    check_tail("a\xF0\x9F\x98", 3);
    check_tail("\xF0\x9F\x98", 3);
    check_tail("\u00e4\xC3", 1);
    // No UTF-8: nothing to wait for.
    check_tail("\x80", 0);
    check_tail("\x80\x80\x80\x80", 0);
    check_tail("\xC3\x80\x80", 0);
}

TEST(text_stream, "hands out whole characters") {
    check({{"Hello", " world"}}, {"Hello", " world", ""});
    check({{"\xF0\x9F", "\x98\x80"}}, {"", "\U0001F600", ""});
    check({{"\xF0", "\x9F", "\x98", "\x80!"}}, {"", "", "", "\U0001F600!", ""});
    check({{"a\xE2\x82", "\xAC" "b"}}, {"a", "\u20ac" "b", ""});
    check({{"a\xC3", "\xA4\xC3", "\xA4"}}, {"a", "\u00e4", "\u00e4", ""});
    check({{"half \xF0\x9F\x98"}}, {"half ", ""});
    check({{""}}, {"", ""});
    check({{}}, {""});
}

TEST(text_stream, "ends before a stop string and never shows part of one") {
    check({{"one STOP two", "three"}, {"STOP"}}, {"one ", "", ""}, true);
    check({{"one ST", "OP two"}, {"STOP"}}, {"one ", "", ""}, true);
    check({{"S", "T", "O", "P"}, {"STOP"}}, {"", "", "", "", ""}, true);
    check({{"one ST", "AY"}, {"STOP"}}, {"one ", "STAY", ""});
    check({{"one STO"}, {"STOP"}}, {"one ", "STO"});
    check({{"aaa", "b"}, {"aab"}}, {"a", "", ""}, true);
    check({{"\n", "\n", "x"}, {"\n\n"}}, {"", "", "", ""}, true);
    check({{"\n", "x"}, {"\n\n"}}, {"", "\nx", ""});
    check({{"1;2,3"}, {",", ";"}}, {"1", ""}, true);
    check({{"x\xF0\x9F", "\x98\x80"}, {"\U0001F600"}}, {"x", "", ""}, true);
    check({{"x\xF0\x9F", "\x98\x81"}, {"\U0001F600"}}, {"x", "\U0001F601", ""});
    check({{"a"}, {"a"}}, {"", ""}, true);
}

TEST(text_stream, "takes the stop string that is complete first, however the text is cut") {
    for (const std::vector<std::string>& pushes : {std::vector<std::string>{"abcd"}, {"abc", "d"}, {"a", "b", "c", "d"}}) {
        TextStream stream(0, {"abcd", "bc"});
        std::string shown;
        for (const std::string& bytes : pushes) shown += stream.push(bytes);
        expect_equal(shown + stream.finish(), std::string("a"));
        expect(stream.stopped(), "the stream to have stopped");
    }
    check({{"xabc"}, {"bc", "abc"}}, {"x", ""}, true);
    check({{"xabc"}, {"abc", "bc"}}, {"x", ""}, true);
}

TEST(text_stream, "swallows what the user has typed already") {
    check({{"function", " name"}, {}, 4}, {"tion", " name", ""});
    check({{"fun", "ction"}, {}, 4}, {"", "tion", ""});
    check({{"fu"}, {}, 4}, {"", ""});
    check({{"stop", " now stop"}, {"stop"}, 4}, {"", " now ", ""}, true);
    check({{"\u00e4\u00f6"}, {}, 2}, {"\u00f6", ""});
}

TEST(text_stream, "shows the same text for every way of cutting it") {
    for (unsigned seed = 0; seed < 10000; ++seed) check_random_stream(seed);
}
