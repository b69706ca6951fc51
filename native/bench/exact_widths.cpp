// At which widths a pass computes, bit for bit, what passes over one token each do, and how far apart they are elsewhere.
// Prints JSON: for every width, the share of logits that differ, the largest difference, and how many tokens of the pass
// would have another most likely successor.
//
//   exact_widths LIBRARIES MODEL CARD f16|q8_0 THREADS
//
// CARD holds all layers: a card as card.h names it, "exact" for a simulated one on which the processor computes, or "none".
// Every width is tried behind an empty cache and behind one of 400 tokens, which kernels divide among each other.
#include <llama.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "card.h"
#include "machine.h"
#include "runtime/log.h"
#include "speculative/pass_costs.h"

using namespace nmos;
using namespace nmos::bench;

namespace {

constexpr std::array<uint32_t, 11> widths{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16};
constexpr uint32_t widest = widest_verification;
constexpr std::array<uint32_t, 2> depths{0, 400};

class Passes {
  public:
    Passes(const std::string& model, ggml_backend_dev_t card, ggml_type kv_type, int threads) {
        std::array<ggml_backend_dev_t, 2> devices{card, nullptr};
        llama_model_params model_params = llama_model_default_params();
        model_params.devices = devices.data();
        model_params.split_mode = LLAMA_SPLIT_MODE_NONE;
        model_params.main_gpu = card ? 0 : -1;
        model_params.n_gpu_layers = card ? 999 : 0;
        model_.reset(llama_model_load_from_file(model.c_str(), model_params));
        if (!model_) throw std::runtime_error("llama.cpp does not load " + model + " there.");
        llama_context_params params = llama_context_default_params();
        params.n_ctx = 1024;
        params.n_batch = params.n_ubatch = 512;
        params.n_seq_max = 1;
        params.n_threads = params.n_threads_batch = threads;
        params.type_k = params.type_v = kv_type;
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
        params.no_perf = true;
        context_.reset(llama_init_from_model(model_.get(), params));
        if (!context_) throw std::runtime_error("There is no memory for a context.");
        llama_attach_threadpool(context_.get(), make_threads(threads).pool, nullptr);
        vocabulary_ = static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model_.get())));
    }

    size_t vocabulary() const { return vocabulary_; }

    // From now on behind a cache of so many tokens, computed once.
    void begin(uint32_t depth) {
        llama_memory_clear(llama_get_memory(context_.get()), true);
        for (uint32_t done = 0; done < depth; done += 200) decode(done, 200, nullptr);
        depth_ = depth;
    }

    // (tokens × vocabulary) The logits behind so many tokens, computed `width` in a pass.
    std::vector<float> logits(uint32_t tokens, uint32_t width) {
        llama_memory_seq_rm(llama_get_memory(context_.get()), 0, static_cast<llama_pos>(depth_), -1);
        std::vector<float> all;
        all.reserve(tokens * vocabulary_);
        for (uint32_t done = 0; done < tokens; done += width) decode(depth_ + done, width, &all);
        return all;
    }

  private:
    void decode(uint32_t first, uint32_t count, std::vector<float>* logits) {
        std::vector<llama_token> tokens(count);
        std::vector<llama_pos> positions(count);
        std::vector<int8_t> wanted(count, logits ? 1 : 0);
        for (uint32_t i = 0; i < count; ++i) {
            tokens[i] = static_cast<llama_token>(1000 + (first + i) * 37 % 20000);
            positions[i] = static_cast<llama_pos>(first + i);
        }
        llama_batch batch{};
        batch.n_tokens = static_cast<int32_t>(count);
        batch.token = tokens.data();
        batch.pos = positions.data();
        batch.logits = wanted.data();
        if (llama_decode(context_.get(), batch) != 0) throw std::runtime_error("A pass failed.");
        for (uint32_t i = 0; logits && i < count; ++i) {
            const float* const row = llama_get_logits_ith(context_.get(), static_cast<int32_t>(i));
            logits->insert(logits->end(), row, row + vocabulary_);
        }
    }

    std::unique_ptr<llama_model, decltype(&llama_model_free)> model_{nullptr, &llama_model_free};
    std::unique_ptr<llama_context, decltype(&llama_free)> context_{nullptr, &llama_free};
    size_t vocabulary_ = 0;
    uint32_t depth_ = 0;
};

void compare(bool first, uint32_t depth, uint32_t width, const std::vector<float>& wide, const std::vector<float>& single, size_t vocabulary) {
    size_t differing = 0;
    double largest = 0;
    for (size_t i = 0; i < wide.size(); ++i) {
        if (wide[i] == single[i]) continue;
        ++differing;
        largest = std::max(largest, std::abs(static_cast<double>(wide[i]) - single[i]));
    }
    uint32_t others = 0;
    for (size_t row = 0; row < wide.size(); row += vocabulary) {
        const auto best = [&](const std::vector<float>& all) { return std::max_element(all.begin() + static_cast<std::ptrdiff_t>(row), all.begin() + static_cast<std::ptrdiff_t>(row + vocabulary)) - all.begin(); };
        if (best(wide) != best(single)) ++others;
    }
    std::printf("%s\n{\"depth\":%u,\"width\":%u,\"differing\":%.4g,\"largest\":%g,\"otherTokens\":%u}", first ? "" : ",", depth, width,
                static_cast<double>(differing) / static_cast<double>(wide.size()), largest, others);
    std::fflush(stdout);
}

void run(const std::vector<std::string>& words) {
    const bool simulated = words[2] == "exact";
    const std::vector<Card> cards = open_cards(words[0], simulated ? "none" : words[2]);
    if (cards.size() > 1) throw std::invalid_argument("Expected one card that holds all layers, got " + words[2] + ".");
    const ggml_backend_dev_t device = !cards.empty() ? cards.front().handle
                                      : simulated    ? sim::SimDevice::create(sim::card_profiles().front(), sim::Mode::Exact).handle()
                                                     : nullptr;
    Passes passes(words[1], device, words[3] == "q8_0" ? GGML_TYPE_Q8_0 : GGML_TYPE_F16, std::stoi(words[4]));
    std::printf("{\"kv\":\"%s\"%s%s,\"widths\":[", words[3].c_str(), cards.empty() ? "" : ",", cards.empty() ? "" : describe(cards).c_str());
    bool first = true;
    for (const uint32_t depth : depths) {
        passes.begin(depth);
        const std::vector<float> single = passes.logits(widest, 1);
        for (const uint32_t width : widths) {
            // Of one token the same passes once more: whether they compute the same at all.
            compare(first, depth, width, passes.logits(width == 1 ? widest : width, width), single, passes.vocabulary());
            first = false;
        }
    }
    std::printf("]}\n");
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> words(arguments + 1, arguments + count);
    try {
        take_over_library_log();
        if (words.size() != 5) throw std::invalid_argument("Expected the arguments that the head of exact_widths.cpp describes.");
        run(words);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    std::fflush(stdout);
    // Devices are never destroyed; their destructors have nothing to say here.
    std::_Exit(0);
}
