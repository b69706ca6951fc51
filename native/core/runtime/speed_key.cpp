#include "runtime/speed_key.h"

#include <ggml.h>

namespace nmos {

std::string speed_key(ggml_backend_dev_t card, int32_t threads, bool saves_energy) {
    const ggml_backend_dev_t processor = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    size_t free = 0;
    size_t total = 0;
    ggml_backend_dev_memory(card, &free, &total);
    return std::string(ggml_version()) + " " + ggml_commit() + "; " + ggml_backend_dev_description(processor) + ", " + std::to_string(threads) +
           " threads; " + ggml_backend_dev_name(card) + ", " + ggml_backend_dev_description(card) + ", " + std::to_string(total >> 20) + " MiB" +
           (saves_energy ? "; saving energy" : "");
}

}  // namespace nmos
