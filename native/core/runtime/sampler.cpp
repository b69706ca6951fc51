#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "runtime/engine_error.h"
#include "runtime/first_largest.h"
#include "runtime/log.h"

namespace nmos {

namespace {

constexpr size_t most_biases = 512;

// More than any logit, and far from what could become infinite by a low temperature.
constexpr float largest_bias = 1e9f;

void expect(bool ok, const char* option, const char* range, double value) {
    if (ok) return;
    throw EngineError(ErrorCode::InvalidArgument, std::string("Expected ") + option + " " + range + ", got " + std::to_string(value) + ".");
}

bool is_plain_greedy(const SamplerOptions& options) {
    return options.temperature <= 0.0f && options.repeat_penalty == 1.0f;
}

bool is_forbidden(const llama_token_data& candidate) {
    return candidate.logit == ruled_out;
}

}  // namespace

void validate(const SamplerOptions& options) {
    expect(options.temperature >= 0.0f && options.temperature <= 10.0f, "temperature", "from 0 to 10", options.temperature);
    expect(options.top_k >= 0, "topK", "of 0 (off) or more", options.top_k);
    expect(options.top_p > 0.0f && options.top_p <= 1.0f, "topP", "above 0 and up to 1", options.top_p);
    expect(options.min_p >= 0.0f && options.min_p <= 1.0f, "minP", "from 0 to 1", options.min_p);
    expect(options.repeat_penalty > 0.0f && options.repeat_penalty <= 10.0f, "repeatPenalty", "above 0 and up to 10", options.repeat_penalty);
    expect(options.repeat_last_n >= 0, "repeatLastN", "of 0 or more", options.repeat_last_n);
    expect(options.logit_bias.size() <= most_biases, "logitBias", "for at most 512 tokens", static_cast<double>(options.logit_bias.size()));
    for (const llama_logit_bias& one : options.logit_bias) {
        expect(one.bias == ruled_out || std::abs(one.bias) <= largest_bias, "logitBias", "from -1e9 to 1e9, or that of a token that never comes", one.bias);
    }
}

double log_probability(std::span<const float> logits, llama_token token, std::span<const llama_token> allowed) {
    // What is farther behind adds less than a thousandth to the sum, whatever the vocabulary, and exp takes its time.
    constexpr float negligible = 20.0f;
    const float chosen = logits[static_cast<size_t>(token)];
    float best = chosen;
    double sum = 0.0;
    const auto add = [&](float logit) {
        if (logit > best - negligible) sum += std::exp(logit - best);
    };
    if (allowed.empty()) {
        best = logits[first_largest(logits.size(), [&](size_t i) { return logits[i]; })];
        for (const float logit : logits) add(logit);
    } else {
        for (const llama_token one : allowed) best = std::max(best, logits[static_cast<size_t>(one)]);
        for (const llama_token one : allowed) add(logits[static_cast<size_t>(one)]);
    }
    return chosen - best - std::log(sum);
}

Sampler::Sampler(const Vocabulary& vocabulary, const SamplerOptions& options, std::span<const llama_token> prompt)
    : vocabulary_size_(vocabulary.size()), bias_(options.logit_bias) {
    validate(options);
    if (!options.grammar.empty()) {
        ErrorCapture errors;
        grammar_.reset(llama_sampler_init_grammar(vocabulary.handle(), options.grammar.c_str(), "root"));
        if (!grammar_) {
            throw EngineError(ErrorCode::InvalidArgument, "Expected a GBNF grammar with a rule \"root\"; it cannot be parsed" +
                                                              (errors.text().empty() ? "." : ": " + errors.text()));
        }
    }
    if (is_plain_greedy(options)) return;
    llama_sampler_chain_params params = llama_sampler_chain_default_params();
    params.no_perf = true;
    chain_.reset(llama_sampler_chain_init(params));
    const auto add = [this](llama_sampler* sampler) { llama_sampler_chain_add(chain_.get(), sampler); };
    if (options.repeat_penalty != 1.0f) {
        add(llama_sampler_init_penalties(static_cast<int32_t>(vocabulary_size_), options.repeat_last_n, options.repeat_penalty, 0.0f, 0.0f));
        const size_t from = prompt.size() - std::min(prompt.size(), static_cast<size_t>(options.repeat_last_n));
        for (const llama_token token : prompt.subspan(from)) llama_sampler_accept(chain_.get(), token);
    }
    if (options.temperature <= 0.0f) {
        add(llama_sampler_init_greedy());
        return;
    }
    if (options.top_k > 0) add(llama_sampler_init_top_k(options.top_k));
    if (options.top_p < 1.0f) add(llama_sampler_init_top_p(options.top_p, 1));
    if (options.min_p > 0.0f) add(llama_sampler_init_min_p(options.min_p, 1));
    add(llama_sampler_init_temp(options.temperature));
    // The library takes this one value for a wish for chance.
    add(llama_sampler_init_dist(options.seed == LLAMA_DEFAULT_SEED ? 0 : options.seed));
}

Sampler Sampler::copy(size_t vocabulary_size) const {
    Sampler copy(vocabulary_size);
    if (chain_) copy.chain_.reset(llama_sampler_clone(chain_.get()));
    if (grammar_) copy.grammar_.reset(llama_sampler_clone(grammar_.get()));
    std::ranges::copy_if(bias_, std::back_inserter(copy.bias_), [&](const llama_logit_bias& one) { return static_cast<size_t>(one.token) < vocabulary_size; });
    return copy;
}

llama_token Sampler::choose(const float* logits, std::span<const llama_token> allowed) {
    // Asking the grammar about one token is cheap, about the whole vocabulary it is not. Most choices already obey it,
    // so it is asked about all of them only when one does not.
    const llama_token token = pick(logits, allowed, false);
    return !grammar_ || fits_grammar(token) ? token : pick(logits, allowed, true);
}

std::optional<llama_token> Sampler::choose_if_allowed(const float* logits) {
    const llama_token token = pick(logits, {}, false);
    return !grammar_ || fits_grammar(token) ? std::optional(token) : std::nullopt;
}

llama_token Sampler::pick(const float* logits, std::span<const llama_token> allowed, bool obey_grammar) {
    if (!chain_ && bias_.empty() && !obey_grammar) {
        if (allowed.empty()) return static_cast<llama_token>(first_largest(vocabulary_size_, [&](size_t i) { return logits[i]; }));
        return allowed[first_largest(allowed.size(), [&](size_t i) { return logits[static_cast<size_t>(allowed[i])]; })];
    }
    candidates_.clear();
    if (allowed.empty()) {
        for (size_t i = 0; i < vocabulary_size_; ++i) candidates_.push_back({static_cast<llama_token>(i), logits[i], 0.0f});
    } else {
        for (const llama_token token : allowed) candidates_.push_back({token, logits[token], 0.0f});
    }
    if (obey_grammar) {
        llama_token_data_array all{candidates_.data(), candidates_.size(), -1, false};
        llama_sampler_apply(grammar_.get(), &all);
        // Of a few tokens it may forbid all; of the whole vocabulary never, because then an answer ends.
        if (!allowed.empty() && std::ranges::all_of(candidates_, is_forbidden)) {
            throw EngineError(ErrorCode::InvalidArgument, "Expected beginWith to be text that the grammar allows.");
        }
    }
    if (!bias_.empty()) add_bias();
    llama_token_data_array list{candidates_.data(), candidates_.size(), -1, false};
    if (chain_) {
        llama_sampler_apply(chain_.get(), &list);
        return list.data[list.selected].id;
    }
    return std::max_element(list.data, list.data + list.size, [](const auto& a, const auto& b) { return a.logit < b.logit; })->id;
}

// What is ruled out is no candidate any more: among candidates without any chance one would be chosen nevertheless.
void Sampler::add_bias() {
    for (const llama_logit_bias& one : bias_) {
        // Where all of the vocabulary is there, each in its own place.
        const auto place = static_cast<size_t>(one.token);
        const bool is_in_place = place < candidates_.size() && candidates_[place].id == one.token;
        const auto found = is_in_place ? candidates_.begin() + one.token : std::ranges::find(candidates_, one.token, &llama_token_data::id);
        if (found != candidates_.end()) found->logit = one.bias == ruled_out ? ruled_out : found->logit + one.bias;
    }
    std::erase_if(candidates_, is_forbidden);
    if (!candidates_.empty()) return;
    throw EngineError(ErrorCode::InvalidArgument,
                      "Expected logitBias to leave a token that may come next, also by beginWith and the grammar, got one by which none of them may. Rule out fewer tokens.");
}

bool Sampler::fits_grammar(llama_token token) const {
    llama_token_data one{token, 1.0f, 0.0f};
    llama_token_data_array list{&one, 1, -1, false};
    llama_sampler_apply(grammar_.get(), &list);
    return !is_forbidden(one);
}

void Sampler::accept(llama_token token) {
    if (chain_) llama_sampler_accept(chain_.get(), token);
    if (grammar_) llama_sampler_accept(grammar_.get(), token);
}

}  // namespace nmos
