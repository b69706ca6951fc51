#include "runtime/session.h"

#include <atomic>
#include <cmath>
#include <thread>

#include "check.h"
#include "held_session.h"
#include "simulated_cards.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

Tokens slice(const Tokens& tokens, size_t from, size_t to) {
    return {tokens.begin() + static_cast<std::ptrdiff_t>(from), tokens.begin() + static_cast<std::ptrdiff_t>(to)};
}

std::vector<float> logits_of(const Held& session, size_t vocabulary) {
    return {session->logits(), session->logits() + vocabulary};
}

// The logits behind `tokens` in a session that never held anything else.
std::vector<float> fresh_logits(SmallModel& small, const Tokens& tokens) {
    const Held session(small.session());
    expect(session->compute(tokens, true), "a pass that nobody cancels to end");
    return logits_of(session, small.model->vocabulary().size());
}

void check_kept(const Held& session, const Tokens& prompt, bool want_logits, size_t expected, Location at = Location::here()) {
    const Tokens before = session->cached_tokens();
    expect_equal(session->keep_common_prefix(prompt, want_logits), expected, at);
    expect_equal(session->cached_tokens(), slice(before, 0, expected), at);
}

}  // namespace

TEST(session, "keeps the longest common prefix") {
    SmallModel small;
    const Tokens text = long_prompt(small, 40);
    const Held session(small.session());
    const auto fill = [&] {
        session->keep_common_prefix(text, false);
        session->compute(slice(text, session->cached_tokens().size(), 40), false);
        expect_equal(session->cached_tokens(), text);
    };
    check_kept(session, text, true, 0);
    fill();
    check_kept(session, text, false, 40);
    check_kept(session, text, true, 39);
    fill();
    check_kept(session, slice(text, 0, 20), false, 20);
    fill();
    check_kept(session, slice(text, 0, 20), true, 19);
    fill();
    Tokens changed = text;
    changed[25] = 7;
    check_kept(session, changed, true, 25);
    fill();
    changed[0] = 7;
    check_kept(session, changed, true, 0);
    fill();
    Tokens longer = text;
    longer.push_back(7);
    check_kept(session, longer, true, 40);
    check_kept(session, Tokens{text[0]}, true, 0);
}

TEST(session, "computes after a cut what a fresh session computes") {
    SmallModel small;
    const Tokens text = long_prompt(small, 24);
    Tokens other = text;
    for (size_t i = 12; i < other.size(); ++i) other[i] = text[i - 12];
    const std::vector<float> expected = fresh_logits(small, other);
    const Held session(small.session());
    session->compute(text, true);
    check_kept(session, other, true, 12);
    session->compute(slice(other, 12, 24), true);
    expect_equal(session->cached_tokens(), other);
    const std::vector<float> actual = logits_of(session, expected.size());
    // Passes of other widths add in another order, so equal means nearly equal.
    for (size_t i = 0; i < expected.size(); ++i) {
        expect(std::abs(actual[i] - expected[i]) < 0.5f, "logit " + show(i) + " of " + show(expected[i]) + ", got " + show(actual[i]));
    }
}

TEST(session, "leaves the cache as it was when a pass is cancelled") {
    SmallModel small;
    const Tokens text = long_prompt(small, 90);
    const auto shared = small.session(512, 128);
    const std::vector<float> expected = fresh_logits(small, slice(text, 0, 31));
    {
        const Held session(shared);
        expect(session->compute(slice(text, 0, 30), true), "the first pass to end");
        session.cancel();
        expect(!session->compute(slice(text, 30, 90), true), "the second pass to be cancelled");
        expect_equal(session->cached_tokens(), slice(text, 0, 30));
    }
    const Held session(shared);
    expect(session->compute(slice(text, 30, 31), true), "the flag of another job not to count");
    expect_equal(session->cached_tokens(), slice(text, 0, 31));
    const std::vector<float> actual = logits_of(session, expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
        expect(std::abs(actual[i] - expected[i]) < 0.5f, "logit " + show(i) + " of " + show(expected[i]) + ", got " + show(actual[i]));
    }
}

TEST(session, "stays consistent however far a cancelled pass came") {
    SmallModel small;
    const Tokens text = long_prompt(small, 200);
    const auto shared = small.session(512, 256);
    int cancelled = 0;
    for (int i = 0; i < 12; ++i) {
        const Held session(shared);
        session->keep_common_prefix(slice(text, 0, 8), false);
        if (session->cached_tokens().empty()) session->compute(slice(text, 0, 8), false);
        if (i == 0) session.cancel();
        std::thread canceller([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(i * 8));
            session.cancel();
        });
        const bool done = session->compute(slice(text, 8, 200), false);
        canceller.join();
        expect_equal(session->cached_tokens(), done ? text : slice(text, 0, 8));
        if (!done) ++cancelled;
    }
    expect(cancelled > 0, "at least one pass to be cancelled");
}

TEST(session, "serves one job at a time") {
    SmallModel small;
    const auto session = small.session();
    session->acquire(std::make_shared<Cancellation>());
    expect_error(ErrorCode::SessionBusy, "another request", [&] { session->acquire(std::make_shared<Cancellation>()); });
    session->release();
    session->acquire(std::make_shared<Cancellation>());
    session->release();
    session->close();
    session->close();
    expect_error(ErrorCode::Closed, "was closed", [&] { session->acquire(std::make_shared<Cancellation>()); });
    expect_equal(session->cached_tokens(), Tokens{});
}

