#include "device/offload_width.h"

#include <ggml-cpp.h>
#include <ggml.h>

namespace nmos {

uint32_t offload_width(ggml_backend_dev_t card, uint32_t widest_pass) {
    constexpr int64_t columns = 4096;
    constexpr int64_t rows = 4096;
    for (uint32_t width = 1; width <= widest_pass; ++width) {
        const ggml_context_ptr context(ggml_init({3 * ggml_tensor_overhead(), nullptr, true}));
        ggml_tensor* const matrix = ggml_new_tensor_2d(context.get(), GGML_TYPE_Q4_K, columns, rows);
        ggml_tensor* const input = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, width);
        if (ggml_backend_dev_offload_op(card, ggml_mul_mat(context.get(), matrix, input))) return width;
    }
    return UINT32_MAX;
}

}  // namespace nmos
