#include "runtime/exact_passes.h"

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "speculative/pass_costs.h"

namespace nmos {

namespace {

class Passes {
  public:
    Passes(llama_model* model, const Cancellation* cancellation) : context_(llama_init_from_model(model, params()), &llama_free) {
        if (context_ && cancellation) llama_set_abort_callback(context_.get(), &Passes::is_cancelled, const_cast<Cancellation*>(cancellation));
        const auto vocabulary = static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
        row_ = vocabulary;
        // Any tokens will do; the first ones of a vocabulary may be special.
        for (size_t i = 0; i < widest_verification; ++i) tokens_[i] = static_cast<llama_token>((i + 1) * vocabulary / (widest_verification + 1));
        std::iota(positions_.begin(), positions_.end(), 0);
        wanted_.fill(1);
    }

    bool ready() const { return context_ != nullptr; }

    // (tokens × vocabulary) The logits behind the first so many tokens, computed `width` in a pass; empty on failure.
    std::vector<float> logits(size_t tokens, size_t width) {
        std::vector<float> all;
        llama_memory_clear(llama_get_memory(context_.get()), true);
        for (size_t done = 0; done < tokens; done += width) {
            llama_batch batch{};
            batch.n_tokens = static_cast<int32_t>(width);
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
    static bool is_cancelled(void* cancellation) { return static_cast<const Cancellation*>(cancellation)->cancelled(); }

    static llama_context_params params() {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = params.n_batch = params.n_ubatch = 32;
        params.n_seq_max = 1;
        params.n_outputs_max = widest_verification;
        params.n_threads = params.n_threads_batch = 1;
        params.type_k = params.type_v = GGML_TYPE_Q8_0;
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
        params.no_perf = true;
        return params;
    }

    std::unique_ptr<llama_context, decltype(&llama_free)> context_;
    size_t row_ = 0;
    std::array<llama_token, widest_verification> tokens_{};
    std::array<llama_pos, widest_verification> positions_{};
    std::array<int8_t, widest_verification> wanted_{};
};

}  // namespace

bool computes_exactly(llama_model* model, const CancellationPtr& cancellation) {
    Passes passes(model, cancellation.get());
    if (!passes.ready()) return false;
    const std::vector<float> single = passes.logits(widest_verification, 1);
    if (single.empty()) return false;
    for (size_t width = 2; width <= widest_verification; ++width) {
        const std::vector<float> wide = passes.logits(width, width);
        if (wide.empty() || !std::ranges::equal(wide, std::span(single).first(wide.size()))) return false;
    }
    return true;
}

}  // namespace nmos
