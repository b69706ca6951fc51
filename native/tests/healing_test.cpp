// Token healing on random texts: whatever the text and wherever it is cut, an answer that has to begin with the text before
// the cut can go on as the text does.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <random>

#include "check.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

// Pieces that tokenizers treat in their own ways: words and their parts, runs of blanks and punctuation, digits, scripts without
// blanks, characters of two to four bytes, and what is one letter on the screen but several characters.
const std::vector<std::string> fragments{
    "return", "retu", "rn", "function", "self.", "value", "Value", "_name", "x", "i", " ", "  ", "    ", "\t", "\n", "\n\n", "(", ")", "();", "!==", "=>", "{}", "\"",
    "0", "17", "2024", "0xFF", "http://", "gr\u00f6\u00dfe", "na\u00efve", "e\u0301", "\u4f60\u597d", "\u53d8\u91cf", "\u3042\u308a", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u20ac", "\u00a0",
    "\U0001F600", "\U0001F468\u200D\U0001F469\u200D\U0001F467", "\U0001D4D0",
};

struct Cut {
    std::string before;
    std::string healed;  // what is taken off the prompt
    std::string after;
};

Tokens allowed_by(const Vocabulary& vocabulary, std::string_view left) {
    Tokens buffer;
    const auto found = vocabulary.compatible_with(left, buffer);
    return {found.begin(), found.end()};
}

bool is_inside_character(const std::string& text, size_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

// Where `whole`, between characters, as the editor cuts; else anywhere.
Cut random_cut(std::mt19937& random, bool whole) {
    std::string text;
    for (unsigned count = 1 + random() % 12; count > 0; --count) text += fragments[random() % fragments.size()];
    size_t cursor = 1 + random() % text.size();
    // As often as not at the start of the file.
    size_t begin = random() % 2 == 0 ? 0 : random() % cursor;
    while (whole && is_inside_character(text, begin)) --begin;
    while (whole && is_inside_character(text, cursor)) ++cursor;
    return {text.substr(0, begin), text.substr(begin, cursor - begin), text.substr(cursor)};
}

std::string show_cut(const Cut& cut) {
    return show(cut.before) + " | " + show(cut.healed) + " | " + show(cut.after);
}

// Whichever of the allowed tokens that agree with the text is taken in each step, there is one in the next.
void check_no_dead_end(const Vocabulary& vocabulary, const Cut& cut, std::mt19937& random) {
    const std::string text = cut.healed + cut.after;
    size_t written = 0;
    while (written < cut.healed.size()) {
        Tokens agreeing = allowed_by(vocabulary, std::string_view(text).substr(written, cut.healed.size() - written));
        std::erase_if(agreeing, [&](llama_token token) { return !std::string_view(text).substr(written).starts_with(vocabulary.piece(token)); });
        expect(!agreeing.empty(), "a token that goes on at byte " + show(written) + " of " + show_cut(cut));
        written += vocabulary.piece(agreeing[random() % agreeing.size()]).size();
    }
}

struct Reach {
    size_t tokens = 0;
    size_t bytes = 0;
};

// The tokens that the tokenizer makes of the text are allowed one after the other, also the one that goes on behind the cut.
// Returns how many are needed for what is healed, and how far they reach.
Reach check_own_tokens(const Vocabulary& vocabulary, const Cut& cut) {
    Reach reach;
    for (const llama_token token : vocabulary.tokenize({{cut.healed + cut.after, false}}, false)) {
        if (reach.bytes >= cut.healed.size()) break;
        const Tokens allowed = allowed_by(vocabulary, std::string_view(cut.healed).substr(reach.bytes));
        expect(std::ranges::find(allowed, token) != allowed.end(), show(vocabulary.piece(token)) + " to be allowed at byte " + show(reach.bytes) + " of " + show_cut(cut));
        reach.bytes += vocabulary.piece(token).size();
        ++reach.tokens;
    }
    return reach;
}

void check_vocabulary(const Vocabulary& vocabulary) {
    std::mt19937 random(11);
    int several = 0;
    int beyond = 0;
    int at_start = 0;
    for (int i = 0; i < 400; ++i) {
        const Cut cut = random_cut(random, i % 4 != 0);
        check_no_dead_end(vocabulary, cut, random);
        at_start += cut.before.empty();
        // Of half a character the tokenizer makes something else.
        if (is_inside_character(cut.healed, 0)) continue;
        const Reach reach = check_own_tokens(vocabulary, cut);
        several += reach.tokens > 1;
        beyond += reach.bytes > cut.healed.size();
    }
    expect(several > 20 && beyond > 20 && at_start > 20, "cuts of every kind, got " + show(several) + ", " + show(beyond) + " and " + show(at_start));
}

}  // namespace

