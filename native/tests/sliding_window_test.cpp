// A model of which most layers see only the last tokens: what is guessed wrong, gone back to and copied, where the window has moved on.
#include <algorithm>
#include <functional>
#include <iterator>
#include <random>

#include "check.h"
#include "held_session.h"
#include "random_model.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

constexpr size_t window = 48;
constexpr uint32_t answer_length = 24;

Tokens first(const Tokens& tokens, size_t count) {
    return {tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count)};
}

Tokens joined(Tokens tokens, const Tokens& more) {
    std::ranges::copy(more, std::back_inserter(tokens));
    return tokens;
}

// Text in which nothing comes twice, so that what is out of the window is not in it, too.
Tokens text_at_random(size_t count, unsigned seed) {
    std::mt19937 random(seed);
    Tokens tokens(count);
    for (llama_token& token : tokens) token = static_cast<llama_token>(300 + random() % 48000);
    return tokens;
}

// Its passes are exact, and no wider than is tried for that, so that answers are the same to the token.
struct WindowModel {
    std::shared_ptr<Session> session() { return small.session(512, widest_verification); }

    GenerationResult answer(const std::shared_ptr<Session>& by, const Tokens& prompt, Speculate speculate = Speculate::Off, const std::function<void(DecodeOptions&)>& change = [](DecodeOptions&) {}) {
        auto request = generate_request(prompt, answer_length);
        request.decode->speculate = speculate;
        change(*request.decode);
        return run(small, by, std::move(request));
    }

    // What a session that never held anything else answers.
    Tokens fresh_answer(const Tokens& prompt) { return answer(session(), prompt).tokens; }

    const RandomModel file{"tiny-window"};
    SmallModel small{file.path(), true};
};

}  // namespace

TEST(sliding_window, "guesses that are wrong change no token, also far behind the window, whoever made them") {
    WindowModel model;
    expect(model.small.model->placement().exact_passes, "passes that are exact");
    const auto draft = model.small.load(model.file.path(), true);
    const auto draft_session = model.small.engine.create_session(draft, {512, widest_verification, model.small.model}, 1);
    const Tokens text = text_at_random(4 * window, 1);
    SpeculationResult sum;
    for (const size_t length : {window - 20, window - 1, window, window + 1, 2 * window, text.size()}) {
        const Tokens prompt = first(text, length);
        const Tokens plain = model.fresh_answer(prompt);
        Tokens spoiled = plain;
        for (size_t i = 3; i < spoiled.size(); i += 4) spoiled[i] = spoiled[i] == 300 ? 301 : 300;
        const auto session = model.session();
        session->edit_logits([&](size_t, std::span<float>) {
            model.small.model->speculation().costs = same_costs(1);
            draft->speculation().costs = same_costs(0.1);
        });
        // At every third place it says something else.
        draft_session->edit_logits([](size_t place, std::span<float> logits) {
            if (place % 3 == 0) logits[1000 + place] = std::ranges::max(logits) + 1;
        });
        const auto check = [&](const std::function<void(DecodeOptions&)>& guessed, Location at = Location::here()) {
            model.small.model->speculation().recent.forget();
            const GenerationResult result = model.answer(session, prompt, Speculate::Exact, guessed);
            expect_equal(result.tokens, plain, at);
            sum.drafted_tokens += result.speculation.drafted_tokens;
            sum.accepted_tokens += result.speculation.accepted_tokens;
        };
        check([&](DecodeOptions& decode) { decode.draft_tokens = spoiled; });
        check([&](DecodeOptions& decode) { decode.draft = draft_session; });
    }
    expect(sum.accepted_tokens > 40 && sum.drafted_tokens - sum.accepted_tokens > 40, "right and wrong guesses, got " + show(sum.accepted_tokens) + " of " + show(sum.drafted_tokens));
}

TEST(sliding_window, "a session goes back to any place and answers as a fresh one") {
    WindowModel model;
    const Tokens text = text_at_random(4 * window, 1);
    const Tokens other = text_at_random(30, 2);
    const auto session = model.session();
    for (const size_t kept : {3 * window, 2 * window, window + 1, window, window - 1, size_t{10}}) {
        model.answer(session, text);
        const Tokens prompt = joined(first(text, kept), other);
        const GenerationResult result = model.answer(session, prompt);
        expect_equal(result.tokens, model.fresh_answer(prompt));
        expect_equal(size_t{result.reused_tokens}, kept);
    }
}

TEST(sliding_window, "a copy of the cache goes on from its end, and from an earlier place as a fresh one") {
    WindowModel model;
    const Tokens text = text_at_random(4 * window, 1);
    const Tokens other = text_at_random(30, 2);
    const size_t saved = 3 * window;
    SnapshotPtr snapshot;
    {
        const auto session = model.session();
        model.answer(session, first(text, saved));
        const Held held(session);
        held->keep_common_prefix(first(text, saved), false);
        snapshot = held->save();
    }
    const auto check = [&](const Tokens& prompt, size_t reused, Location at = Location::here()) {
        const auto session = model.session();
        {
            const Held held(session);
            held->restore(*snapshot);
            expect_equal(held->cached_tokens(), first(text, saved), at);
        }
        const GenerationResult result = model.answer(session, prompt);
        expect_equal(result.tokens, model.fresh_answer(prompt), at);
        expect_equal(size_t{result.reused_tokens}, reused, at);
        // And goes on from there.
        const Tokens next = joined(joined(prompt, result.tokens), other);
        expect_equal(model.answer(session, next).tokens, model.fresh_answer(next), at);
    };
    check(joined(first(text, saved), other), saved);
    // The last token is computed once more for its logits.
    check(first(text, saved), saved - 1);
    // What the window had left behind is not in the copy.
    for (const size_t kept : {size_t{10}, window, saved - window - 1, saved - window, saved - window / 2, saved - 2}) check(joined(first(text, kept), other), 0);
}

TEST(sliding_window, "verifies no second choices") {
    WindowModel model;
    expect(!model.small.engine.create_session(model.small.load(model.file.path()), {512, 0, nullptr, true}, 1)->takes_leaves(), "no leaves, whoever asks for them");
}
