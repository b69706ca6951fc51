#include <algorithm>
#include <array>
#include <cmath>

#include "check.h"
#include "decode_options.h"
#include "held_session.h"
#include "runtime/speculator.h"
#include "simulated_cards.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

const std::vector<std::string> prompts{
    "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n",
    "Once upon a time there was a small robot who",
    "const list = [1, 2, 3];\nfor (const item of list)",
};

std::shared_ptr<Session> session_with(SmallModel& small, std::optional<bool> leaves, uint32_t context_length = 512) {
    return small.engine.create_session(small.model, {context_length, 0, nullptr, leaves}, 1);
}

// A model and a copy of it that drafts, whose first choice is wrong at two places of four; there its second one is the model's.
// Single wrong places that lie far apart would be no test: what a leaf adds behind them is right in the chain of the next pass, too.
struct Pair {
    Pair() : draft(small.load(small_model_path())), draft_session(small.engine.create_session(draft, {512, 0, small.model}, 1)) {
        draft_session->edit_logits([](size_t place, std::span<float> logits) {
            if (place % 4 > 1) return;
            const auto wrong = static_cast<size_t>(1000 + place);
            logits[wrong] = -100.0f;
            logits[wrong] = std::ranges::max(logits) + 0.5f;
        });
    }

    // In it passes seem to take a second each, whatever their width, and those over the draft model a tenth of one. Nothing is guessed
    // from an answer before, which would leave nothing to the draft model.
    std::shared_ptr<Session> session(bool leaves) {
        auto session = session_with(small, leaves);
        session->edit_logits([this](size_t, std::span<float>) {
            small.model->speculation().costs = same_costs(1);
            small.model->speculation().recent.forget();
            draft->speculation().costs = same_costs(0.1);
        });
        return session;
    }

    GenerationRequest request(const Tokens& prompt, const std::function<void(DecodeOptions&)>& change, uint32_t most = 40) {
        auto request = generate_request(prompt, most);
        request.decode->draft = draft_session;
        change(*request.decode);
        return request;
    }

    GenerationResult plain(const Tokens& prompt, const std::function<void(DecodeOptions&)>& change, uint32_t most = 40) {
        auto asked = request(prompt, change, most);
        asked.decode->speculate = Speculate::Off;
        return run(small, small.session(), asked);
    }

    SmallModel small;
    std::shared_ptr<Model> draft;
    std::shared_ptr<Session> draft_session;
};

Tokens joined(Tokens tokens, std::initializer_list<llama_token> more) {
    tokens.insert(tokens.end(), more);
    return tokens;
}

Tokens first(const Tokens& tokens, size_t count) {
    return {tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count)};
}

// Nothing but the answer stays in the cache.
void check_cache(const std::shared_ptr<Session>& session, const Tokens& prompt, const GenerationResult& result, Location at = Location::here()) {
    Tokens text = prompt;
    text.insert(text.end(), result.tokens.begin(), result.tokens.end());
    const Tokens cached = session->cached_tokens();
    expect(cached.size() >= prompt.size() && cached.size() <= text.size(), "the prompt and what of the answer was computed, got " + show(cached.size()), at);
    expect_equal(cached, first(text, cached.size()), at);
}

// The row must be that of a session that never held anything but the text. Wide passes round in another way than narrow ones, and
// behind some hundred tokens logits differ by 0.3 then, in the mean: so that session reads narrowly, too. On most processors nothing
// is left of the difference; logits of other tokens differ by several.
void check_row(const Held& fresh, const Held& session, size_t row, const Tokens& text, Location at = Location::here()) {
    constexpr size_t narrow = 16;
    for (size_t done = 0; done < text.size(); done += narrow) {
        const auto next = std::span(text).subspan(done, std::min(narrow, text.size() - done));
        expect(fresh->compute(next, 1), "a pass that nobody cancels to end", at);
    }
    const size_t count = fresh->model().vocabulary().size();
    const float* const expected = fresh->logits();
    const float* const actual = session->logits(row);
    double squares = 0;
    for (size_t i = 0; i < count; ++i) squares += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    const double difference = std::sqrt(squares / static_cast<double>(count));
    expect(difference < 0.2, "the logits behind these tokens, got some that differ by " + show(difference), at);
}

void check_row(SmallModel& small, const Held& session, size_t row, const Tokens& text, Location at = Location::here()) {
    check_row(Held(small.session(512, 512)), session, row, text, at);
}

}  // namespace

