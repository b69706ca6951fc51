#include "runtime/generation.h"

#include <algorithm>
#include <atomic>
#include <climits>
#include <cmath>
#include <utility>

#include "check.h"
#include "platform/os.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;
using Events = std::vector<std::string>;

constexpr uint32_t long_answer = 400;

GenerationRequest with(GenerationRequest request, const std::function<void(GenerationRequest&)>& change) {
    change(request);
    return request;
}

// A grammar under which the answer never ends by itself.
const char* const endless = "root ::= \" a\"*";

void check_refused(SmallModel& small, GenerationRequest request, ErrorCode code, std::string_view part, Location at = Location::here()) {
    const auto session = small.session(256);
    expect_error(code, part, [&] { run(small, session, std::move(request)); }, at);
    // The session is free and whole afterwards.
    expect_equal(run(small, session, generate_request(small.tokens("Hello"), 2)).tokens.size(), size_t{2}, at);
}

// The answer begins with text that a healing of `typed` may have and hands out none of it.
void check_healing(SmallModel& small, const std::string& before, const std::string& typed, Location at = Location::here()) {
    auto request = generate_request(small.tokens(before), 8);
    request.decode->begin_with = typed;
    std::string streamed;
    Running running(small, small.session(), std::move(request), [&](std::string text) { streamed += text; });
    const GenerationResult result = running.result();
    const std::string full = small.model->vocabulary().detokenize(result.tokens, false);
    expect(full.starts_with(typed), "an answer that begins with " + show(typed) + ", got " + show(full), at);
    expect(full.substr(typed.size()).starts_with(result.text), show(result.text) + " to be what follows in " + show(full), at);
    expect_equal(streamed, result.text, at);
}

}  // namespace

TEST(generation, "streams the text it returns, and counts what it did") {
    SmallModel small;
    const auto session = small.session();
    const Tokens prompt = small.tokens("The capital of France is");
    std::string streamed;
    size_t calls = 0;
    Running running(small, session, generate_request(prompt, 8), [&](std::string text) {
        streamed += text;
        ++calls;
    });
    const GenerationResult first = running.result();
    expect(first.finish == Finish::Length, "the answer to end at the length");
    expect_equal(first.text, streamed);
    expect(calls > 1, "more than one piece");
    expect_equal(first.tokens.size(), size_t{8});
    expect_equal(first.text, small.model->vocabulary().detokenize(first.tokens, false));
    expect(first.text.find("Paris") != std::string::npos, "Paris, got " + show(first.text));
    expect_equal(first.prompt_tokens, static_cast<uint32_t>(prompt.size()));
    expect_equal(first.reused_tokens, 0u);
    expect_equal(first.computed_tokens, static_cast<uint32_t>(prompt.size()));
    // The last token is handed out without a pass.
    Tokens cached = prompt;
    cached.insert(cached.end(), first.tokens.begin(), first.tokens.end() - 1);
    expect_equal(session->cached_tokens(), cached);

    const GenerationResult again = run(small, session, generate_request(prompt, 8));
    expect_equal(again.reused_tokens, static_cast<uint32_t>(prompt.size() - 1));
    expect_equal(again.computed_tokens, 1u);
    expect_equal(again.text, first.text);
}

