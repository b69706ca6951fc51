#include "runtime/exact_passes.h"

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <vector>

namespace nmos {

namespace {

// More than the rows that any kernel takes at once, and one over.
constexpr size_t longest = 9;

class Passes {
  public:
    explicit Passes(llama_model* model) : context_(llama_init_from_model(model, params()), &llama_free) {
        const auto vocabulary = static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
        row_ = vocabulary;
        // Any tokens will do; the first ones of a vocabulary may be special.
        for (size_t i = 0; i < longest; ++i) tokens_[i] = static_cast<llama_token>((i + 1) * vocabulary / (longest + 1));
        std::iota(positions_.begin(), positions_.end(), 0);
        wanted_.fill(1);
    }

    bool ready() const { return context_ != nullptr; }

    // (longest × vocabulary) The logits behind the tokens, computed so many a pass; empty on failure.
    std::vector<float> logits(size_t width) {
        std::vector<float> all;
        llama_memory_clear(llama_get_memory(context_.get()), true);
        for (size_t done = 0; done < longest; done += width) {
            llama_batch batch{};
            batch.n_tokens = static_cast<int32_t>(std::min(width, longest - done));
            batch.token = &tokens_[done];
            batch.pos = &positions_[done];
            batch.logits = wanted_.data();
            if (llama_decode(context_.get(), batch) != 0) return {};
            for (int32_t i = 0; i < batch.n_tokens; ++i) {
                const float* const row = llama_get_logits_ith(context_.get(), i);
                all.insert(all.end(), row, row + row_);
            }
        }
        return all;
    }

  private:
    static llama_context_params params() {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = params.n_batch = params.n_ubatch = 32;
        params.n_seq_max = 1;
        params.n_outputs_max = longest;
        params.n_threads = params.n_threads_batch = 1;
        params.type_k = params.type_v = GGML_TYPE_Q8_0;
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
        params.no_perf = true;
        return params;
    }

    std::unique_ptr<llama_context, decltype(&llama_free)> context_;
    size_t row_ = 0;
    std::array<llama_token, longest> tokens_{};
    std::array<llama_pos, longest> positions_{};
    std::array<int8_t, longest> wanted_{};
};

}  // namespace

bool computes_exactly(llama_model* model) {
    Passes passes(model);
    if (!passes.ready()) return false;
    const std::vector<float> single = passes.logits(1);
    const auto is_same = [&](size_t width) { return passes.logits(width) == single; };
    return !single.empty() && is_same(3) && is_same(longest);
}

}  // namespace nmos
