// Guesses from the text, verified by a model.
#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "check.h"
#include "chi_square.h"
#include "gguf_file.h"
#include "random_model.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr size_t length = 5;
constexpr llama_token first = 300;
using Distribution = std::array<double, 5>;
const Distribution wanted{0.4, 0.3, 0.15, 0.1, 0.05};

// Five tokens in any order, so that whatever comes was there before; they are likely there where the model seldom draws them.
std::vector<llama_token> prompt_of(std::mt19937& random) {
    std::discrete_distribution<llama_token> next{0.05, 0.1, 0.15, 0.3, 0.4};
    std::vector<llama_token> prompt(400);
    for (llama_token& token : prompt) token = first + next(random);
    return prompt;
}

// What is added to the model's logits; it says so much less of each. One token more would be the likeliest, and is ruled out.
const std::array<float, 5> bias{0.7f, -1.2f, 0.0f, 2.0f, -0.4f};

// What comes as a draft of the whole answer, where one does: the place decides which of the model's tokens it is, not the seed.
const std::array<llama_token, length> guessed{0, 1, 0, 4, 1};

// What would come out of rejection sampling if a guess that was refused stayed among the tokens that are drawn from then.
Distribution with_refused(const Distribution& probabilities, size_t guess) {
    Distribution drawn = probabilities;
    for (double& probability : drawn) probability *= 1 - probabilities[guess];
    drawn[guess] += probabilities[guess];
    return drawn;
}

struct Drawn {
    std::array<Distribution, length> counts{};  // tokens by place
    uint32_t drafted = 0;
    uint32_t accepted = 0;

    // Of the place that is the furthest from what is wanted.
    double off_by() const {
        double most = 0;
        for (const Distribution& of_place : counts) most = std::max(most, chi_square(of_place, wanted));
        return most;
    }
};

// `given`: the draft comes with the request, and else from the text. `wrong_rule`: guesses that came with it are favoured.
Drawn draw(bool given, bool biased, bool wrong_rule = false) {
    const RandomModel file;
    SmallModel small(file.path());
    const auto session = small.session();
    std::mt19937 random(1);
    // With a draft that is given, nothing else tells what comes.
    const std::vector<llama_token> prompt = given ? small.tokens("Any text will do.") : prompt_of(random);
    session->edit_logits([&](size_t place, std::span<float> logits) {
        const auto guess = static_cast<size_t>(guessed[std::min(place - prompt.size(), length - 1)]);
        const Distribution says = wrong_rule ? with_refused(wanted, guess) : wanted;
        std::ranges::fill(logits, -100.0f);
        for (size_t i = 0; i < says.size(); ++i) logits[first + i] = static_cast<float>(std::log(says[i])) - (biased ? bias[i] : 0.0f);
        if (biased) logits[first + bias.size()] = 3.0f;
        small.model->speculation().costs = same_costs(1);
    });
    Drawn drawn;
    for (uint32_t seed = 1; seed <= 600; ++seed) {
        auto request = generate_request(prompt, length);
        request.decode->sampler.temperature = 1;
        request.decode->sampler.seed = seed;
        if (biased) {
            for (size_t i = 0; i < bias.size(); ++i) request.decode->sampler.logit_bias.push_back({first + static_cast<llama_token>(i), bias[i]});
            request.decode->sampler.logit_bias.push_back({first + static_cast<llama_token>(bias.size()), ruled_out});
        }
        if (given) {
            for (const llama_token guess : guessed) request.decode->draft_tokens.push_back(first + guess);
        }
        small.model->speculation().recent.forget();
        const GenerationResult result = run(small, session, request);
        for (size_t place = 0; place < length; ++place) ++drawn.counts[place].at(static_cast<size_t>(result.tokens[place] - first));
        drawn.drafted += result.speculation.drafted_tokens;
        drawn.accepted += result.speculation.accepted_tokens;
    }
    return drawn;
}

