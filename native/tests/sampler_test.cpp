#include "runtime/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "check.h"
#include "chi_square.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

// Tokens 100, 101, 102, … with these logits; all others are far behind.
constexpr llama_token first = 100;

std::vector<float> logits_of(const Vocabulary& vocabulary, const std::vector<float>& values) {
    std::vector<float> logits(vocabulary.size(), -100.0f);
    std::copy(values.begin(), values.end(), logits.begin() + first);
    return logits;
}

std::vector<float> logits_for(const Vocabulary& vocabulary, const std::vector<double>& probabilities) {
    std::vector<float> values;
    for (const double probability : probabilities) values.push_back(static_cast<float>(std::log(probability)));
    return logits_of(vocabulary, values);
}

Tokens draw(const Vocabulary& vocabulary, const SamplerOptions& options, const std::vector<float>& logits, int count, const Tokens& prompt = {}) {
    Sampler sampler(vocabulary, options, prompt);
    Tokens drawn;
    for (int i = 0; i < count; ++i) {
        drawn.push_back(sampler.choose(logits.data()));
        sampler.accept(drawn.back());
    }
    return drawn;
}

SamplerOptions with(const std::function<void(SamplerOptions&)>& change, float temperature = 0.0f) {
    SamplerOptions options;
    options.temperature = temperature;
    change(options);
    return options;
}

void check_invalid(const std::function<void(SamplerOptions&)>& change, std::string_view part, Location at = Location::here()) {
    expect_error(ErrorCode::InvalidArgument, part, [&] { validate(with(change)); }, at);
}

// Exactly the first `count` of four tokens with probabilities 0.5, 0.3, 0.15 and 0.05 are drawn.
void check_candidates(const Vocabulary& vocabulary, const std::function<void(SamplerOptions&)>& change, int count, Location at = Location::here()) {
    const Tokens drawn = draw(vocabulary, with(change, 1.0f), logits_for(vocabulary, {0.5, 0.3, 0.15, 0.05}), 150);
    for (llama_token token = first; token < first + 4; ++token) {
        const bool was_drawn = std::find(drawn.begin(), drawn.end(), token) != drawn.end();
        expect_equal(was_drawn, token < first + count, at);
    }
    expect(*std::max_element(drawn.begin(), drawn.end()) < first + 4, "no other tokens", at);
}

// Greedy text under a grammar, from logits that like `favourite` best and all others equally.
std::string write(const Vocabulary& vocabulary, const std::string& grammar, const std::string& favourite, SamplerOptions options = {}) {
    options.grammar = grammar;
    Sampler sampler(vocabulary, options, {});
    std::vector<float> logits(vocabulary.size(), 0.0f);
    for (const llama_token token : vocabulary.tokenize({{favourite, false}}, false)) logits[static_cast<size_t>(token)] = 10.0f;
    std::string text;
    for (int i = 0; i < 100; ++i) {
        const llama_token token = sampler.choose(logits.data());
        if (llama_vocab_is_eog(vocabulary.handle(), token)) return text;
        sampler.accept(token);
        text += vocabulary.piece(token);
    }
    return text + " and so on";
}

}  // namespace

TEST(sampler, "refuses options out of their range and names them") {
    validate({});
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float infinity = std::numeric_limits<float>::infinity();
    for (const float value : {-0.1f, 10.1f, nan, infinity}) check_invalid([&](auto& options) { options.temperature = value; }, "temperature");
    for (const float value : {0.0f, -1.0f, 1.01f, nan}) check_invalid([&](auto& options) { options.top_p = value; }, "topP");
    for (const float value : {-0.01f, 1.01f, nan}) check_invalid([&](auto& options) { options.min_p = value; }, "minP");
    for (const float value : {0.0f, -1.0f, 10.1f, nan}) check_invalid([&](auto& options) { options.repeat_penalty = value; }, "repeatPenalty");
    for (const float value : {-1.1e9f, 1.1e9f, nan, infinity}) check_invalid([&](auto& options) { options.logit_bias = {{5, 1}, {7, value}}; }, "logitBias");
    check_invalid([](auto& options) { options.logit_bias.resize(513, {7, 1}); }, "logitBias for at most 512 tokens, got 513");
    validate(with([](auto& options) { options.logit_bias.resize(512, {7, ruled_out}), options.logit_bias[1].bias = 1e9f, options.logit_bias[2].bias = -1e9f; }));
    check_invalid([](auto& options) { options.top_k = -1; }, "topK");
    check_invalid([](auto& options) { options.repeat_last_n = -1; }, "repeatLastN");
}

