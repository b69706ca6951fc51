#include "speculative/recent_answers.h"

#include <algorithm>
#include <random>
#include <stdexcept>

#include "check.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

Tokens tokens_of(const std::string& letters) {
    return Tokens(letters.begin(), letters.end());
}

// What earlier answers have behind the end of the text, of which so many tokens are matched, a letter a token; `longer_than`: as many
// are matched in the text itself.
void check_draft(const std::vector<std::string>& answers, const std::string& text, const std::string& expected, size_t matched = 3, size_t longer_than = 0,
                 Location at = Location::here()) {
    RecentAnswers recent;
    for (const std::string& answer : answers) recent.add(tokens_of(answer));
    const Draft draft = recent.draft(tokens_of(text), longer_than, 6);
    expect_equal(std::string(draft.tokens.begin(), draft.tokens.end()), expected, at);
    expect_equal(draft.certainties.size(), expected.size(), at);
    for (size_t i = 0; i < draft.size(); ++i) expect_equal(int{draft.certainties[i]}, int{certainty_of_recent(matched + i)}, at);
}

// The halves as RecentAnswers has them, without an index: the older one and the newer one.
class Halves {
  public:
    explicit Halves(size_t half) : half_(half) {}

    void add(const Tokens& answer) {
        if (answer.size() <= 3) return;
        for (const llama_token token : answer) append(token);
        append(LLAMA_TOKEN_NULL);
    }

    // By comparing every place with the end of the text.
    Tokens draft(const Tokens& text, size_t longer_than, size_t most) const {
        Tokens found;
        size_t longest = std::max<size_t>(longer_than, 2);
        for (const Tokens* half : {&newer_, &older_}) {
            for (size_t place = half->size(); place > 0; --place) {
                if (place == half->size() || (*half)[place] == LLAMA_TOKEN_NULL) continue;
                size_t same = 0;
                while (same < std::min({place, text.size(), size_t{64}}) && (*half)[place - 1 - same] == text[text.size() - 1 - same]) ++same;
                if (same <= longest) continue;
                longest = same;
                const auto begin = half->begin() + static_cast<std::ptrdiff_t>(place);
                const auto end = std::find(begin, half->end(), LLAMA_TOKEN_NULL);
                found.assign(begin, begin + std::min<std::ptrdiff_t>(end - begin, static_cast<std::ptrdiff_t>(most)));
            }
        }
        return found;
    }

  private:
    void append(llama_token token) {
        if (newer_.size() >= half_) {
            older_ = newer_;
            newer_.clear();
        }
        newer_.push_back(token);
    }

    size_t half_;
    Tokens newer_;
    Tokens older_;
};

// The model with a session that writes one answer whatever it is asked, and whose passes seem to cost the same at every width.
class Writer {
  public:
    // An answer that repeats nothing, so that a guess of it is none of its own text.
    static constexpr llama_token first = 1000;
    static constexpr size_t length = 40;

    Writer() { write([](size_t) {}); }

    // `at`: called with the place in the answer.
    void write(std::function<void(size_t)> at) {
        session->edit_logits([this, at = std::move(at)](size_t place, std::span<float> logits) {
            learned().costs = same_costs(1);
            at(place - prompt.size());
            std::ranges::fill(logits, 0.0f);
            logits[static_cast<size_t>(first) + place - prompt.size()] = 100;
        });
    }

    GenerationRequest request(Speculate speculate = Speculate::Auto) {
        auto request = generate_request(prompt, length);
        request.decode->speculate = speculate;
        return request;
    }

    GenerationResult ask(Speculate speculate = Speculate::Auto) {
        const GenerationResult result = run(small, session, request(speculate));
        Tokens expected(length);
        for (size_t i = 0; i < length; ++i) expected[i] = first + static_cast<llama_token>(i);
        expect_equal(result.tokens, expected);
        return result;
    }

    Speculation& learned() const { return small.model->speculation(); }

    SmallModel small;
    std::shared_ptr<Session> session = small.session();
    Tokens prompt = small.tokens("Any text will do.");
};

}  // namespace

