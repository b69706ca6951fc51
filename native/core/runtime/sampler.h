// Chooses the next token from a row of logits.
//
// One sampler serves one generation: it remembers what was chosen (penalties, grammar, random state). Used by the
// compute thread only.
#pragma once

#include <llama.h>

#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/vocabulary.h"

namespace nmos {

// The bias of a token that never comes.
constexpr float ruled_out = -std::numeric_limits<float>::infinity();

struct SamplerOptions {
    float temperature = 0.0f;     // 0: greedy
    int32_t top_k = 0;            // 0: all tokens
    float top_p = 1.0f;           // 1: off
    float min_p = 0.0f;           // 0: off
    float repeat_penalty = 1.0f;  // 1: off
    int32_t repeat_last_n = 64;   // tokens the penalty looks back
    uint32_t seed = 0;            // the same seed gives the same text
    std::string grammar;          // GBNF with a rule `root`; empty: none
    std::vector<llama_logit_bias> logit_bias;  // added to the logits of these tokens before anything else
};

// Throws INVALID_ARGUMENT, naming the option, its range and what came. Which tokens there are the vocabulary knows.
void validate(const SamplerOptions& options);

// The natural logarithm of the probability that the model gives `token`, without any sampler's temperature; among the
// `allowed` ones when that is not empty.
double log_probability(std::span<const float> logits, llama_token token, std::span<const llama_token> allowed = {});

class Sampler {
  public:
    // Throws INVALID_ARGUMENT for a grammar that cannot be parsed. `prompt` counts for the repeat penalty.
    Sampler(const Vocabulary& vocabulary, const SamplerOptions& options, std::span<const llama_token> prompt);

    // One that will choose as this one does, from now on on its own, out of `vocabulary_size` logits.
    Sampler copy(size_t vocabulary_size) const;

    // The next token out of `logits` (vocabulary). Only `allowed` ones when that is not empty. Throws INVALID_ARGUMENT where
    // the grammar and the bias leave none of them.
    llama_token choose(const float* logits, std::span<const llama_token> allowed = {});
    // As `choose` among all of them; none when a grammar forbids what was chosen first, which is quick to find out.
    std::optional<llama_token> choose_if_allowed(const float* logits);
    // Tells the sampler what was chosen.
    void accept(llama_token token);

  private:
    struct Free {
        void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
    };
    using SamplerPtr = std::unique_ptr<llama_sampler, Free>;

    explicit Sampler(size_t vocabulary_size) : vocabulary_size_(vocabulary_size) {}

    llama_token pick(const float* logits, std::span<const llama_token> allowed, bool obey_grammar);
    void add_bias();
    bool fits_grammar(llama_token token) const;

    size_t vocabulary_size_;
    SamplerPtr chain_;    // null: plain greedy, which needs no candidate list
    SamplerPtr grammar_;  // null: none
    std::vector<llama_logit_bias> bias_;
    std::vector<llama_token_data> candidates_;  // (vocabulary), kept between calls
};

}  // namespace nmos
