#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <thread>

#include "check.h"
#include "chi_square.h"
#include "decode_options.h"
#include "gguf_file.h"
#include "runtime/speculator.h"
#include "small_model.h"
#include "synthetic_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

const std::vector<std::string> prompts{
    "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n",
    "Once upon a time there was a small robot who",
    "const list = [1, 2, 3];\nfor (const item of list)",
    "The three largest cities of Europe are",
};

// A model and another one that drafts for it.
struct Pair {
    explicit Pair(const std::string& draft_path) : draft(small.load(draft_path)) {}

    std::shared_ptr<Session> draft_session(uint32_t context_length = 512) { return small.engine.create_session(draft, {context_length, 0, small.model}, 1); }

    // What passes cost decides whether the draft model is asked at all. In this session those over the main model seem to take
    // a second each, and those over the draft model a tenth of one, however long they take here and now.
    std::shared_ptr<Session> slow_session() {
        auto session = small.session();
        session->edit_logits([this](size_t, std::span<float>) {
            small.model->speculation().costs = same_costs(1);
            draft->speculation().costs = same_costs(0.1);
        });
        return session;
    }

    GenerationRequest request(const std::string& prompt, const std::function<void(DecodeOptions&)>& change) {
        auto request = generate_request(small.tokens(prompt), 40);
        change(*request.decode);
        return request;
    }

    GenerationResult plain(const std::string& prompt, const std::function<void(DecodeOptions&)>& change = [](DecodeOptions&) {}) {
        auto asked = request(prompt, change);
        asked.decode->speculate = Speculate::Off;
        return run(small, small.session(), asked);
    }

    GenerationResult drafted(const std::string& prompt, std::shared_ptr<Session> by, const std::function<void(DecodeOptions&)>& change = [](DecodeOptions&) {}) {
        auto asked = request(prompt, change);
        asked.decode->draft = std::move(by);
        return run(small, slow_session(), asked);
    }

    SmallModel small;
    std::shared_ptr<Model> draft;
};

// The draft model changes the number of passes and nothing else; returns what came of it.
SpeculationResult check_same_text(Pair& pair, const std::function<void(DecodeOptions&)>& change, Location at = Location::here()) {
    SpeculationResult all;
    const auto session = pair.draft_session();
    for (const std::string& prompt : prompts) {
        const GenerationResult drafted = pair.drafted(prompt, session, change);
        const GenerationResult plain = pair.plain(prompt, change);
        expect_equal(drafted.tokens, plain.tokens, at);
        expect_equal(drafted.decode_passes + drafted.speculation.accepted_tokens, plain.decode_passes, at);
        all.drafted_tokens += drafted.speculation.model_drafted_tokens;
        all.accepted_tokens += drafted.speculation.model_accepted_tokens;
        all.draft_passes += drafted.speculation.draft_passes;
    }
    return all;
}

// A vocabulary as a file of its own, with these words behind the usual ones.
std::string vocabulary_file(const std::vector<std::string>& words) {
    GgufFile file;
    std::vector<std::string> tokens{"<unk>", "a", "b", "c"};
    tokens.insert(tokens.end(), words.begin(), words.end());
    file.text("general.architecture", "llama").text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "default");
    file.texts("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", std::vector<int32_t>(tokens.size(), 1)).texts("tokenizer.ggml.merges", {});
    for (const char* key : {"llama.context_length", "llama.embedding_length", "llama.block_count", "llama.feed_forward_length", "llama.attention.head_count"}) file.u32(key, 1);
    return file.bytes();
}

void check_difference(const std::vector<std::string>& one, const std::vector<std::string>& other, std::string_view part, Location at = Location::here()) {
    const TemporaryFile first(vocabulary_file(one));
    const TemporaryFile second(vocabulary_file(other));
    const VocabularyOnly a(first.path());
    const VocabularyOnly b(second.path());
    for (const std::string& difference : {a->difference_to(*b), b->difference_to(*a)}) {
        expect(part.empty() ? difference.empty() : difference.find(part) != std::string::npos, show(part) + ", got " + show(difference), at);
    }
}

}  // namespace