TEST(recent_answers, "guess what came behind the same text in an earlier answer") {
    check_draft({}, "abc", "");
    check_draft({"abcdefghijk"}, "", "");
    check_draft({"abcdefghijk"}, "ab", "");
    check_draft({"abcdefghijk"}, "xabc", "defghi");
    check_draft({"abcdefghijk"}, "cde", "fghijk");
    check_draft({"abcdefghijk"}, "abcdef", "ghijk", 6);
    check_draft({"abcdefghijk"}, "abX", "");
    // Nothing comes behind its end, and nothing reaches into the next one.
    check_draft({"abcdef", "ghijkl"}, "def", "");
    check_draft({"abcdef", "ghijkl"}, "cde", "f");
    check_draft({"abcdef", "ghijkl"}, "efghi", "jkl");
    // One that was called off hides none that went on.
    check_draft({"abcdefgh", "abcd"}, "abcd", "efgh", 4);
    // The longest match, and of equal ones the latest.
    check_draft({"1abcX", "2abcY"}, "1abc", "X", 4);
    check_draft({"1abcX", "2abcY"}, "3abc", "Y");
    // Only where the text itself has no match that is as long.
    check_draft({"abcdefghijk"}, "xabcd", "efghij", 4, 3);
    check_draft({"abcdefghijk"}, "xabcd", "", 4, 4);
    // Too short to have something behind a match.
    check_draft({"abc", "abc", "abc"}, "abc", "");
    expect(certainty_of_recent(3) > certainty_of_given && !is_of_model(certainty_of_recent(99)), "certainties of their own");
}

TEST(recent_answers, "guess what a search through all of them finds") {
    std::mt19937 random(1);
    for (int run = 0; run < 300; ++run) {
        // In halves so small that a search looks at all of their places.
        const size_t half = 4 + random() % 20;
        RecentAnswers recent(half);
        Halves halves(half);
        const auto letters = static_cast<unsigned>(2 + random() % 4);
        const auto some = [&](size_t count) {
            Tokens tokens(count);
            for (llama_token& token : tokens) token = static_cast<llama_token>(random() % letters);
            return tokens;
        };
        for (int answer = 0; answer < 12; ++answer) {
            const Tokens next = some(random() % 15);
            recent.add(next);
            halves.add(next);
            expect(recent.size() <= 2 * half, "at most " + show(2 * half) + " tokens, got " + show(recent.size()));
            const Tokens text = some(random() % 12);
            const size_t longer_than = random() % 5;
            expect_equal(recent.draft(text, longer_than, 4).tokens, halves.draft(text, longer_than, 4));
        }
    }
}

TEST(recent_answers, "are bounded, the oldest fall out, and all can be forgotten") {
    constexpr size_t half = 1000;
    RecentAnswers recent(half);
    const auto answer_of = [](int number) {
        Tokens answer(40);
        for (size_t i = 0; i < answer.size(); ++i) answer[i] = number * 100 + static_cast<llama_token>(i);
        return answer;
    };
    const auto is_known = [&](int number) {
        const Tokens answer = answer_of(number);
        return !recent.draft(std::span(answer).first(10), 0, 4).empty();
    };
    for (int number = 0; number < 200; ++number) {
        recent.add(answer_of(number));
        expect(recent.size() <= 2 * half, "a bound, got " + show(recent.size()));
        expect(is_known(number) && is_known(std::max(0, number - 20)), "the latest ones to be known");
    }
    expect(recent.size() > half, "more than a half, got " + show(recent.size()));
    expect(!is_known(0) && !is_known(140), "old ones to be gone");
    recent.forget();
    expect_equal(recent.size(), size_t{0});
    expect(!is_known(199), "nothing to be known");
    recent.add(answer_of(7));
    expect(is_known(7) && !is_known(199), "new ones to be known again");
}

