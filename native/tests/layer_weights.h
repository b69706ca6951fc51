// The feed-forward network of one layer with random weights, and queues that compute it.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace nmos::testing {

// More threads than cores wait for each other most of the time.
inline ggml_backend_ptr one_thread(ggml_backend_t queue) {
    const ggml_backend_reg_t registry = ggml_backend_dev_backend_reg(ggml_backend_get_device(queue));
    const auto set = reinterpret_cast<ggml_backend_set_n_threads_t>(ggml_backend_reg_get_proc_address(registry, "ggml_backend_set_n_threads"));
    if (set) set(queue, 1);
    return ggml_backend_ptr(queue);
}

inline ggml_backend_ptr processor_queue() {
    return one_thread(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
}

// From -1 to 1.
inline std::vector<float> random_numbers(size_t count, int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    std::vector<float> numbers(count);
    for (float& number : numbers) number = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    return numbers;
}

// Of the largest number.
inline double relative_difference(const std::vector<float>& actual, const std::vector<float>& expected) {
    double largest = 0;
    double difference = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
        largest = std::max<double>(largest, std::abs(expected[i]));
        difference = std::max<double>(difference, std::abs(actual[i] - expected[i]));
    }
    return difference / largest;
}

// Tensors as a model names them: of a network, or with `suffix` "_exps" of a mixture of so many experts.
class LayerWeights {
  public:
    LayerWeights(ggml_backend_buffer_type_t type, int64_t embedding, int64_t hidden, const std::string& suffix = "", int64_t experts = 1) {
        context_.reset(ggml_init({8 * ggml_tensor_overhead(), nullptr, true}));
        const auto weight = [&](const std::string& name, int64_t columns, int64_t rows) {
            ggml_tensor* const tensor = ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, columns, rows, experts);
            ggml_set_name(tensor, ("blk.0.ffn_" + name + suffix + ".weight").c_str());
            return tensor;
        };
        gate = weight("gate", embedding, hidden);
        up = weight("up", embedding, hidden);
        down = weight("down", hidden, embedding);
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), type));
        int seed = 0;
        for (ggml_tensor* tensor : {gate, up, down}) {
            const std::vector<float> numbers = random_numbers(static_cast<size_t>(ggml_nelements(tensor)), seed++);
            ggml_backend_tensor_set(tensor, numbers.data(), 0, ggml_nbytes(tensor));
        }
    }

    ggml_tensor *gate, *up, *down;

  private:
    ggml_context_ptr context_;
    ggml_backend_buffer_ptr buffer_;
};

}  // namespace nmos::testing
