#include "runtime/speed_key.h"

#include <ggml.h>

#include "platform/os.h"

namespace nmos {

CardState card_state(ggml_backend_dev_t card) {
    const bool has_driver = ggml_backend_dev_type(card) != GGML_BACKEND_DEVICE_TYPE_CPU;
    return {os::saves_energy(), has_driver ? os::driver_version(ggml_backend_dev_description(card)) : ""};
}

std::string speed_key(ggml_backend_dev_t card, int32_t threads, const CardState& state) {
    const ggml_backend_dev_t processor = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    size_t free = 0;
    size_t total = 0;
    ggml_backend_dev_memory(card, &free, &total);
    return std::string(ggml_version()) + " " + ggml_commit() + "; " + ggml_backend_dev_description(processor) + ", " + std::to_string(threads) +
           " threads; " + ggml_backend_dev_name(card) + ", " + ggml_backend_dev_description(card) + ", " + std::to_string(total >> 20) + " MiB" +
           (state.driver.empty() ? "" : ", driver " + state.driver) + (state.saves_energy ? "; saving energy" : "");
}

std::string cache_name(const std::string& device, const CardState& state) {
    return device + (state.saves_energy ? " saving energy" : "");
}

}  // namespace nmos