TEST(generation, "tells how confident the model was of the first line, when asked") {
    SmallModel small;
    const auto lines = [&](uint32_t max_tokens, const std::function<void(DecodeOptions&)>& change) {
        auto request = generate_request(small.tokens("One line each:\n1, 1, 1\n2, 2, 2\n3, 3,"), max_tokens);
        request.decode->rate = true;
        change(*request.decode);
        return run(small, small.session(), std::move(request));
    };
    const auto long_one = lines(24, [](auto&) {});
    const size_t line_end = long_one.text.find('\n');
    expect(line_end != std::string::npos && line_end > 0, "a line and more, got " + show(long_one.text));
    const Confidence first = long_one.confidence;
    expect(first.tokens > 1 && first.tokens < long_one.tokens.size(), "some of the tokens, got " + show(first.tokens));
    expect(first.least < first.mean && first.mean < 0 && first.least > -20, "logarithms, got " + show(first.mean));

    const auto expect_same = [&](const Confidence& other, Location at = Location::here()) {
        expect_equal(other.tokens, first.tokens, at);
        expect(std::abs(other.mean - first.mean) < 0.05 && std::abs(other.least - first.least) < 0.2, "the same confidence, got " + show(other.mean), at);
    };
    expect_same(lines(first.tokens, [](auto&) {}).confidence);
    expect_same(lines(24, [](auto& decode) { decode.stop = {"\n"}; }).confidence);
    expect_same(lines(24, [](auto& decode) { decode.speculate = Speculate::Off; }).confidence);
    expect_equal(lines(24, [](auto& decode) { decode.rate = false; }).confidence.tokens, 0u);
    // Of what heals the prompt only the choice counts.
    const auto forced = lines(1, [](auto& decode) { decode.begin_with = "Zürich is far away from here, in the south of"; });
    expect(forced.confidence.mean > -5, "no improbable text, got " + show(forced.confidence.mean));
}

TEST(generation, "prefills without an answer") {
    SmallModel small;
    const auto session = small.session(512, 16);
    const Tokens prompt = long_prompt(small, 50);
    const GenerationResult first = run(small, session, prefill_request(prompt));
    expect_equal(first.computed_tokens, 50u);
    expect(first.finish == Finish::Stop && first.tokens.empty(), "no answer");
    expect_equal(session->cached_tokens(), prompt);
    const GenerationResult again = run(small, session, prefill_request(prompt));
    expect_equal(again.computed_tokens, 0u);
    expect_equal(again.reused_tokens, 50u);
    const Tokens shorter(prompt.begin(), prompt.begin() + 20);
    run(small, session, prefill_request(shorter));
    expect_equal(session->cached_tokens(), shorter);
}

TEST(generation, "ends at stop strings, at the end token and at the end of the context") {
    SmallModel small;
    const auto counting = generate_request(small.tokens("1, 2, 3, 4, 5, 6,"), 15);
    const std::string plain = run(small, small.session(), counting).text;
    expect(plain.find("9") != std::string::npos, "the model to count on, got " + show(plain));
    const auto stopped = run(small, small.session(), with(counting, [](auto& request) { request.decode->stop = {"nowhere", "9"}; }));
    expect(stopped.finish == Finish::Stop, "a stop");
    expect_equal(stopped.text, plain.substr(0, plain.find("9")));
    // All of it might have become the stop string, until there was no more to come.
    const auto held_back = run(small, small.session(), with(counting, [&](auto& request) { request.decode->stop = {plain + "#"}; }));
    expect_equal(held_back.text, plain);

    const Tokens question = small.tokens("<|im_start|>user\nSay hi.<|im_end|>\n<|im_start|>assistant\n", true);
    const auto answer = run(small, small.session(), generate_request(question, 60));
    expect(answer.finish == Finish::Stop, "an answer with an end");
    expect(!answer.tokens.empty() && answer.tokens.size() < 60, "a short answer");

    const auto session = small.session(256);
    const Tokens prompt = long_prompt(small, session->context_length() - 4);
    auto request = generate_request(prompt, 100);
    request.decode->sampler.grammar = endless;
    const auto full = run(small, session, request);
    expect(full.finish == Finish::Length, "the end of the context");
    expect_equal(full.tokens.size(), size_t{4});
}