TEST(sampler, "takes the best token when greedy") {
    const VocabularyOnly vocabulary;
    const auto logits = logits_of(*vocabulary, {1.0f, 3.0f, 2.0f});
    expect_equal(draw(*vocabulary, {}, logits, 3), Tokens{101, 101, 101});
    expect_equal(draw(*vocabulary, with([](auto& options) { options.seed = 9; }), logits, 1), Tokens{101});
    Sampler sampler(*vocabulary, {}, {});
    expect_equal(sampler.choose(logits.data(), Tokens{100, 102}), 102);
    expect_equal(sampler.choose(logits.data(), Tokens{5}), 5);
    expect_equal(sampler.choose(logits.data()), 101);
    const auto last = static_cast<llama_token>(vocabulary->size() - 1);
    std::vector<float> at_the_end(vocabulary->size(), 0.0f);
    at_the_end.back() = 1.0f;
    expect_equal(sampler.choose(at_the_end.data()), last);
}

TEST(sampler, "takes the first of equally good tokens, of however many") {
    const VocabularyOnly vocabulary;
    Sampler sampler(*vocabulary, {}, {});
    std::mt19937 random(7);
    std::uniform_int_distribution<size_t> length(1, 3000);
    std::uniform_int_distribution<int> logit(-40, 40);
    std::vector<float> logits(vocabulary->size());
    Tokens all(vocabulary->size());
    std::iota(all.begin(), all.end(), 0);
    for (int round = 0; round < 200; ++round) {
        for (float& one : logits) one = static_cast<float>(logit(random));
        std::shuffle(all.begin(), all.end(), random);
        const Tokens allowed(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(length(random)));
        // Sometimes only a few are possible at all, or none.
        if (round % 4 == 0) {
            for (const llama_token token : allowed) logits[static_cast<size_t>(token)] = -std::numeric_limits<float>::infinity();
            if (round % 8 == 0) logits[static_cast<size_t>(allowed.back())] = -1e30f;
        }
        const auto is_worse = [&](llama_token a, llama_token b) { return logits[static_cast<size_t>(a)] < logits[static_cast<size_t>(b)]; };
        expect_equal(sampler.choose(logits.data(), allowed), *std::max_element(allowed.begin(), allowed.end(), is_worse));
        const auto best = static_cast<llama_token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
        expect_equal(sampler.choose(logits.data()), best);
    }
}

TEST(sampler, "tells the probability of a token") {
    const VocabularyOnly vocabulary;
    const auto logits = logits_for(*vocabulary, {0.5, 0.3, 0.15, 0.05});
    const auto check = [&](llama_token token, const Tokens& allowed, double probability, Location at = Location::here()) {
        const double got = std::exp(log_probability(logits, token, allowed));
        expect(std::abs(got - probability) < 0.001, show(probability) + ", got " + show(got), at);
    };
    check(100, {}, 0.5);
    check(103, {}, 0.05);
    check(101, {101, 102}, 2.0 / 3);
    check(102, {102}, 1.0);
    const auto unlikely = log_probability(logits, 5);
    expect(unlikely < -90 && unlikely > -110, "a token far behind, got " + show(unlikely));
    const std::vector<float> same(vocabulary->size(), 3.0f);
    expect(std::abs(log_probability(same, 7) + std::log(static_cast<double>(vocabulary->size()))) < 0.001, "all to be as probable");
}