void check_distribution(bool given, bool biased = false, Location at = Location::here()) {
    const Drawn drawn = draw(given, biased);
    expect(drawn.off_by() < 23.5, "a distribution as wanted, got one off by " + show(drawn.off_by()), at);
    expect(drawn.drafted > 300 && drawn.accepted > 60, "guesses to be verified, got " + show(drawn.drafted) + " and " + show(drawn.accepted) + " right ones", at);
    expect(drawn.accepted < drawn.drafted * 3 / 4, "wrong ones among them, got " + show(drawn.drafted - drawn.accepted), at);
}

// A recurrent model of one layer, whose weights are zeros.
std::string recurrent_model() {
    constexpr uint32_t width = 32;
    constexpr uint32_t inner = 2 * width;
    constexpr uint32_t state = 16;
    constexpr uint32_t kernel = 4;
    constexpr uint32_t rank = 2;
    const std::vector<std::string> tokens{"<unk>", "a", "b", "c"};
    GgufFile file;
    file.text("general.architecture", "mamba").text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "default");
    file.texts("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", std::vector<int32_t>(tokens.size(), 1)).texts("tokenizer.ggml.merges", {});
    file.u32("mamba.context_length", 1024).u32("mamba.embedding_length", width).u32("mamba.block_count", 1);
    file.u32("mamba.feed_forward_length", 0).u32("mamba.attention.head_count", 0).f32("mamba.attention.layer_norm_rms_epsilon", 1e-5f);
    file.u32("mamba.ssm.conv_kernel", kernel).u32("mamba.ssm.inner_size", inner).u32("mamba.ssm.state_size", state).u32("mamba.ssm.time_step_rank", rank);
    file.tensor("token_embd.weight", width, tokens.size()).tensor("output_norm.weight", width).tensor("blk.0.attn_norm.weight", width);
    file.tensor("blk.0.ssm_in.weight", width, 2 * inner).tensor("blk.0.ssm_conv1d.weight", kernel, inner).tensor("blk.0.ssm_conv1d.bias", inner);
    file.tensor("blk.0.ssm_x.weight", inner, rank + 2 * state).tensor("blk.0.ssm_dt.weight", rank, inner).tensor("blk.0.ssm_dt.bias", inner);
    file.tensor("blk.0.ssm_a", state, inner).tensor("blk.0.ssm_d", inner).tensor("blk.0.ssm_out.weight", inner, width);
    return file.bytes();
}

}  // namespace

TEST(text_draft, "drawn tokens are distributed as the model says, not as the text does that guesses come from") {
    check_distribution(false);
}

TEST(text_draft, "drawn tokens are distributed as the model says, whatever came with the request") {
    check_distribution(true);
}

TEST(text_draft, "drawn tokens are distributed as the model says together with a bias, whatever is guessed") {
    check_distribution(false, true);
    check_distribution(true, true);
}

TEST(text_draft, "a rule that favours what is guessed is found by that") {
    const Drawn drawn = draw(true, false, true);
    expect(drawn.off_by() > 60, "another distribution, got one off by " + show(drawn.off_by()));
}

TEST(text_draft, "nothing is guessed for a model whose memory takes no tokens back, and its placement says so") {
    const TemporaryFile file(recurrent_model());
    for (const bool exact : {false, true}) {
        SmallModel small(file.path(), exact);
        expect(!small.model->info().takes_tokens_back, "a memory that takes no tokens back");
        const Placement& placement = small.model->placement();
        const auto says = [](const std::string& sentence) { return sentence.starts_with("No tokens are guessed"); };
        expect_equal(std::ranges::count_if(placement.explanation, says), std::ptrdiff_t{1});
        expect(!placement.exact_passes, "no price to be paid for exact passes");
        expect(!small.engine.create_session(small.model, {512, 0, nullptr, true}, 1)->takes_leaves(), "no leaves, whoever asks for them");
        const auto session = small.session();
        session->edit_logits([&](size_t, std::span<float>) { small.model->speculation().costs = same_costs(1); });
        const GenerationResult result = run(small, session, generate_request({1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2}, 12));
        expect_equal(result.tokens.size(), size_t{12});
        expect_equal(result.speculation.drafted_tokens, 0u);
    }
}