TEST(model_draft, "a draft model that is always right saves most passes and changes no token") {
    Pair pair(small_model_path());
    for (const auto& change : {greedy, drawn, drawn_by_grammar}) {
        const SpeculationResult result = check_same_text(pair, change);
        expect(result.drafted_tokens > 60, "drafts, got " + show(result.drafted_tokens));
        // Passes of another width round differently now and then.
        expect(result.accepted_tokens * 10 >= result.drafted_tokens * 9, show(result.drafted_tokens) + " right ones, got " + show(result.accepted_tokens));
    }
}

TEST(model_draft, "a draft model that is always wrong changes no token, and is soon asked no more") {
    const TemporaryFile file;
    synthetic::write_model(*synthetic::find_shape("tiny"), small_model_path(), file.path());
    Pair pair(file.path());
    for (const auto& change : {greedy, drawn, drawn_by_grammar}) {
        const SpeculationResult result = check_same_text(pair, change);
        expect(result.accepted_tokens * 4 <= result.drafted_tokens, "few right ones, got " + show(result.accepted_tokens));
        expect(result.draft_passes < 160, "few passes over the draft model, got " + show(result.draft_passes));
    }
}

TEST(model_draft, "drawn tokens are distributed as the main model says, not as the draft model does") {
    const TemporaryFile file;
    synthetic::write_model(*synthetic::find_shape("tiny"), small_model_path(), file.path());
    SmallModel small(file.path());
    const auto draft = small.load(file.path());
    const std::array<double, 5> wanted{0.4, 0.3, 0.15, 0.1, 0.05};
    const std::array<double, 5> drafted{0.05, 0.15, 0.1, 0.3, 0.4};
    constexpr llama_token first = 300;
    const auto say = [](std::span<float> logits, const std::array<double, 5>& probabilities) {
        std::ranges::fill(logits, -100.0f);
        for (size_t i = 0; i < probabilities.size(); ++i) logits[first + i] = static_cast<float>(std::log(probabilities[i]));
    };
    const auto draft_session = small.engine.create_session(draft, {512, 0, small.model}, 1);
    draft_session->edit_logits([&](size_t, std::span<float> logits) { say(logits, drafted); });
    constexpr size_t length = 4;
    std::array<uint32_t, 2> passes{};  // without leaves and with
    for (const bool leaves : {false, true}) {
        const auto session = small.engine.create_session(small.model, {512, 0, nullptr, leaves}, 1);
        session->edit_logits([&](size_t, std::span<float> logits) {
            say(logits, wanted);
            small.model->speculation().costs = same_costs(1);
            small.model->speculation().recent.forget();
            draft->speculation().costs = same_costs(0.01);
        });
        std::array<std::array<double, 5>, length> counts{};
        SpeculationResult all;
        for (uint32_t seed = 1; seed <= 600; ++seed) {
            auto request = generate_request(small.tokens("Any text will do."), length);
            request.decode->sampler.temperature = 1;
            request.decode->sampler.seed = seed;
            request.decode->draft = draft_session;
            const GenerationResult result = run(small, session, request);
            for (size_t place = 0; place < length; ++place) ++counts[place][static_cast<size_t>(result.tokens[place] - first)];
            all.drafted_tokens += result.speculation.model_drafted_tokens;
            all.accepted_tokens += result.speculation.model_accepted_tokens;
            passes[leaves] += result.decode_passes;
        }
        for (const auto& of_place : counts) expect(chi_square(of_place, wanted) < 23.5, "a distribution as wanted, got one off by " + show(chi_square(of_place, wanted)));
        expect(chi_square(counts[length - 1], drafted) > 600, "another distribution than the draft model's");
        expect(all.drafted_tokens > 300 && all.accepted_tokens > 60, "drafts to be verified, got " + show(all.drafted_tokens));
        expect(all.accepted_tokens < all.drafted_tokens * 3 / 4, "wrong ones among them, got " + show(all.drafted_tokens - all.accepted_tokens));
    }
    expect(passes[1] < passes[0], "leaves among the right ones, so fewer than " + show(passes[0]) + " passes, got " + show(passes[1]));
}