TEST(sampler, "draws the same tokens from the same seed") {
    const VocabularyOnly vocabulary;
    const auto logits = logits_of(*vocabulary, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
    const auto drawn = [&](uint32_t seed) { return draw(*vocabulary, with([&](auto& options) { options.seed = seed; }, 1.0f), logits, 40); };
    for (const uint32_t seed : {0u, 1u, 42u, 0x80000000u, 0xFFFFFFFEu, 0xFFFFFFFFu}) expect_equal(drawn(seed), drawn(seed));
    expect(drawn(1) != drawn(2), "another seed to draw other tokens");
}

TEST(sampler, "draws as often as the probabilities say") {
    const VocabularyOnly vocabulary;
    constexpr int draws = 400;
    const auto share_of_first = [&](float temperature) {
        const Tokens drawn = draw(*vocabulary, with([](auto&) {}, temperature), logits_for(*vocabulary, {0.8, 0.2}), draws);
        return static_cast<double>(std::count(drawn.begin(), drawn.end(), first)) / draws;
    };
    expect(std::abs(share_of_first(1.0f) - 0.8) < 0.05, "0.8, got " + show(share_of_first(1.0f)));
    // 0.8² to 0.2², and their square roots.
    expect(std::abs(share_of_first(0.5f) - 0.941) < 0.04, "0.94, got " + show(share_of_first(0.5f)));
    expect(std::abs(share_of_first(2.0f) - 0.667) < 0.05, "0.67, got " + show(share_of_first(2.0f)));
}

TEST(sampler, "leaves out what top-k, top-p and min-p leave out") {
    const VocabularyOnly vocabulary;
    check_candidates(*vocabulary, [](auto&) {}, 4);
    check_candidates(*vocabulary, [](auto& options) { options.top_k = 1; }, 1);
    check_candidates(*vocabulary, [](auto& options) { options.top_k = 3; }, 3);
    check_candidates(*vocabulary, [](auto& options) { options.top_k = 4; }, 4);
    check_candidates(*vocabulary, [](auto& options) { options.top_k = INT32_MAX; }, 4);
    check_candidates(*vocabulary, [](auto& options) { options.top_p = 0.1f; }, 1);
    check_candidates(*vocabulary, [](auto& options) { options.top_p = 0.7f; }, 2);
    check_candidates(*vocabulary, [](auto& options) { options.top_p = 0.9f; }, 3);
    check_candidates(*vocabulary, [](auto& options) { options.min_p = 1.0f; }, 1);
    check_candidates(*vocabulary, [](auto& options) { options.min_p = 0.5f; }, 2);
    check_candidates(*vocabulary, [](auto& options) { options.min_p = 0.2f; }, 3);
    check_candidates(*vocabulary, [](auto& options) { options.top_k = 3, options.top_p = 0.9f, options.min_p = 0.5f; }, 2);
}

TEST(sampler, "penalizes what came lately, in the prompt too") {
    const VocabularyOnly vocabulary;
    const auto logits = logits_of(*vocabulary, {4.0f, 3.0f});
    const auto penalty = [](int32_t last_n) {
        return with([&](auto& options) { options.repeat_penalty = 2.0f, options.repeat_last_n = last_n; });
    };
    // 4 becomes 2, then 3 becomes 1.5.
    expect_equal(draw(*vocabulary, penalty(64), logits, 3), Tokens{100, 101, 100});
    expect_equal(draw(*vocabulary, penalty(64), logits, 2, {100}), Tokens{101, 100});
    expect_equal(draw(*vocabulary, penalty(64), logits, 1, {100, 1, 2, 3, 4}), Tokens{101});
    expect_equal(draw(*vocabulary, penalty(3), logits, 1, {100, 1, 2, 3, 4}), Tokens{100});
    expect_equal(draw(*vocabulary, penalty(5), logits, 1, {100, 1, 2, 3, 4}), Tokens{101});
    expect_equal(draw(*vocabulary, penalty(1), logits, 4), Tokens{100, 101, 100, 101});
    expect_equal(draw(*vocabulary, penalty(0), logits, 2, {100}), Tokens{100, 100});
    const auto off = with([](auto& options) { options.repeat_last_n = 64; });
    expect_equal(draw(*vocabulary, off, logits, 2, {100}), Tokens{100, 100});
}

TEST(sampler, "adds the bias to the logits before anything else") {
    const VocabularyOnly vocabulary;
    const auto logits = logits_of(*vocabulary, {1.0f, 3.0f, 2.0f});
    const auto biased = [](std::vector<llama_logit_bias> bias) { return with([&](auto& options) { options.logit_bias = std::move(bias); }); };
    const auto last = static_cast<llama_token>(vocabulary->size() - 1);
    expect_equal(draw(*vocabulary, biased({{102, 1.5f}}), logits, 2), Tokens{102, 102});
    expect_equal(draw(*vocabulary, biased({{101, -1.5f}}), logits, 1), Tokens{102});
    expect_equal(draw(*vocabulary, biased({{101, -1.5f}, {100, 1.5f}}), logits, 1), Tokens{100});
    expect_equal(draw(*vocabulary, biased({{last, 200}}), logits, 1), Tokens{last});
    expect_equal(draw(*vocabulary, biased({{0, 200}}), logits, 1), Tokens{0});
    Sampler sampler(*vocabulary, biased({{102, 1.5f}}), {});
    expect_equal(sampler.choose(logits.data(), Tokens{101, 102}), 102);
    expect_equal(sampler.choose(logits.data(), Tokens{100, 101}), 101);
    // Then the penalty: 0.5 becomes 5.5 and that 2.75.
    auto penalty = biased({{100, 5.0f}});
    penalty.repeat_penalty = 2.0f;
    expect_equal(draw(*vocabulary, penalty, logits_of(*vocabulary, {0.5f, 3.0f}), 2, {}), Tokens{100, 101});
    // A copy goes on as it does, also one that knows fewer tokens.
    Sampler original(*vocabulary, biased({{102, 1.5f}, {last, 200}}), {});
    expect_equal(original.copy(vocabulary->size()).choose(logits.data()), last);
    expect_equal(original.copy(vocabulary->size() - 1).choose(logits.data()), 102);
}

TEST(sampler, "draws as often as the probabilities say together with the bias") {
    const VocabularyOnly vocabulary;
    const std::array<double, 5> wanted{0.4, 0.3, 0.15, 0.1, 0.05};
    const std::array<float, 5> bias{0.7f, -1.2f, 0.0f, 2.0f, -0.4f};
    std::vector<float> values;
    for (size_t i = 0; i < wanted.size(); ++i) values.push_back(static_cast<float>(std::log(wanted[i])) - bias[i]);
    // The likeliest of all.
    values.push_back(3.0f);
    const auto options = with([&](auto& sampler) {
        for (size_t i = 0; i < bias.size(); ++i) sampler.logit_bias.push_back({first + static_cast<llama_token>(i), bias[i]});
        sampler.logit_bias.push_back({first + 5, ruled_out});
    }, 1.0f);
    std::array<double, 5> counts{};
    for (const llama_token token : draw(*vocabulary, options, logits_of(*vocabulary, values), 1500)) ++counts.at(static_cast<size_t>(token - first));
    expect(chi_square(counts, wanted) < 23.5, "a distribution as wanted, got one off by " + show(chi_square(counts, wanted)));
}

TEST(sampler, "never chooses a token that is ruled out") {
    const VocabularyOnly vocabulary;
    const auto without = [](const Tokens& tokens, SamplerOptions options = {}) {
        for (const llama_token token : tokens) options.logit_bias.push_back({token, ruled_out});
        return options;
    };
    auto logits = logits_of(*vocabulary, {1.0f, 3.0f, 2.0f});
    expect_equal(draw(*vocabulary, without({101}), logits, 2), Tokens{102, 102});
    expect_equal(draw(*vocabulary, without({101, 102}), logits, 1), Tokens{100});
    for (const float temperature : {0.0f, 1.0f, 10.0f}) {
        for (const float penalty : {1.0f, 1.5f}) {
            const auto options = with([&](auto& sampler) { sampler.repeat_penalty = penalty, sampler.top_k = 4; }, temperature);
            const Tokens drawn = draw(*vocabulary, without({101}, options), logits, 60, {100, 101});
            expect(std::ranges::find(drawn, 101) == drawn.end(), "other tokens than the one that is ruled out");
        }
    }
    logits[101] = std::numeric_limits<float>::infinity();
    expect_equal(draw(*vocabulary, without({101}), logits, 1), Tokens{102});

    const std::string none_left = "leave a token";
    Sampler sampler(*vocabulary, without({101}), {});
    expect_equal(sampler.choose(logits.data(), Tokens{100, 101}), 100);
    expect_error(ErrorCode::InvalidArgument, none_left, [&] { sampler.choose(logits.data(), Tokens{101}); });
    expect_equal(sampler.choose(logits.data()), 102);
    // With what "yes" can begin with ruled out, the grammar leaves the other one.
    Tokens buffer;
    const auto found = vocabulary->compatible_with("yes", buffer);
    const auto no_yes = without({found.begin(), found.end()});
    expect_equal(write(*vocabulary, "root ::= \"yes\" | \"no\"", "yes", no_yes), std::string("no"));
    expect_error(ErrorCode::InvalidArgument, none_left, [&] { write(*vocabulary, "root ::= \"yes\"", "yes", no_yes); });
}

TEST(sampler, "writes what the grammar says") {
    const VocabularyOnly vocabulary;
    expect_equal(write(*vocabulary, "root ::= \"abc\"", "xyz"), std::string("abc"));
    expect_equal(write(*vocabulary, "root ::= \"yes\" | \"no\"", "no"), std::string("no"));
    expect_equal(write(*vocabulary, "root ::= \"yes\" | \"no\"", "yes"), std::string("yes"));
    expect_equal(write(*vocabulary, "root ::= \"\U0001F600\"", "a"), std::string("\U0001F600"));
    expect_equal(write(*vocabulary, "root ::= pair\npair ::= \"{\" [0-9] [0-9] \"}\"", "7"), std::string("{77}"));
    expect_equal(write(*vocabulary, "root ::= \"\"", "a"), std::string());
    for (const uint32_t seed : {1u, 2u, 3u, 4u, 5u}) {
        const auto options = with([&](auto& sampler) { sampler.seed = seed, sampler.top_k = 50; }, 1.5f);
        const std::string text = write(*vocabulary, "root ::= \"yes\" | \"no\"", "maybe", options);
        expect(text == "yes" || text == "no", "yes or no, got " + show(text));
    }
}

TEST(sampler, "refuses grammars that cannot be used") {
    const VocabularyOnly vocabulary;
    for (const std::string grammar : {"root", "root ::= \"a", "root ::= missing", "start ::= \"a\"", "root ::= root \"a\"", "root ::= [a-", "root ::= (\"a\"",
                                      "root ::= \"a\"{100000}", "\xff\xfe"}) {
        expect_error(ErrorCode::InvalidArgument, "GBNF grammar",
                     [&] { Sampler(*vocabulary, with([&](auto& options) { options.grammar = grammar; }), {}); });
    }
}
