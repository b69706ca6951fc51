// A draft model that fails, is nonsense or becomes slow, and answers that are cancelled while it drafts.
#include <algorithm>
#include <limits>
#include <stdexcept>

#include "check.h"
#include "random_model.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

// Every guess is asked for its logits twice, for the pass and for its token.
constexpr int most_asked = 30;

// A model whose passes are exact, and itself as its draft model: it is always right. Passes over it seem to take a second each, and
// those over the draft model a tenth of one.
struct Pair {
    Pair() {
        session->edit_logits([this](size_t, std::span<float>) {
            small.model->speculation().costs = same_costs(1);
            if (!keeps_costs) draft->speculation().costs = same_costs(0.1);
        });
    }

    std::shared_ptr<Session> draft_session() { return small.engine.create_session(draft, {512, 0, small.model}, 1); }

    // Without a draft session it is plain decoding.
    GenerationRequest request(std::shared_ptr<Session> by, float temperature = 0) const {
        auto asked = generate_request(prompt, 40);
        asked.decode->sampler.temperature = temperature;
        asked.decode->sampler.top_k = 40;
        asked.decode->sampler.top_p = 0.95f;
        // So that the text alone tells nothing of what comes.
        asked.decode->sampler.repeat_penalty = 1.5f;
        asked.decode->speculate = by ? Speculate::Exact : Speculate::Off;
        asked.decode->draft = std::move(by);
        return asked;
    }

    // Not from memory of an answer before, which needs no draft model.
    GenerationResult answer(GenerationRequest asked) {
        small.model->speculation().recent.forget();
        return run(small, session, std::move(asked));
    }
    GenerationResult plain(float temperature = 0) { return answer(request(nullptr, temperature)); }

    const RandomModel file;
    SmallModel small{file.path(), true};
    const std::shared_ptr<Model> draft = small.load(file.path(), true);
    const std::shared_ptr<Session> session = small.session();
    const Tokens prompt = small.tokens("The keeper of the lighthouse had not spoken to anyone");
    bool keeps_costs = false;  // of the draft model, whatever they became
};

// Whatever the draft model says instead of its logits.
void check_nonsense(Pair& pair, const std::function<void(std::span<float>)>& say, Location at = Location::here()) {
    for (const float temperature : {0.0f, 0.8f}) {
        const auto by = pair.draft_session();
        by->edit_logits([&](size_t, std::span<float> logits) { say(logits); });
        const GenerationResult result = pair.answer(pair.request(by, temperature));
        expect_equal(result.tokens, pair.plain(temperature).tokens, at);
        expect(result.speculation.draft_passes > 0, "the draft model to be asked", at);
    }
}

}  // namespace

TEST(draft_failures, "an answer goes on without a draft model that fails, at whatever step") {
    Pair pair;
    const GenerationResult plain = pair.plain();
    for (int step = 1; step <= most_asked; ++step) {
        const auto by = pair.draft_session();
        int asked = 0;
        by->edit_logits([&](size_t, std::span<float>) {
            if (++asked == step) throw std::runtime_error("the card is lost");
        });
        const GenerationResult result = pair.answer(pair.request(by));
        expect_equal(result.tokens, plain.tokens);
        expect(result.finish == plain.finish, "the answer to end as without");
        expect_equal(asked, step);
        // It is free again.
        by->acquire(std::make_shared<Cancellation>());
        by->release();
    }
}

TEST(draft_failures, "an answer can be cancelled at whatever step of its draft model, and goes on from there") {
    Pair pair;
    const GenerationResult plain = pair.plain();
    const auto by = pair.draft_session();
    for (int step = 1; step <= most_asked; ++step) {
        int asked = 0;
        auto request = pair.request(by);
        by->edit_logits([&, cancellation = request.cancellation](size_t, std::span<float>) {
            if (++asked == step) cancellation->cancel();
        });
        const GenerationResult cancelled = pair.answer(std::move(request));
        expect(cancelled.finish == Finish::Cancelled, "a cancelled answer");
        // Only what the pass computed in which it was cancelled.
        expect(asked <= step + 1, "nothing more to be drafted behind step " + show(step) + ", got " + show(asked - step));
        Tokens text = pair.prompt;
        text.insert(text.end(), cancelled.tokens.begin(), cancelled.tokens.end());
        const Tokens cached = pair.session->cached_tokens();
        expect(std::ranges::mismatch(cached, text).in1 == cached.end(), "nothing but the answer in the cache");
        expect(std::ranges::mismatch(cancelled.tokens, plain.tokens).in1 == cancelled.tokens.end(), "the beginning of the same answer");
        by->edit_logits(nullptr);
        const GenerationResult again = pair.answer(pair.request(by));
        expect_equal(again.tokens, plain.tokens);
        expect(again.speculation.model_accepted_tokens > 0, "the draft model to guess again");
    }
}

TEST(draft_failures, "a draft model that says nonsense changes no token") {
    Pair pair;
    for (const float all : {0.0f, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        check_nonsense(pair, [all](std::span<float> logits) { std::ranges::fill(logits, all); });
    }
    check_nonsense(pair, [](std::span<float> logits) { std::ranges::reverse(logits); });
}

TEST(draft_failures, "a draft model whose passes become a hundred times dearer is soon asked no more") {
    Pair pair;
    const GenerationResult plain = pair.plain();
    const auto by = pair.draft_session();
    const uint32_t usual = pair.answer(pair.request(by)).speculation.draft_passes;
    pair.keeps_costs = true;
    by->edit_logits([&](size_t, std::span<float>) { pair.draft->speculation().costs.observe(1, 10); });
    const GenerationResult result = pair.answer(pair.request(by));
    expect_equal(result.tokens, plain.tokens);
    expect(result.speculation.draft_passes < 10 && usual > 15, "few passes instead of " + show(usual) + ", got " + show(result.speculation.draft_passes));
    const GenerationResult next = pair.answer(pair.request(by));
    expect_equal(next.tokens, plain.tokens);
    expect_equal(next.speculation.draft_passes, 0u);
}
