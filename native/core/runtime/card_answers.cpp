#include "runtime/card_answers.h"

#include <ggml-cpp.h>

#include <array>
#include <exception>

#include "device/uploader.h"
#include "runtime/log.h"

namespace nmos {

bool card_answers(const std::string& device) {
    const ggml_backend_dev_t card = ggml_backend_dev_by_name(device.c_str());
    if (!card) return false;
    try {
        std::array<char, 256> bytes{};
        const ggml_backend_buffer_ptr memory(ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(card), bytes.size()));
        if (!memory) return false;
        ggml_tensor tensor = bytes_of(memory.get());
        ggml_backend_tensor_set(&tensor, bytes.data(), 0, bytes.size());
        ggml_backend_tensor_get(&tensor, bytes.data(), 0, bytes.size());
        return true;
    } catch (const std::exception& error) {
        log(LogLevel::Warn, device + " does not answer: " + error.what());
        return false;
    }
}

}  // namespace nmos