TEST(generation, "refuses requests that cannot be served, and serves the next one") {
    SmallModel small;
    const auto vocabulary = static_cast<llama_token>(small.model->vocabulary().size());
    const Tokens hello = small.tokens("Hello");
    const auto good = generate_request(hello, 4);
    check_refused(small, generate_request({}, 4), ErrorCode::InvalidArgument, "at least one token");
    check_refused(small, prefill_request({}), ErrorCode::InvalidArgument, "at least one token");
    for (const llama_token token : {-1, vocabulary, INT_MAX, INT_MIN}) {
        check_refused(small, generate_request({1, token, 2}, 4), ErrorCode::InvalidArgument, "got " + std::to_string(token));
    }
    check_refused(small, generate_request(Tokens(256, 5), 4), ErrorCode::ContextTooLong, "256");
    check_refused(small, prefill_request(Tokens(257, 5)), ErrorCode::ContextTooLong, "257");
    check_refused(small, generate_request(hello, 0), ErrorCode::InvalidArgument, "maxTokens");
    check_refused(small, with(good, [](auto& request) { request.decode->stop = {"a", ""}; }), ErrorCode::InvalidArgument, "stop strings");
    check_refused(small, with(good, [](auto& request) { request.decode->sampler.top_p = 2; }), ErrorCode::InvalidArgument, "topP");
    check_refused(small, with(good, [](auto& request) { request.decode->sampler.grammar = "nonsense"; }), ErrorCode::InvalidArgument, "GBNF");
    check_refused(small, with(good, [](auto& request) { request.decode->sampler.grammar = endless, request.decode->begin_with = "b"; }),
                  ErrorCode::InvalidArgument, "that the grammar allows");
    run(small, small.session(256), prefill_request(Tokens(256, 5)));
}

TEST(generation, "heals the token at the cursor") {
    SmallModel small;
    check_healing(small, "def add(a, b):\n    ", "retu");
    check_healing(small, "import numpy as np\nimport pan", "das");
    check_healing(small, "The quick brown", " f");
    check_healing(small, "Hello", " \u00e4");
    check_healing(small, "Hello", "\U0001F600");
    check_healing(small, "x = ", "zqxj_kwv");
    // Without healing the same cut gives the model a token it never saw there.
    auto request = generate_request(small.tokens("def add(a, b):\n   "), 4);
    request.decode->begin_with = " retu";
    expect(run(small, small.session(), request).text.starts_with("rn"), "the word to be finished");
}

TEST(generation, "heals the token at the cursor under a grammar and with penalties") {
    SmallModel small;
    struct Case {
        std::string grammar;
        std::string typed;
        std::string answer;  // in full; none: any that is longer than what was typed
    };
    for (const Case& one : std::vector<Case>{
             {"root ::= \" return \" (\"alpha\" | \"beta\") \";\"", " retu", ""},
             {"root ::= \" return alpha + beta;\"", " return al", " return alpha + beta;"},
             {"root ::= \"über\" \"mut\"", "ü", "übermut"},
             {"root ::= [a-z ]+ \".\"", "th", ""},
             {"", " retu", ""},
         }) {
        for (const float temperature : {0.0f, 1.0f}) {
            std::vector<std::string> texts;
            for (const Speculate speculate : {Speculate::Auto, Speculate::Off}) {
                auto request = generate_request(small.tokens("def add(alpha, beta):\n   "), 24);
                request.decode->begin_with = one.typed;
                request.decode->sampler.grammar = one.grammar;
                request.decode->sampler.temperature = temperature;
                request.decode->sampler.repeat_penalty = 1.3f;
                request.decode->speculate = speculate;
                const GenerationResult result = run(small, small.session(), std::move(request));
                const std::string full = small.model->vocabulary().detokenize(result.tokens, false);
                expect(full.starts_with(one.typed) && full.size() > one.typed.size(), "more than " + show(one.typed) + ", got " + show(full));
                expect(one.answer.empty() || full == one.answer, show(one.answer) + ", got " + show(full));
                if (!one.grammar.empty() && one.typed == " retu") expect(full == " return alpha;" || full == " return beta;", "what the grammar allows, got " + show(full));
                texts.push_back(full);
            }
            expect_equal(texts[0], texts[1]);
        }
    }
}

