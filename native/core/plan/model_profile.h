// What a planner needs to know about a model, read from the header of its GGUF file without loading it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace nmos {

// How keys and values are kept.
enum class KvType : uint8_t {
    F16,
    Q8_0,  // in about half the memory
};

struct ModelProfile {
    std::string path;
    std::string architecture;
    std::string name;
    uint64_t file_bytes = 0;
    uint32_t layers = 0;
    uint32_t trained_context = 0;  // tokens
    uint32_t embedding = 0;        // width of the residual stream
    uint32_t feed_forward = 0;     // width of the widest hidden layer
    uint32_t vocabulary = 0;       // tokens
    uint32_t experts = 0;          // of a layer; 0: one network a layer
    uint32_t experts_used = 0;     // by a token
    uint32_t expert_width = 0;     // of an expert's hidden layer
    std::vector<uint64_t> layer_bytes;         // (layer) weights
    std::vector<uint64_t> network_bytes;       // (layer) those of them in the feed-forward network, or in the experts
    std::vector<uint32_t> network_pieces;      // (layer) that the network can be cut into, or experts; 1: only as a whole, 0: there is none
    std::vector<bool> is_mixture;              // (layer) the network is a mixture of experts
    uint64_t largest_weight = 0;               // bytes of the largest tensor of any layer
    std::vector<uint64_t> kv_bytes_per_token;  // (layer) keys and values of one token
    KvType kv_type = KvType::F16;
    bool can_quantise_kv = false;              // keys and values divide into the blocks of quantised types
    uint32_t heads = 0;                        // of the queries, of a layer
    uint32_t kv_heads = 0;                     // of keys and values
    uint32_t key_width = 0;                    // of a head
    uint32_t value_width = 0;
    uint64_t embedding_bytes = 0;              // the token embedding; always computed by the processor
    uint64_t output_bytes = 0;                 // the output head and norm; tied ones are counted once more
    std::map<std::string, uint64_t> type_bytes;  // of layers and output by their type of weights, ggml's name, such as "q4_K"

    uint64_t weight_bytes() const;
    uint64_t kv_bytes(uint64_t context_length) const;
    // The same model with such a cache; with F16 where it cannot be quantised.
    ModelProfile with_kv(KvType type) const;
    // Experts of a layer that a pass of `width` tokens reads, when each token chooses its own by chance.
    double experts_read(uint32_t width) const;
};

// Throws MODEL_NOT_FOUND, MODEL_INVALID (no GGUF, or a header that cannot be read) or MODEL_TRUNCATED (the file ends
// before its tensors do). Any thread.
ModelProfile read_model_profile(const std::string& path);

}  // namespace nmos