TEST(leaves, "second choices that are right save passes and change no token") {
    Pair pair;
    for (const auto change : {greedy, drawn, drawn_by_grammar}) {
        uint32_t with = 0;
        uint32_t without = 0;
        for (const std::string& text : prompts) {
            const Tokens prompt = pair.small.tokens(text);
            const GenerationResult plain = pair.plain(prompt, change);
            for (const bool leaves : {false, true}) {
                const auto session = pair.session(leaves);
                const GenerationResult result = run(pair.small, session, pair.request(prompt, change));
                expect_equal(result.tokens, plain.tokens);
                expect_equal(result.decode_passes + result.speculation.accepted_tokens, plain.decode_passes);
                expect(result.speculation.accepted_tokens <= result.speculation.drafted_tokens, "no more accepted than drafted tokens");
                (leaves ? with : without) += result.decode_passes;
            }
        }
        // Drawn, the draft model's second choice is seldom what is drawn from the model.
        if (change == greedy) expect(with * 10 < without * 8, "fewer passes than the " + show(without) + " without leaves, got " + show(with));
    }
}

TEST(leaves, "an answer that ends anywhere goes on from there in the same cache") {
    Pair pair;
    const Tokens prompt = pair.small.tokens(prompts[1]);
    const auto session = pair.session(true);
    for (uint32_t most = 1; most <= 14; ++most) {
        const GenerationResult plain = pair.plain(prompt, greedy, most);
        const GenerationResult result = run(pair.small, session, pair.request(prompt, greedy, most));
        expect_equal(result.tokens, plain.tokens);
        check_cache(session, prompt, result);
        Tokens text = prompt;
        text.insert(text.end(), result.tokens.begin(), result.tokens.end());
        const GenerationResult next = run(pair.small, session, pair.request(text, greedy, 8));
        expect_equal(next.tokens, pair.plain(text, greedy, 8).tokens);
    }
}

TEST(leaves, "an answer can be cancelled at any step, and goes on from there") {
    Pair pair;
    const Tokens prompt = pair.small.tokens(prompts[1]);
    const GenerationResult plain = pair.plain(prompt, greedy);
    for (const int after : {1, 2, 3, 4, 5, 7, 12}) {
        const auto session = pair.session(true);
        auto request = pair.request(prompt, greedy);
        int pieces = 0;
        Running running(pair.small, session, request, [&, cancellation = request.cancellation](std::string) {
            if (++pieces == after) cancellation->cancel();
        });
        const GenerationResult cancelled = running.result();
        expect(cancelled.finish == Finish::Cancelled, "a cancelled answer");
        check_cache(session, prompt, cancelled);
        expect_equal(run(pair.small, session, pair.request(prompt, greedy)).tokens, plain.tokens);
    }
}

TEST(leaves, "a leaf sees what is before the token beside it, and nothing sees it") {
    SmallModel small;
    const Tokens text = long_prompt(small, 40);
    const Tokens others = long_prompt(small, 40, 3);
    const llama_token a = others[9], b = others[11], c = text[3], x = text[5], y = text[8];
    const auto shared = session_with(small, true);
    for (const size_t kept : {0, 1, 2}) {
        const Held session(shared);
        session->keep_common_prefix({}, false);
        expect(session->compute(first(text, 20), 0), "the prompt to be computed");
        const Tokens chain(text.begin() + 20, text.begin() + 24);
        const std::array<Leaf, 3> leaves{Leaf{1, a}, Leaf{2, b}, Leaf{3, c}};
        expect(session->compute(chain, 4, leaves), "the pass to end");
        expect_equal(session->cached_tokens(), first(text, 24));
        check_row(small, session, 0, first(text, 21));
        check_row(small, session, 3, first(text, 24));
        for (size_t leaf = 0; leaf < leaves.size(); ++leaf) check_row(small, session, 4 + leaf, joined(first(text, 21 + leaf), {leaves[leaf].token}));
        // One of them was right: it is computed again, with what comes behind it.
        session->keep(21 + kept);
        const Tokens now = joined(first(text, 21 + kept), {leaves[kept].token});
        const std::array<Leaf, 1> leaf{Leaf{2, c}};
        expect(session->compute(Tokens{leaves[kept].token, x, y}, 2, leaf), "the next pass to end");
        expect_equal(session->cached_tokens(), joined(now, {x, y}));
        check_row(small, session, 0, joined(now, {x}));
        check_row(small, session, 1, joined(now, {x, y}));
        check_row(small, session, 2, joined(now, {x, c}));
        session->keep(now.size() + 1);
        expect(session->compute(Tokens{a}, 1), "a pass without leaves to end");
        check_row(small, session, 0, joined(now, {x, a}));
        // Also a copy has nothing but the text.
        const SnapshotPtr copy = session->save();
        const Held other(session_with(small, false));
        other->restore(*copy);
        expect_equal(other->cached_tokens(), joined(now, {x, a}));
        expect(other->compute(Tokens{b}, 1), "a pass behind the copy to end");
        check_row(small, other, 0, joined(now, {x, a, b}));
    }
}