TEST(generation, "answers the same whether it guesses ahead or not") {
    SmallModel small;
    const std::vector<std::string> prompts{
        "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n\ndef mul(a, b):\n",
        "one two three four five one two three four five one two three",
        "The ship sailed. The ship sailed. The ship",
        "const list = [1, 2, 3];\nfor (const item of list) console.log(item);\nfor (const item of",
        "Once upon a time there was a small robot who",
        "{\"name\": \"a\", \"size\": 1},\n{\"name\": \"b\", \"size\": 2},\n{\"name\"",
    };
    uint32_t accepted = 0;
    uint32_t accepted_again = 0;
    for (const std::string& prompt : prompts) {
        for (const auto& [temperature, penalty] : {std::pair(0.0f, 1.0f), std::pair(0.8f, 1.1f)}) {
            auto request = generate_request(small.tokens(prompt), 48);
            request.decode->sampler.temperature = temperature;
            request.decode->sampler.repeat_penalty = penalty;
            request.decode->sampler.seed = 7;
            const GenerationResult guessed = run(small, small.session(), request);
            // Now from memory, and as if every guess were worth it.
            const PassCosts costs = small.model->speculation().costs;
            const auto session = small.session();
            session->edit_logits([&](size_t, std::span<float>) { small.model->speculation().costs = same_costs(1); });
            const GenerationResult again = run(small, session, request);
            small.model->speculation().costs = costs;
            request.decode->speculate = Speculate::Off;
            const GenerationResult plain = run(small, small.session(), request);
            expect_equal(guessed.text, plain.text);
            expect_equal(guessed.tokens, plain.tokens);
            expect_equal(again.tokens, plain.tokens);
            expect_equal(again.decode_passes + again.speculation.accepted_tokens, plain.decode_passes);
            accepted_again += again.speculation.accepted_tokens;
            expect_equal(plain.speculation.drafted_tokens, 0u);
            expect_equal(guessed.decode_passes + guessed.speculation.accepted_tokens, plain.decode_passes);
            accepted += guessed.speculation.accepted_tokens;
        }
    }
    // How many passes are worth it depends on how long they take here and now.
    expect(accepted > 0, "guesses that were right");
    expect(accepted_again > prompts.size() * 2 * 30, "most tokens to be guessed from memory, got " + show(accepted_again));
}

TEST(generation, "verifies a draft that came with the request in one pass, and goes on by itself where that is wrong") {
    SmallModel small;
    for (const auto& [prompt, begin_with] : {std::pair("The three largest cities of Europe are", ""), std::pair("def add(a, b):\n   ", " retu")}) {
        const auto ask = [&](Tokens draft, Speculate speculate = Speculate::Auto) {
            auto request = generate_request(small.tokens(prompt), 12);
            request.decode->begin_with = begin_with;
            request.decode->draft_tokens = std::move(draft);
            request.decode->speculate = speculate;
            const auto session = small.session();
            session->edit_logits([&](size_t, std::span<float>) { small.model->speculation().costs = same_costs(1); });
            return run(small, session, std::move(request));
        };
        const GenerationResult plain = ask({}, Speculate::Off);
        const GenerationResult right = ask(plain.tokens);
        expect_equal(right.tokens, plain.tokens);
        expect_equal(right.decode_passes, 1u);
        expect_equal(right.speculation.accepted_tokens, plain.decode_passes - 1);
        Tokens wrong = plain.tokens;
        wrong[5] = wrong[5] == 100 ? 101 : 100;
        const GenerationResult partly = ask(wrong);
        expect_equal(partly.tokens, plain.tokens);
        expect(partly.decode_passes > 1 && partly.decode_passes < plain.decode_passes, "fewer passes, got " + show(partly.decode_passes));
        expect_equal(ask(Tokens(12, 100)).tokens, plain.tokens);
        expect_equal(ask(plain.tokens, Speculate::Off).decode_passes, plain.decode_passes);
    }
}