TEST(recent_answers, "a search compares a bounded number of tokens, however many places are alike") {
    constexpr size_t most = TextIndex::most_places * (TextIndex::longest_match + 1);
    const Tokens same(20'000, 7);
    TextIndex index;
    for (const llama_token token : same) index.append(token);
    for (const TextIndex::Match& match : {index.find(same), index.find_own_end(TextIndex::none)}) {
        expect_equal(match.length, TextIndex::longest_match);
        expect(match.compared <= most, "at most " + show(most) + " tokens, got " + show(match.compared));
    }
}

TEST(recent_answers, "an answer that is asked for again is guessed from memory, until speculation is off") {
    Writer writer;
    const auto accepted = [&] { return writer.ask().speculation.accepted_tokens; };
    expect_equal(accepted(), 0u);
    // Behind the first three tokens, every one that no pass has as its last: passes take 16 at most.
    expect(accepted() >= 30, "most tokens to be guessed");
    expect_equal(writer.learned().recent.size(), 2 * (Writer::length + 1));
    const GenerationResult plain = writer.ask(Speculate::Off);
    expect_equal(plain.speculation.drafted_tokens, 0u);
    expect_equal(writer.learned().recent.size(), size_t{0});
    expect_equal(accepted(), 0u);
    // Not what is only computed ahead.
    run(writer.small, writer.session, prefill_request(writer.prompt));
    expect_equal(writer.learned().recent.size(), Writer::length + 1);
    writer.small.model->close();
    expect_equal(writer.learned().recent.size(), size_t{0});
}

TEST(recent_answers, "one that was cancelled or failed counts as far as it went") {
    Writer writer;
    auto request = writer.request();
    writer.write([&](size_t place) {
        if (place == 20) request.cancellation->cancel();
    });
    const GenerationResult cancelled = run(writer.small, writer.session, request);
    expect(cancelled.finish == Finish::Cancelled && cancelled.tokens.size() > 10, "a cancelled answer");
    expect_equal(writer.learned().recent.size(), cancelled.tokens.size() + 1);
    writer.learned().recent.forget();

    writer.write([](size_t place) {
        if (place == 25) throw std::runtime_error("no more");
    });
    bool failed = false;
    try {
        run(writer.small, writer.session, writer.request());
    } catch (const std::runtime_error&) {
        failed = true;
    }
    expect(failed, "an answer that fails");
    expect_equal(writer.learned().recent.size(), size_t{25 + 1});
    writer.write([](size_t) {});
    const uint32_t accepted = writer.ask().speculation.accepted_tokens;
    expect(accepted > 15 && accepted < 25, "what there was to be guessed from, got " + show(accepted));
}

TEST(recent_answers, "do not keep a better guess from the text, and are believed by their own record") {
    Writer writer;
    // An earlier answer that goes on in another way behind the same words.
    const auto mislead = [&] {
        Tokens other(Writer::length, 5);
        for (size_t i = 0; i < 3; ++i) other[i] = Writer::first + static_cast<llama_token>(i);
        writer.learned().recent.add(other);
    };
    const auto rate = [&](Certainty certainty) {
        Draft one;
        one.push_back(1, certainty);
        return writer.learned().control.best(one, same_costs(1)).gain - 1;
    };
    const double before = rate(certainty_of_recent(3));
    const double of_text = rate(certainty_of_match(3));
    mislead();
    writer.ask();
    expect(rate(certainty_of_recent(3)) < before, "less trust in what was wrong");
    expect_equal(rate(certainty_of_match(3)), of_text);

    // The whole answer stands in the prompt: it is taken from there, and memory is not asked.
    writer.learned().recent.forget();
    mislead();
    for (size_t i = 0; i < Writer::length; ++i) writer.prompt.push_back(Writer::first + static_cast<llama_token>(i));
    const double trusted = rate(certainty_of_recent(3));
    expect(writer.ask().speculation.accepted_tokens > 30, "guesses from the text");
    expect_equal(rate(certainty_of_recent(3)), trusted);
}

TEST(recent_answers, "a given draft that is not worth a pass leaves room for one from the text") {
    Writer writer;
    for (size_t i = 0; i < Writer::length; ++i) writer.prompt.push_back(Writer::first + static_cast<llama_token>(i));
    // What was given was always wrong so far, and passes of several tokens are dear.
    Draft given;
    given.push_back(1, certainty_of_given);
    for (int i = 0; i < 400; ++i) writer.learned().control.learn(given, 0);
    writer.write([&](size_t) {
        PassCosts dear;
        for (const uint32_t width : {1u, 1u, 16u, 16u}) dear.observe(width, width == 1 ? 1 : 5);
        writer.learned().costs = dear;
    });
    auto request = writer.request();
    for (size_t i = 0; i < Writer::length; ++i) request.decode->draft_tokens.push_back(Writer::first + static_cast<llama_token>(i));
    const GenerationResult result = run(writer.small, writer.session, request);
    expect_equal(result.tokens, request.decode->draft_tokens);
    expect(result.speculation.accepted_tokens > 15, "guesses from the text, got " + show(result.speculation.accepted_tokens));
}