TEST(model_draft, "counts no guessed end as a part of the answer") {
    Pair pair(small_model_path());
    const llama_token end = llama_vocab_eos(pair.small.model->vocabulary().handle());
    const auto end_at = [&](Session& session, size_t place) {
        session.edit_logits([&, place](size_t at, std::span<float> logits) {
            pair.small.model->speculation().costs = same_costs(1);
            pair.draft->speculation().costs = same_costs(0.1);
            if (at >= place) logits[static_cast<size_t>(end)] = 100;
        });
    };
    // The prompt has ends, too, so that also the text guesses one.
    Tokens prompt = pair.small.tokens("one two three four");
    prompt.push_back(end);
    for (const llama_token token : pair.small.tokens("one two three")) prompt.push_back(token);
    for (const size_t length : {1, 2, 5, 8}) {
        const auto session = pair.small.session();
        const auto draft_session = pair.draft_session();
        for (const auto& one : {session, draft_session}) end_at(*one, prompt.size() + length);
        auto request = generate_request(prompt, 40);
        request.decode->draft = draft_session;
        const GenerationResult result = run(pair.small, session, request);
        expect(result.finish == Finish::Stop, "the answer to end");
        expect_equal(result.tokens.size(), length);
        // Every token but the first comes out of a pass of its own or was guessed, and so does the end.
        expect_equal(size_t{result.decode_passes} + result.speculation.accepted_tokens, length);
    }
}

TEST(model_draft, "a draft model that is as slow as the main one is not asked") {
    Pair pair(small_model_path());
    const auto session = pair.draft_session();
    uint32_t passes = 0;
    for (const std::string& prompt : prompts) {
        auto request = pair.request(prompt, [&](DecodeOptions& decode) { decode.draft = session; });
        passes += run(pair.small, pair.small.session(), request).speculation.draft_passes;
    }
    expect_equal(passes, 2u);  // to find out how slow it is
}

TEST(model_draft, "finding out what a pass over the draft model takes tells nothing of its guesses") {
    Pair pair(small_model_path());
    const auto session = pair.draft_session();
    const auto promised = [&] { return pair.small.model->speculation().control.forecast({}, 15, 0.1, same_costs(1)); };
    const double before = promised();
    auto request = pair.request(prompts[0], [&](DecodeOptions& decode) { decode.draft = session; });
    expect(run(pair.small, pair.small.session(), request).speculation.draft_passes > 0, "a pass over the draft model");
    expect(std::abs(promised() - before) < 1e-9, show(before) + " as before, got " + show(promised()));
}

TEST(model_draft, "choosing a token is a part of what a guess costs") {
    Pair pair(small_model_path());
    const auto draft_session = pair.draft_session();
    double known = 0;
    draft_session->edit_logits([&](size_t, std::span<float>) { known = std::max(known, pair.small.model->speculation().costs.choice_seconds()); });
    expect(pair.drafted(prompts[1], draft_session, drawn).speculation.draft_passes > 2, "a draft model that is asked");
    expect(known > 0, "choosing to be timed");
    const auto session = pair.slow_session();
    session->edit_logits([&](size_t, std::span<float>) {
        PassCosts costs = same_costs(1);
        for (int i = 0; i < 2; ++i) costs.observe_choice(0.9);
        pair.small.model->speculation().costs = costs;
        pair.draft->speculation().costs = same_costs(0.1);
    });
    const auto request = pair.request(prompts[1], [&](DecodeOptions& decode) { decode.draft = draft_session; });
    expect_equal(run(pair.small, session, request).speculation.draft_passes, 0u);
}

TEST(model_draft, "the draft model's cache follows the text") {
    Pair pair(small_model_path());
    const auto session = pair.draft_session();
    const std::string story = "The old lighthouse stood at the end of the world. Its keeper had not spoken to anyone for years, and the ships that passed were few.";
    const GenerationResult first = pair.drafted(story, session);
    expect(first.speculation.model_accepted_tokens > 10, "drafts that were right");
    Tokens text = pair.small.tokens(story);
    text.insert(text.end(), first.tokens.begin(), first.tokens.end());
    const Tokens cached = session->cached_tokens();
    const auto [differs, unused] = std::mismatch(cached.begin(), cached.end(), text.begin(), text.end());
    // Behind what it has in common is at most one draft.
    expect(cached.end() - differs < static_cast<std::ptrdiff_t>(widest_verification), "the text in the draft model's cache");
    expect(differs - cached.begin() > static_cast<std::ptrdiff_t>(text.size() / 2), "most of the text in the draft model's cache");
}

