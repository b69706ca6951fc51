// Tokens that are ruled out do not come, whatever guesses them.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>

#include "check.h"
#include "random_model.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;
using Change = std::function<void(DecodeOptions&)>;

// A model whose passes are exact, and itself as its draft model. Passes over it seem to take a second each, and those over the draft
// model a tenth of one.
struct Pair {
    Pair() {
        session->edit_logits([this](size_t, std::span<float>) {
            small.model->speculation().costs = same_costs(1);
            draft->speculation().costs = same_costs(0.1);
        });
    }

    GenerationResult answer(const Tokens& prompt, Speculate speculate, const Change& change) {
        auto request = generate_request(prompt, 16);
        request.decode->speculate = speculate;
        change(*request.decode);
        return run(small, session, std::move(request));
    }

    const RandomModel file;
    SmallModel small{file.path(), true};
    const std::shared_ptr<Model> draft = small.load(file.path(), true);
    const std::shared_ptr<Session> session = small.session();
    const std::shared_ptr<Session> draft_session = small.engine.create_session(draft, {512, 0, small.model}, 1);
};

void rule_out(DecodeOptions& decode, const Tokens& tokens) {
    for (const llama_token token : tokens) decode.sampler.logit_bias.push_back({token, ruled_out});
}

bool have_none_in_common(const Tokens& some, const Tokens& others) {
    return std::ranges::none_of(some, [&](llama_token token) { return std::ranges::find(others, token) != others.end(); });
}

Tokens joined(Tokens tokens, const Tokens& more) {
    std::ranges::copy(more, std::back_inserter(tokens));
    return tokens;
}

}  // namespace

TEST(logit_bias, "a token that is ruled out never comes, whoever guesses it") {
    Pair pair;
    const Change greedy = [](DecodeOptions&) {};
    const Change drawn = [](DecodeOptions& decode) {
        decode.sampler.temperature = 0.8f;
        decode.sampler.top_k = 40;
        decode.sampler.repeat_penalty = 1.1f;
        decode.sampler.seed = 3;
    };
    const Change of_grammar = [&](DecodeOptions& decode) {
        drawn(decode);
        decode.sampler.grammar = "root ::= [^t]*";
    };
    const Tokens question = pair.small.tokens("The keeper of the lighthouse had not spoken to anyone");
    for (const Change& way : {greedy, drawn, of_grammar}) {
        const Tokens usual = pair.answer(question, Speculate::Off, way).tokens;
        // What would come is what the text has, too.
        const Tokens prompt = joined(joined(joined(question, usual), question), usual);
        const Tokens next = pair.answer(joined(prompt, question), Speculate::Off, way).tokens;
        const Tokens banned = joined(usual, next);
        const auto asked = [&](const Change& more) {
            return [&way, &banned, more](DecodeOptions& decode) {
                way(decode);
                rule_out(decode, banned);
                more(decode);
            };
        };
        const Tokens plain = pair.answer(joined(prompt, question), Speculate::Off, asked(greedy)).tokens;
        expect(have_none_in_common(plain, banned), "none of the tokens that are ruled out");
        uint32_t guessed = 0;
        const auto check = [&](const Change& more, Location at = Location::here()) {
            const GenerationResult result = pair.answer(joined(prompt, question), Speculate::Exact, asked(more));
            expect_equal(result.tokens, plain, at);
            guessed += result.speculation.drafted_tokens;
        };
        check(greedy);
        check([&](DecodeOptions& decode) { decode.draft_tokens = next; });
        check([&](DecodeOptions& decode) { decode.draft_tokens = plain; });
        check([&](DecodeOptions& decode) { decode.draft = pair.draft_session; });
        expect(guessed > 16, "guesses, got " + show(guessed));
    }
}

TEST(logit_bias, "what token healing allows comes without what is ruled out, and an error says where nothing is left") {
    Pair pair;
    const Vocabulary& vocabulary = pair.small.model->vocabulary();
    const std::string healed = " return";
    const Tokens own = vocabulary.tokenize({{healed, false}}, false);
    expect_equal(own.size(), size_t{1});
    const Tokens prompt = pair.small.tokens("def add(a, b):\n   ");
    const auto healing_without = [&](const Tokens& tokens) {
        return [&](DecodeOptions& decode) {
            decode.begin_with = healed;
            rule_out(decode, tokens);
        };
    };
    for (const Speculate speculate : {Speculate::Off, Speculate::Exact}) {
        const GenerationResult result = pair.answer(prompt, speculate, healing_without(own));
        expect(have_none_in_common(result.tokens, own), "another token than the one that is ruled out");
        expect(vocabulary.detokenize(result.tokens, false).starts_with(healed), "the text that is to be healed");
        Tokens buffer;
        const auto all = vocabulary.compatible_with(healed, buffer);
        expect_error(ErrorCode::InvalidArgument, "leave a token", [&] { pair.answer(prompt, speculate, healing_without({all.begin(), all.end()})); });
    }
    // The session is there for the next one.
    expect_equal(pair.answer(prompt, Speculate::Off, [](DecodeOptions&) {}).tokens.size(), size_t{16});
}

TEST(logit_bias, "tokens that the vocabulary does not have are refused") {
    Pair pair;
    const Tokens prompt = pair.small.tokens("Once");
    for (const llama_token token : {-1, 49152, INT32_MAX}) {
        expect_error(ErrorCode::InvalidArgument, "tokens from 0 to 49151, got " + std::to_string(token), [&] {
            pair.answer(prompt, Speculate::Off, [&](DecodeOptions& decode) { rule_out(decode, {token}); });
        });
    }
}
