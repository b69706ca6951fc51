#include "device/pinned_memory.h"

#include <ggml-backend-impl.h>

namespace nmos {

ggml_backend_buffer_type_t pinned_memory_type(ggml_backend_dev_t card) {
    const ggml_backend_buffer_type_t type = ggml_backend_dev_host_buffer_type(card);
    return type && type->device == card ? type : nullptr;
}

ggml_backend_buffer_ptr allocate_pinned(ggml_backend_dev_t card, size_t bytes) {
    const ggml_backend_buffer_type_t type = pinned_memory_type(card);
    ggml_backend_buffer_ptr buffer(type ? ggml_backend_buft_alloc_buffer(type, bytes) : nullptr);
    if (buffer && ggml_backend_buffer_get_type(buffer.get()) != type) buffer.reset();
    return buffer;
}

}  // namespace nmos