TEST(generation, "a cancelled one ends with what there is, and the session goes on") {
    SmallModel small;
    const auto session = small.session();
    const Tokens prompt = small.tokens("Once upon a time");
    auto request = generate_request(prompt, long_answer);
    request.decode->sampler.grammar = endless;
    const CancellationPtr cancellation = request.cancellation;
    int pieces = 0;
    Running running(small, session, request, [&](std::string) {
        if (++pieces == 3) cancellation->cancel();
    });
    const GenerationResult cancelled = running.result();
    expect(cancelled.finish == Finish::Cancelled, "a cancelled answer");
    expect_equal(cancelled.tokens.size(), size_t{3});
    expect_equal(cancelled.text, small.model->vocabulary().detokenize(cancelled.tokens, false));
    const GenerationResult next = run(small, session, generate_request(prompt, 4));
    expect_equal(next.reused_tokens, static_cast<uint32_t>(prompt.size() - 1));
    expect_equal(next.text, run(small, small.session(), generate_request(prompt, 4)).text);
}

TEST(generation, "one that is cancelled before its turn leaves the cache alone") {
    SmallModel small;
    const auto session = small.session();
    const Tokens prompt = long_prompt(small, 30);
    run(small, session, prefill_request(prompt));
    auto request = generate_request(small.tokens("Something else"), 4);
    request.cancellation->cancel();
    request.decode->sampler.grammar = "is not even parsed";
    const GenerationResult result = run(small, session, request);
    expect(result.finish == Finish::Cancelled, "a cancelled answer");
    expect_equal(result.computed_tokens, 0u);
    expect_equal(session->cached_tokens(), prompt);
}

TEST(generation, "a cancelled prefill keeps what it computed") {
    SmallModel small;
    const Tokens prompt = long_prompt(small, 128);
    const auto session = small.session(512, 16);
    // Takes turns with the prefill, so that the cancellation comes after some of its batches.
    const auto request = prefill_request(prompt);
    Running other(small, small.session(), generate_request(small.tokens("Hello"), 6), [&, count = 0](std::string) mutable {
        if (++count == 4) request.cancellation->cancel();
    });
    Running prefill(small, session, request);
    const GenerationResult result = prefill.result();
    other.result();
    expect(result.finish == Finish::Cancelled, "a cancelled prefill");
    const Tokens cached = session->cached_tokens();
    expect_equal(cached.size(), size_t{result.computed_tokens});
    expect(!cached.empty() && cached.size() < prompt.size(), "a part of the prompt, got " + show(cached.size()));
    expect(std::equal(cached.begin(), cached.end(), prompt.begin()), "the beginning of the prompt");
    expect_equal(run(small, session, prefill_request(prompt)).reused_tokens, result.computed_tokens);
}

TEST(generation, "a session answers one request at a time") {
    SmallModel small;
    const auto session = small.session();
    auto request = generate_request(small.tokens("Once"), long_answer);
    request.decode->sampler.grammar = endless;
    Running running(small, session, request);
    expect_error(ErrorCode::SessionBusy, "another request", [&] { run(small, session, generate_request(small.tokens("Hello"), 2)); });
    request.cancellation->cancel();
    expect(running.result().finish == Finish::Cancelled, "a cancelled answer");
    // Free as soon as the result is there.
    expect_equal(run(small, session, generate_request(small.tokens("Hello"), 2)).tokens.size(), size_t{2});
}

TEST(generation, "two at once write what each writes alone") {
    SmallModel small;
    const auto sampled = [&](const char* prompt, uint32_t seed) {
        auto request = generate_request(small.tokens(prompt), 14);
        request.decode->sampler.temperature = 0.8f;
        request.decode->sampler.repeat_penalty = 1.1f;
        request.decode->sampler.seed = seed;
        return request;
    };
    const auto story = sampled("Once upon a time there was", 1);
    const auto code = sampled("def fibonacci(n):\n", 2);
    const GenerationResult story_alone = run(small, small.session(), story);
    const GenerationResult code_alone = run(small, small.session(), code);
    Events order;
    Running story_running(small, small.session(), story, [&](std::string) { order.push_back("story"); });
    Running code_running(small, small.session(), code, [&](std::string) { order.push_back("code"); });
    expect_equal(story_running.result().tokens, story_alone.tokens);
    expect_equal(code_running.result().tokens, code_alone.tokens);
    int changes = 0;
    for (size_t i = 1; i < order.size(); ++i) changes += order[i] != order[i - 1] ? 1 : 0;
    expect(changes > 10, "the two to take turns");
}

