// Writes model files with the exact shapes and quantisation of a named model and random weights, so that speed and memory
// can be measured where the model itself cannot be had. The vocabulary is a real one, taken from another file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nmos::synthetic {

struct Shape {
    std::string name;
    std::string architecture;      // as GGUF files name it: "qwen2", "qwen3moe" or "gemma3"
    uint32_t layers = 0;
    uint32_t embedding = 0;        // width of the residual stream
    uint32_t heads = 0;
    uint32_t kv_heads = 0;
    uint32_t head_width = 0;
    uint32_t feed_forward = 0;     // hidden width of a layer's, or of one expert's, feed-forward network
    uint32_t experts = 0;          // 0: one network a layer
    uint32_t experts_used = 0;     // by a token
    bool tied_output = false;      // the embedding is the output head, too
    uint32_t trained_context = 32768;
    uint32_t window = 0;           // tokens that most layers of a "gemma3" see; 0: all
};

std::vector<Shape> shapes();
std::optional<Shape> find_shape(std::string_view name);

// The types of Q4_K_M, as llama.cpp's quantiser gives them out. Throws std::runtime_error with the system's reason when
// the vocabulary cannot be read or the file not be written; a file under that name is then the old one.
void write_model(const Shape& shape, const std::string& vocabulary_file, const std::string& path);

// The vocabulary of a model file alone, some megabytes, from which write_model can take it elsewhere. Throws
// std::runtime_error.
void write_vocabulary(const std::string& vocabulary_file, const std::string& path);

}  // namespace nmos::synthetic