TEST(session, "cancels its job when it is closed, and waits for it") {
    SmallModel small;
    const auto session = small.session();
    const auto cancellation = std::make_shared<Cancellation>();
    session->acquire(cancellation);
    std::atomic<bool> released = false;
    std::thread job([&] {
        while (!cancellation->cancelled()) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        released = true;
        session->release();
    });
    session->close();
    const bool waited = released;
    job.join();
    expect(waited, "close to wait for the job");
}

TEST(session, "goes by the time of a pass over a card only where nobody else computed before its end") {
    exact_card();
    Engine with_card(library_directory(), false);
    LoadOptions options;
    options.plan.path = small_model_path();
    options.plan.context_length = 512;
    const auto on_card = with_card.load(options);
    expect(on_card->placement().device_layers > 0, "a model on the card");
    SmallModel small;
    const Held other(small.session());
    const auto compute = [&](const Held& session, bool disturbed) {
        expect(session->compute({{1}}, 1), "a pass");
        if (disturbed) expect(other->compute({{1}}, 1), "another pass");
        session->logits();
    };
    const Held session(with_card.create_session(on_card, {.context_length = 512}, 1));
    for (int i = 0; i < 4; ++i) compute(session, true);
    expect(!on_card->speculation().costs.known(), "passes that others disturbed to tell nothing");
    expect_equal(on_card->activity().passes, uint64_t{4});
    expect_equal(on_card->activity().last_seconds, 0.0);
    // Nor what is still under way when they begin.
    for (int i = 0; i < 4; ++i) {
        expect(other->compute({{1}}, 1), "another pass");
        compute(session, false);
        other->logits();
    }
    expect(!on_card->speculation().costs.known(), "passes behind those of others to tell nothing");
    for (int i = 0; i < 2; ++i) compute(session, false);
    expect(on_card->speculation().costs.known(), "passes that nobody disturbed to tell");
    expect(on_card->activity().last_seconds > 0, "their time to be known");
    // The processor computes a pass within the call.
    const auto on_processor = small.load(small_model_path());
    const Held without_card(small.engine.create_session(on_processor, {.context_length = 512}, 1));
    for (int i = 0; i < 2; ++i) compute(without_card, true);
    expect(on_processor->speculation().costs.known(), "passes over the processor to tell in any case");
}

TEST(session, "has the size that was asked for") {
    SmallModel small;
    const uint32_t trained = small.model->info().trained_context;
    expect(small.session(512)->context_length() >= 512, "room for 512 tokens");
    expect_equal(small.session(512, 32)->batch_size(), 32u);
    expect_equal(small.session(512)->batch_size(), 64u);
    expect_error(ErrorCode::ContextTooLong, std::to_string(trained), [&] { small.session(trained + 1); });
    expect_error(ErrorCode::InvalidArgument, "contextLength", [&] { small.session(0); });
    for (const int threads : {-1, 513}) {
        expect_error(ErrorCode::InvalidArgument, "threads", [&] { small.engine.create_session(small.model, {512, 0}, threads); });
    }
}

TEST(session, "restores a copy of its cache bit for bit") {
    SmallModel small;
    const Tokens text = long_prompt(small, 40);
    const Held session(small.session());
    expect(!session->save(), "no copy of an empty cache");
    session->compute(slice(text, 0, 39), 0);
    const SnapshotPtr snapshot = session->save();
    expect(snapshot != nullptr, "a copy");
    const Tokens other = long_prompt(small, 50, 1);
    session->keep(0);
    session->compute(other, 0);
    session->restore(*snapshot);
    expect_equal(session->cached_tokens(), slice(text, 0, 39));
    session->compute(slice(text, 39, 40), 1);
    const std::vector<float> restored = logits_of(session, small.model->vocabulary().size());
    const Held whole(small.session());
    whole->compute(slice(text, 0, 39), 0);
    whole->compute(slice(text, 39, 40), 1);
    expect_equal(restored == logits_of(whole, small.model->vocabulary().size()), true);
}

TEST(session, "refuses a copy that does not fit and stays usable") {
    SmallModel small;
    SmallModel another;
    const Tokens text = long_prompt(small, 40);
    const Held session(small.session());
    session->compute(text, 0);
    const SnapshotPtr snapshot = session->save();
    const auto check_refused = [&](const Held& into, const Snapshot& refused, ErrorCode code, const Tokens& left) {
        try {
            into->restore(refused);
            expect(false, "the copy to be refused");
        } catch (const EngineError& error) {
            expect(error.code() == code, error.what());
        }
        expect_equal(into->cached_tokens(), left);
        expect(into->compute(slice(text, left.size(), left.size() + 1), 1), "a pass");
        into->keep(left.size());
    };
    check_refused(Held(another.session()), *snapshot, ErrorCode::InvalidArgument, {});
    const Held brief(small.session(16));
    brief->compute(slice(text, 0, 8), 0);
    check_refused(brief, Snapshot{small.model, Tokens(brief->context_length() + 1), {}}, ErrorCode::ContextTooLong, slice(text, 0, 8));
    Snapshot broken = *snapshot;
    broken.kv.resize(broken.kv.size() / 2);
    check_refused(session, broken, ErrorCode::Internal, {});
}