TEST(leaves, "take no cell for longer than a pass") {
    SmallModel small;
    constexpr size_t length = 256;
    const Tokens text = long_prompt(small, 300);
    const auto shared = session_with(small, true, length);
    expect_equal(size_t{shared->context_length()}, length);
    for (int round = 0; round < 2; ++round) {
        {
            const Held session(shared);
            session->keep_common_prefix({}, false);
            expect(session->compute(first(text, 10), 0), "the prompt");
            for (size_t pass = 0; session->cached_tokens().size() + 6 <= length; ++pass) {
                const size_t before = session->cached_tokens().size();
                const std::array<Leaf, 3> leaves{Leaf{1, text[pass]}, Leaf{2, text[pass + 1]}, Leaf{2, text[pass + 2]}};
                expect(session->compute(std::span(text).subspan(before, 3), 3, std::span(leaves).first(1 + pass % 2)), "the pass to end");
                session->keep(before + 1 + pass % 3);
            }
        }
        const Held session(shared);
        while (session->cached_tokens().size() < length) expect(session->compute(Tokens{text[7]}, 1), "a pass into what is left to end");
        check_row(small, session, 0, session->cached_tokens());
        expect_error(ErrorCode::ContextTooLong, "is full", [&] { session->compute(Tokens{text[7]}, 1); });
    }
}

TEST(leaves, "a cancelled pass leaves the cache as it was") {
    SmallModel small;
    const Tokens text = long_prompt(small, 40);
    const auto shared = session_with(small, true);
    const std::array<Leaf, 2> leaves{Leaf{1, text[3]}, Leaf{2, text[7]}};
    {
        const Held session(shared);
        expect(session->compute(first(text, 20), 0), "the prompt");
        expect(session->compute(std::span(text).subspan(20, 3), 3, leaves), "the pass to end");
        session->keep(22);
        session.cancel();
        expect(!session->compute(std::span(text).subspan(22, 3), 3, leaves), "the pass to be cancelled");
        expect_equal(session->cached_tokens(), first(text, 22));
    }
    const Held session(shared);
    expect(session->compute(std::span(text).subspan(22, 3), 3, leaves), "the pass to end");
    check_row(small, session, 2, first(text, 25));
    check_row(small, session, 3, joined(first(text, 23), {leaves[0].token}));
}

TEST(leaves, "are not taken where they cannot pay or what is computed must not change") {
    SmallModel small;
    expect(!session_with(small, std::nullopt)->takes_leaves(), "none on the processor");
    expect(session_with(small, true)->takes_leaves(), "some where they are asked for");
    const auto draft = small.load(small_model_path());
    expect(!small.engine.create_session(draft, {512, 0, small.model, true}, 1)->takes_leaves(), "none for a session that drafts");
    const auto exact = small.load(small_model_path(), true);
    expect(exact->placement().exact_passes, "exact passes");
    expect(!small.engine.create_session(exact, {512, 0, nullptr, true}, 1)->takes_leaves(), "none where passes are exact");
}

TEST(leaves, "are taken by a model that is larger than its card, also when its weights are away") {
    sim::SimDevice& card = exact_card();
    const LoadOptions options = tight_options(90 << 20);
    const FastCards cache(options, std::array{&card});
    Engine engine(library_directory(), false, cache.path());
    const std::shared_ptr<Model> model = engine.load(options);
    expect(model->placement().units.has_value(), "a plan that cuts the model up");
    SmallModel small;
    const Tokens text = long_prompt(small, 40);
    const Held session(engine.create_session(model, {placed_context, placed_batch}, 1));
    expect(session->takes_leaves(), "a session that takes leaves");
    const std::array<Leaf, 2> leaves{Leaf{1, text[3]}, Leaf{2, text[7]}};
    expect(session->compute(first(text, 20), 0), "the prompt to be computed");
    for (int released = 0; released < 2; ++released) {
        expect(session->compute(std::span(text).subspan(20, 3), 3, leaves), "the pass to end");
        const auto check = [&](size_t row, const Tokens& behind) { check_row(Held(engine.create_session(model, {placed_context, placed_batch}, 1)), session, row, behind); };
        check(2, first(text, 23));
        for (size_t leaf = 0; leaf < leaves.size(); ++leaf) check(3 + leaf, joined(first(text, 21 + leaf), {leaves[leaf].token}));
        session->keep(20);
        expect(released > 0 || model->release(UINT64_MAX) > 0, "memory to come back");
    }
}