TEST(generation, "ghost text is served in the middle of a long chat prompt") {
    SmallModel small;
    const auto chat_session = small.session(1024, 16);
    const auto ghost_session = small.session();
    Events events;  // written on the compute thread only
    size_t computed_by_then = 0;
    std::promise<void> ghost_done;
    std::promise<void> chat_done;
    const auto ask_for_ghost_text = [&] {
        small.engine.submit(ghost_session, generate_request(small.tokens("int main() {\n"), 3, Priority::Suggest), nullptr, [&](const auto&) {
            computed_by_then = chat_session->cached_tokens().size();
            events.push_back("ghost text");
            ghost_done.set_value();
        });
    };
    // Its tokens take turns with the batches of the prompt and tell how far that is.
    auto clock_request = generate_request(small.tokens("Tick"), 8);
    clock_request.decode->sampler.grammar = endless;
    int ticks = 0;
    Running clock(small, small.session(), clock_request, [&](std::string) {
        if (++ticks == 4) ask_for_ghost_text();
    });
    small.engine.submit(chat_session, prefill_request(long_prompt(small, 160)), nullptr, [&](const auto&) {
        events.push_back("chat");
        chat_done.set_value();
    });
    ghost_done.get_future().wait();
    chat_done.get_future().wait();
    clock.result();
    expect_equal(events, Events{"ghost text", "chat"});
    expect(computed_by_then > 0 && computed_by_then < 160, "a part of the prompt by then, got " + show(computed_by_then));
}

TEST(generation, "closing one session does not wait for the answers of more urgent ones") {
    SmallModel small;
    auto chat_request = generate_request(small.tokens("Once"), long_answer);
    chat_request.decode->sampler.grammar = endless;
    std::promise<void> started;
    Running chat(small, small.session(), chat_request, [&, first = true](std::string) mutable {
        if (std::exchange(first, false)) started.set_value();
    });
    started.get_future().wait();
    const auto session = small.session(512, 16);
    Running warm(small, session, prefill_request(long_prompt(small, 100), Priority::Warm));
    session->close();
    expect(warm.result().finish == Finish::Cancelled, "the warming to be cancelled");
    expect(!chat.ended(), "the chat to go on");
    chat_request.cancellation->cancel();
    chat.result();
}

TEST(generation, "a penalty that looks back without end takes no memory") {
    SmallModel small;
    auto request = generate_request(small.tokens("Once upon a time"), 12);
    request.decode->sampler.repeat_penalty = 1.3f;
    request.decode->sampler.repeat_last_n = 512;
    const GenerationResult expected = run(small, small.session(), request);
    request.decode->sampler.repeat_last_n = INT32_MAX;
    const uint64_t before = os::memory().process;
    uint64_t most = 0;
    Running running(small, small.session(), request, [&](std::string) { most = std::max(most, os::memory().process); });
    expect_equal(running.result().tokens, expected.tokens);
    expect(most < before + (512ull << 20), "less than 512 MiB more, got " + show((most - before) >> 20));
}

TEST(generation, "one that fails in a callback ends with that failure") {
    SmallModel small;
    const auto session = small.session();
    Running running(small, session, generate_request(small.tokens("Hello"), 8),
                    [](const std::string&) { throw EngineError(ErrorCode::Internal, "the reader is gone"); });
    expect_error(ErrorCode::Internal, "the reader is gone", [&] { running.result(); });
    expect_equal(run(small, session, generate_request(small.tokens("Hello"), 2)).tokens.size(), size_t{2});
}