TEST(healing, "every text can be written on from every cut") {
    check_vocabulary(*VocabularyOnly());
}

TEST(healing, "every text can be written on from every cut, with the tokenizer of the model for ghost text") {
    const auto path = std::filesystem::path(small_model_path()).replace_filename("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
    if (!std::filesystem::exists(path)) {
        std::printf("left out: %s is not there\n", path.filename().string().c_str());
        return;
    }
    check_vocabulary(*VocabularyOnly(path.string()));
}

TEST(healing, "a model that would write the text on does so behind the cut") {
    SmallModel small;
    const Vocabulary& vocabulary = small.model->vocabulary();
    std::mt19937 random(12);
    for (int i = 0; i < 24; ++i) {
        const Cut cut = random_cut(random, true);
        const Tokens prompt = small.tokens("<|im_start|>" + cut.before, true);
        const Tokens text = small.tokens(cut.healed + cut.after);
        const auto session = small.session();
        session->edit_logits([&](size_t place, std::span<float> logits) {
            const size_t at = place - prompt.size();
            if (place >= prompt.size() && at < text.size()) logits[static_cast<size_t>(text[at])] = 1e6f;
        });
        auto request = generate_request(prompt, static_cast<uint32_t>(text.size()));
        request.decode->begin_with = cut.healed;
        const GenerationResult result = run(small, session, std::move(request));
        expect(result.tokens == text, "the tokens of " + show_cut(cut) + ", got " + show(vocabulary.detokenize(result.tokens, false)));
        expect_equal(result.text, cut.after);
    }
}

TEST(healing, "a token that turns out as guessed needs no pass of its own, and one that does not does no harm") {
    SmallModel small;
    const auto check = [&](const std::string& healed, const std::string& after, uint32_t spared, Speculate speculate, Location at = Location::here()) {
        const Tokens prompt = small.tokens("def add(a, b):\n   ");
        const Tokens text = small.tokens(healed + after);
        const auto session = small.session();
        session->edit_logits([&](size_t place, std::span<float> logits) {
            if (place >= prompt.size() && place - prompt.size() < text.size()) logits[static_cast<size_t>(text[place - prompt.size()])] = 1e6f;
        });
        auto request = generate_request(prompt, static_cast<uint32_t>(text.size()));
        request.decode->begin_with = healed;
        request.decode->speculate = speculate;
        const GenerationResult result = run(small, session, std::move(request));
        expect_equal(result.tokens, text, at);
        expect_equal(result.text, after, at);
        expect_equal(result.computed_tokens, static_cast<uint32_t>(prompt.size()), at);
        expect_equal(result.decode_passes + result.speculation.accepted_tokens + spared + 1, static_cast<uint32_t>(text.size()), at);
        Tokens cached = prompt;
        cached.insert(cached.end(), text.begin(), text.end() - 1);
        expect_equal(session->cached_tokens(), cached, at);
    };
    check(" return", " a + b", 1, Speculate::Auto);
    check(" ret", "urn a + b", 0, Speculate::Auto);
    check(" return a +", " b", 3, Speculate::Auto);
    check(" ", "return a + b", 0, Speculate::Auto);
    check(" return", " a + b", 0, Speculate::Off);
}
