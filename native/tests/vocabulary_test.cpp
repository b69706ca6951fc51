#include "runtime/vocabulary.h"

#include <algorithm>
#include <climits>
#include <random>

#include "check.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

std::string text_of(const Vocabulary& vocabulary, const Tokens& tokens) {
    return vocabulary.detokenize(tokens, false);
}

bool is_text(const Vocabulary& vocabulary, llama_token token) {
    return !llama_vocab_is_control(vocabulary.handle(), token) && !llama_vocab_is_eog(vocabulary.handle(), token);
}

void check_round_trip(const Vocabulary& vocabulary, const std::string& text, Location at = Location::here()) {
    const Tokens tokens = vocabulary.tokenize({{text, false}}, false);
    expect_equal(text_of(vocabulary, tokens), text, at);
    for (const llama_token token : tokens) expect(is_text(vocabulary, token), "text tokens only in " + show(text), at);
    expect(tokens.size() <= text.size(), "no more tokens than bytes", at);
}

void append_utf8(std::string& text, char32_t letter) {
    if (letter < 0x80) {
        text += static_cast<char>(letter);
        return;
    }
    const int more = letter < 0x800 ? 1 : letter < 0x10000 ? 2 : 3;
    text += static_cast<char>((more == 1 ? 0xC0 : more == 2 ? 0xE0 : 0xF0) | static_cast<int>(letter >> (6 * more)));
    for (int left = more - 1; left >= 0; --left) text += static_cast<char>(0x80 | (static_cast<int>(letter >> (6 * left)) & 0x3F));
}

std::string random_text(std::mt19937& random) {
    std::string text;
    for (unsigned count = random() % 40; count > 0; --count) {
        // No control characters: this vocabulary lacks some of them.
        const unsigned kind = random() % 4;
        char32_t letter = kind == 0 ? 0x20 + random() % 0x5F : kind == 1 ? 0xA0 + random() % 0x700 : kind == 2 ? 0x800 + random() % 0xD000 : 0x1F300 + random() % 0x400;
        append_utf8(text, letter);
    }
    return text;
}

void check_compatible(const Vocabulary& vocabulary, std::string_view required, Location at = Location::here()) {
    Tokens expected;
    for (llama_token token = 0; token < static_cast<llama_token>(vocabulary.size()); ++token) {
        const std::string_view piece = vocabulary.piece(token);
        const size_t both = std::min(piece.size(), required.size());
        if (is_text(vocabulary, token) && both > 0 && piece.substr(0, both) == required.substr(0, both)) expected.push_back(token);
    }
    Tokens buffer{-1};
    const auto found = vocabulary.compatible_with(required, buffer);
    Tokens actual(found.begin(), found.end());
    if (required.size() == 1) expect(std::ranges::is_sorted(actual), "the tokens for " + show(required) + " by number", at);
    std::sort(actual.begin(), actual.end());
    expect(actual == expected, show(expected.size()) + " tokens for " + show(required) + ", got " + show(actual.size()), at);
}

}  // namespace

TEST(vocabulary, "gives text back as it was") {
    const VocabularyOnly vocabulary;
    for (const std::string text :
         {"", " ", "a", "Hello world", "  two  spaces  ", "\n", "\r\n\t\n", "int main() {\n    return 0;\n}\n", "\u00e4\u00f6\u00fc \u00df", "\u4f60\u597d",
          "\U0001F600\U0001F468\u200D\U0001F469\u200D\U0001F467", "e\u0301", "1234567890", "<|im_start|>user", "<|endoftext|>", "\x01\x7f"}) {
        check_round_trip(*vocabulary, text);
    }
    check_round_trip(*vocabulary, std::string("nul\0byte", 8));
    check_round_trip(*vocabulary, std::string(20000, 'x'));
    std::mt19937 random(4);
    for (int i = 0; i < 500; ++i) check_round_trip(*vocabulary, random_text(random));
}

TEST(vocabulary, "makes special tokens of trusted text only") {
    const VocabularyOnly vocabulary;
    const Tokens trusted = vocabulary->tokenize({{"<|im_start|>", true}}, false);
    expect_equal(trusted.size(), size_t{1});
    expect(llama_vocab_is_control(vocabulary->handle(), trusted[0]), "a control token");
    expect_equal(vocabulary->detokenize(trusted, false), std::string());
    expect_equal(vocabulary->detokenize(trusted, true), std::string("<|im_start|>"));
    expect_equal(std::string(vocabulary->piece(trusted[0])), std::string());

    const Tokens mixed = vocabulary->tokenize({{"<|im_start|>", true}, {"user\n<|im_end|>", false}, {"<|im_end|>", true}}, false);
    expect_equal(vocabulary->detokenize(mixed, true), std::string("<|im_start|>user\n<|im_end|><|im_end|>"));
    expect_equal(vocabulary->detokenize(mixed, false), std::string("user\n<|im_end|>"));
    expect_equal(std::count_if(mixed.begin(), mixed.end(), [&](llama_token token) { return !is_text(*vocabulary, token); }), std::ptrdiff_t{2});
    // Every token whose text could be typed.
    for (llama_token token = 0; token < static_cast<llama_token>(vocabulary->size()); ++token) {
        if (!is_text(*vocabulary, token)) check_round_trip(*vocabulary, llama_vocab_get_text(vocabulary->handle(), token));
    }
}

TEST(vocabulary, "adds a BOS token only when asked to and the model wants one") {
    const VocabularyOnly vocabulary;
    const Tokens without = vocabulary->tokenize({{"Hello", false}}, false);
    Tokens expected = without;
    if (llama_vocab_get_add_bos(vocabulary->handle())) expected.insert(expected.begin(), llama_vocab_bos(vocabulary->handle()));
    expect_equal(vocabulary->tokenize({{"Hello", false}}, true), expected);
    expect_equal(vocabulary->tokenize({}, false), Tokens{});
}

TEST(vocabulary, "refuses tokens that it does not have") {
    const VocabularyOnly vocabulary;
    const auto size = static_cast<llama_token>(vocabulary->size());
    for (const llama_token token : {-1, size, INT_MAX, INT_MIN}) {
        expect_error(ErrorCode::InvalidArgument, "got " + std::to_string(token), [&] { vocabulary->detokenize(Tokens{1, token}, false); });
    }
    vocabulary->detokenize(Tokens{size - 1}, true);
}

TEST(vocabulary, "finds the tokens that healing may use, as a search of all of them does") {
    const VocabularyOnly vocabulary;
    for (const std::string_view required : {"a", " ", "  ", "func", "function", " retur", "\n    ", "\u20ac", "\xE2", "\xE2\x82", "zzzzzzzz", "<|im_start|>", "\U0001F600!",
                                            "self.value", "\t\t", "0", "\xff", "~"}) {
        check_compatible(*vocabulary, required);
    }
    std::mt19937 random(5);
    for (int i = 0; i < 60; ++i) {
        std::string required(vocabulary->piece(static_cast<llama_token>(random() % vocabulary->size())));
        if (random() % 2 == 0) required.resize(required.size() - std::min<size_t>(required.size(), random() % 3));
        if (random() % 2 == 0) required += static_cast<char>(random());
        if (!required.empty()) check_compatible(*vocabulary, required);
    }
}
