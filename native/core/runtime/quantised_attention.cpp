#include "runtime/quantised_attention.h"

#include <ggml-cpp.h>
#include <ggml.h>

namespace nmos {

bool reads_quantised_kv(ggml_backend_dev_t card, const ModelProfile& model) {
    if (!model.can_quantise_kv || model.key_width == 0 || model.value_width == 0 || model.heads == 0 || model.kv_heads == 0 || model.heads % model.kv_heads != 0) return false;
    constexpr size_t tensors = 8;
    constexpr int64_t cached = 1024;  // tokens
    const ggml_context_ptr context(ggml_init({tensors * ggml_tensor_overhead(), nullptr, /* no_alloc */ true}));
    // A single token and a prompt, for which backends have kernels of their own.
    for (const int64_t width : {int64_t{1}, int64_t{512}}) {
        ggml_reset(context.get());
        ggml_tensor* const query = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, model.key_width, width, model.heads);
        ggml_tensor* const keys = ggml_new_tensor_3d(context.get(), GGML_TYPE_Q8_0, model.key_width, cached, model.kv_heads);
        ggml_tensor* const values = ggml_new_tensor_3d(context.get(), GGML_TYPE_Q8_0, model.value_width, cached, model.kv_heads);
        ggml_tensor* const mask = ggml_new_tensor_2d(context.get(), GGML_TYPE_F16, cached, width);
        const ggml_tensor* const attention = ggml_flash_attn_ext(context.get(), query, keys, values, mask, 1.0f, 0.0f, 0.0f);
        if (!ggml_backend_dev_supports_op(card, attention)) return false;
    }
    return true;
}

}  // namespace nmos