TEST(model_draft, "of two answers at once one has the draft model, and both are as without") {
    Pair pair(small_model_path());
    const auto session = pair.draft_session();
    const auto by_session = [&](DecodeOptions& decode) { decode.draft = session; };
    Running first(pair.small, pair.slow_session(), pair.request(prompts[0], by_session));
    Running second(pair.small, pair.slow_session(), pair.request(prompts[1], by_session));
    const GenerationResult with = first.result();
    const GenerationResult without = second.result();
    expect(with.speculation.draft_passes > 2, "the first to have the draft model");
    expect_equal(without.speculation.draft_passes, 0u);
    expect_equal(with.tokens, pair.plain(prompts[0]).tokens);
    expect_equal(without.tokens, pair.plain(prompts[1]).tokens);
    expect(pair.drafted(prompts[1], session).speculation.draft_passes > 2, "the session to be free again");
}

TEST(model_draft, "an answer goes on without the draft model when that is closed") {
    for (const int after : {1, 2, 5, 9}) {
        Pair pair(small_model_path());
        auto request = pair.request(prompts[1], [&](DecodeOptions& decode) { decode.draft = pair.draft_session(); });
        std::atomic<int> pieces = 0;
        std::thread closing([&] {
            while (pieces < after) std::this_thread::yield();
            pair.draft->close();
        });
        Running running(pair.small, pair.slow_session(), request, [&](std::string) { ++pieces; });
        const GenerationResult drafted = running.result();
        pieces = after;
        closing.join();
        expect_equal(drafted.tokens, pair.plain(prompts[1]).tokens);
        expect(drafted.finish == Finish::Length, "the answer to end as without");
    }
}

TEST(model_draft, "can be cancelled at any step, and goes on from there") {
    Pair pair(small_model_path());
    const auto draft_session = pair.draft_session();
    const Tokens prompt = pair.small.tokens(prompts[1]);
    const auto plain = pair.plain(prompts[1]);
    for (const int after : {1, 2, 3, 7, 12}) {
        const auto session = pair.slow_session();
        auto request = generate_request(prompt, 40);
        request.decode->draft = draft_session;
        int pieces = 0;
        Running running(pair.small, session, request, [&, cancellation = request.cancellation](std::string) {
            if (++pieces == after) cancellation->cancel();
        });
        const GenerationResult cancelled = running.result();
        expect(cancelled.finish == Finish::Cancelled, "a cancelled answer");
        const Tokens cached = session->cached_tokens();
        expect(cached.size() <= prompt.size() + cancelled.tokens.size(), "no drafted token to stay in the cache");
        auto again = generate_request(prompt, 40);
        again.decode->draft = draft_session;
        expect_equal(run(pair.small, session, again).tokens, plain.tokens);
    }
}

TEST(model_draft, "a text that is too long for the draft model is answered without it") {
    Pair pair(small_model_path());
    const auto session = pair.draft_session(32);
    expect_equal(pair.drafted(prompts[0], session).tokens, pair.plain(prompts[0]).tokens);
}

TEST(model_draft, "refuses a draft that does not go with the model") {
    Pair pair(small_model_path());
    auto request = generate_request(pair.small.tokens("Hello"), 4);
    request.decode->draft = pair.small.session();
    expect_error(ErrorCode::InvalidArgument, "created for this session's model", [&] { run(pair.small, pair.small.session(), request); });
    expect_error(ErrorCode::InvalidArgument, "the same model", [&] { pair.small.engine.create_session(pair.small.model, {512, 0, pair.small.model}, 1); });
    check_difference({"d", "e"}, {"d", "e"}, "");
    check_difference({"d", "e"}, {"d", "f"}, "token 5");
    check_difference({"d", "e"}, {"d"}, "only one has token 5, \"e\"");
    check_difference({"d", "[PAD5]", "[PAD6]"}, {"d"}, "");
}
