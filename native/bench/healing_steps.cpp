// How long the steps of token healing take: finding the tokens that may come, and choosing among them.
//
//   healing_steps MODEL < TEXTS
//
// TEXTS: one a line, each taken off a prompt. For every step that spells one with the tokenizer's own tokens prints two times as
// JSON, in microseconds. As in use the processor's caches have seen other memory before, a pass over the weights, but for the
// logits, which it ends with.
#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "runtime/log.h"
#include "runtime/sampler.h"
#include "runtime/vocabulary.h"
#include "step_times.h"

using namespace nmos;
using namespace nmos::bench;

namespace {

void measure(const Vocabulary& vocabulary) {
    OtherMemory others;
    Sampler sampler(vocabulary, {}, {});
    std::mt19937 random(1);
    std::uniform_real_distribution<float> logit(-10, 10);
    std::vector<float> logits(vocabulary.size());
    std::vector<double> find_us;
    std::vector<double> choose_us;
    uint64_t chosen = 0;
    for (std::string text; std::getline(std::cin, text);) {
        std::string_view left = text;
        for (const llama_token token : vocabulary.tokenize({{text, false}}, false)) {
            others.visit();
            for (float& one : logits) one = logit(random);
            auto begin = std::chrono::steady_clock::now();
            std::vector<llama_token> buffer;
            const std::span<const llama_token> allowed = vocabulary.compatible_with(left, buffer);
            find_us.push_back(microseconds_since(begin));
            begin = std::chrono::steady_clock::now();
            chosen += static_cast<uint64_t>(sampler.choose(logits.data(), allowed));
            choose_us.push_back(microseconds_since(begin));
            left.remove_prefix(std::min(left.size(), vocabulary.piece(token).size()));
        }
    }
    std::printf("{\"vocabulary\": %zu, ", vocabulary.size());
    print_times("find", find_us, ", ");
    print_times("choose", choose_us, ", ");
    std::printf("\"check\": %llu}\n", static_cast<unsigned long long>(chosen ^ others.sum()));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "Usage: healing_steps MODEL < TEXTS\n");
        return 2;
    }
    take_over_library_log();
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(llama_model_load_from_file(argv[1], params), &llama_model_free);
    if (!model) {
        std::fprintf(stderr, "Expected a model with a vocabulary, got %s.\n", argv[1]);
        return 1;
    }
    measure(Vocabulary(llama_model_get_vocab(model.get())));
    return 0;
}
