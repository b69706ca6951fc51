#include "synthetic_model.h"

#include <ggml-cpp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <stdexcept>
#include <tuple>

namespace nmos::synthetic {

namespace fs = std::filesystem;

namespace {

// Rows that are really drawn and quantised; a tensor repeats them. A prime number, so that no two experts are alike.
constexpr int64_t drawn_rows = 67;

fs::path path_of(const std::string& utf8) {
    return fs::path(std::u8string(utf8.begin(), utf8.end()));
}

// Layers whose value and down projections get more bits: the first and last eighth, and every third between.
bool more_bits(uint32_t layer, uint32_t layers) {
    return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

// Sets what describes the vocabulary in the file, and nothing else of it.
void copy_vocabulary(gguf_context* target, const std::string& file) {
    const gguf_context_ptr source(gguf_init_from_file(file.c_str(), {true, nullptr}));
    if (!source) throw std::runtime_error("Expected a GGUF file with a vocabulary at " + file + ", but it cannot be read.");
    gguf_set_kv(target, source.get());
    // What describes the other model would be taken for this one's.
    std::vector<std::string> foreign;
    for (int64_t i = 0; i < gguf_get_n_kv(target); ++i) {
        const std::string key = gguf_get_key(target, i);
        if (!key.starts_with("tokenizer.")) foreign.push_back(key);
    }
    for (const std::string& key : foreign) gguf_remove_key(target, key.c_str());
}

class Writer {
  public:
    Writer(const Shape& shape, const std::string& vocabulary_file) : shape_(shape), gguf_(gguf_init_empty()) {
        context_.reset(ggml_init({ggml_tensor_overhead() * (16 * size_t{shape.layers} + 8), nullptr, true}));
        read_vocabulary(vocabulary_file);
        describe();
        add_tensors();
    }

    void write(const std::string& path) {
        std::ofstream file;
        file.exceptions(std::ios::failbit | std::ios::badbit);
        file.open(path_of(path), std::ios::binary | std::ios::trunc);
        std::vector<char> header(gguf_get_meta_size(gguf_.get()));
        gguf_get_meta_data(gguf_.get(), header.data());
        file.write(header.data(), static_cast<std::streamsize>(header.size()));
        const size_t alignment = gguf_get_alignment(gguf_.get());
        for (ggml_tensor* tensor = ggml_get_first_tensor(context_.get()); tensor; tensor = ggml_get_next_tensor(context_.get(), tensor)) {
            write_tensor(file, tensor);
            const std::vector<char> padding((alignment - ggml_nbytes(tensor) % alignment) % alignment);
            file.write(padding.data(), static_cast<std::streamsize>(padding.size()));
        }
    }

  private:
    void read_vocabulary(const std::string& file) {
        copy_vocabulary(gguf_.get(), file);
        vocabulary_ = static_cast<int64_t>(gguf_get_arr_n(gguf_.get(), gguf_find_key(gguf_.get(), "tokenizer.ggml.tokens")));
    }

    void describe() {
        const auto set = [&](const char* key, uint32_t value) { gguf_set_val_u32(gguf_.get(), (shape_.architecture + "." + key).c_str(), value); };
        gguf_set_val_str(gguf_.get(), "general.architecture", shape_.architecture.c_str());
        gguf_set_val_str(gguf_.get(), "general.name", ("synthetic " + shape_.name).c_str());
        gguf_set_val_u32(gguf_.get(), "general.file_type", 15);  // Q4_K_M
        set("block_count", shape_.layers);
        set("context_length", shape_.trained_context);
        set("embedding_length", shape_.embedding);
        set("feed_forward_length", shape_.feed_forward);
        set("attention.head_count", shape_.heads);
        set("attention.head_count_kv", shape_.kv_heads);
        set("attention.key_length", shape_.head_width);
        set("attention.value_length", shape_.head_width);
        gguf_set_val_f32(gguf_.get(), (shape_.architecture + ".rope.freq_base").c_str(), 1e6f);
        gguf_set_val_f32(gguf_.get(), (shape_.architecture + ".attention.layer_norm_rms_epsilon").c_str(), 1e-6f);
        if (shape_.window > 0) set("attention.sliding_window", shape_.window);
        if (shape_.experts == 0) return;
        set("expert_count", shape_.experts);
        set("expert_used_count", shape_.experts_used);
        set("expert_feed_forward_length", shape_.feed_forward);
    }

    void add(const std::string& name, ggml_type type, int64_t columns, int64_t rows = 1, int64_t experts = 1) {
        ggml_tensor* const tensor = experts > 1   ? ggml_new_tensor_3d(context_.get(), type, columns, rows, experts)
                                    : rows > 1 ? ggml_new_tensor_2d(context_.get(), type, columns, rows)
                                               : ggml_new_tensor_1d(context_.get(), type, columns);
        ggml_set_name(tensor, name.c_str());
        gguf_add_tensor(gguf_.get(), tensor);
    }

    void add_tensors() {
        const int64_t width = shape_.embedding;
        add("token_embd.weight", GGML_TYPE_Q4_K, width, vocabulary_);
        add("output_norm.weight", GGML_TYPE_F32, width);
        if (!shape_.tied_output) add("output.weight", GGML_TYPE_Q6_K, width, vocabulary_);
        for (uint32_t layer = 0; layer < shape_.layers; ++layer) add_layer(layer);
    }

    void add_layer(uint32_t layer) {
        const std::string block = "blk." + std::to_string(layer) + ".";
        const ggml_type sensitive = more_bits(layer, shape_.layers) ? GGML_TYPE_Q6_K : GGML_TYPE_Q4_K;
        const int64_t width = shape_.embedding;
        const int64_t queries = int64_t{shape_.heads} * shape_.head_width;
        const int64_t keys = int64_t{shape_.kv_heads} * shape_.head_width;
        add(block + "attn_norm.weight", GGML_TYPE_F32, width);
        add(block + "attn_q.weight", GGML_TYPE_Q4_K, width, queries);
        add(block + "attn_k.weight", GGML_TYPE_Q4_K, width, keys);
        add(block + "attn_v.weight", sensitive, width, keys);
        add(block + "attn_output.weight", GGML_TYPE_Q4_K, queries, width);
        if (shape_.architecture == "qwen2") {
            add(block + "attn_q.bias", GGML_TYPE_F32, queries);
            add(block + "attn_k.bias", GGML_TYPE_F32, keys);
            add(block + "attn_v.bias", GGML_TYPE_F32, keys);
        } else {
            add(block + "attn_q_norm.weight", GGML_TYPE_F32, shape_.head_width);
            add(block + "attn_k_norm.weight", GGML_TYPE_F32, shape_.head_width);
        }
        if (shape_.architecture == "gemma3") {
            add(block + "post_attention_norm.weight", GGML_TYPE_F32, width);
            add(block + "post_ffw_norm.weight", GGML_TYPE_F32, width);
        }
        add(block + "ffn_norm.weight", GGML_TYPE_F32, width);
        const std::string kind = shape_.experts > 0 ? "_exps.weight" : ".weight";
        const int64_t experts = std::max<int64_t>(1, shape_.experts);
        if (shape_.experts > 0) add(block + "ffn_gate_inp.weight", GGML_TYPE_F32, width, experts);
        add(block + "ffn_gate" + kind, GGML_TYPE_Q4_K, width, shape_.feed_forward, experts);
        add(block + "ffn_up" + kind, GGML_TYPE_Q4_K, width, shape_.feed_forward, experts);
        add(block + "ffn_down" + kind, sensitive, shape_.feed_forward, width, experts);
    }

    void write_tensor(std::ofstream& file, const ggml_tensor* tensor) {
        const std::vector<char>& rows = rows_of(tensor);
        size_t left = ggml_nbytes(tensor);
        while (left > 0) {
            const size_t part = std::min(left, rows.size());
            file.write(rows.data(), static_cast<std::streamsize>(part));
            left -= part;
        }
    }

    // Whole rows of the tensor's type and width. Norms, and biases, are ones, so that a model of any depth stays within numbers.
    const std::vector<char>& rows_of(const ggml_tensor* tensor) {
        const bool is_norm = ggml_n_dims(tensor) == 1;
        std::vector<char>& rows = rows_[{tensor->type, tensor->ne[0], is_norm}];
        if (!rows.empty()) return rows;
        const auto columns = static_cast<size_t>(tensor->ne[0]);
        std::vector<float> drawn(columns * drawn_rows, 1.0f);
        if (!is_norm) {
            std::normal_distribution<float> normal(0.0f, 1.0f / std::sqrt(static_cast<float>(columns)));
            for (float& weight : drawn) weight = normal(random_);
        }
        rows.resize(ggml_row_size(tensor->type, tensor->ne[0]) * drawn_rows);
        if (tensor->type == GGML_TYPE_F32) std::memcpy(rows.data(), drawn.data(), rows.size());
        else ggml_quantize_chunk(tensor->type, drawn.data(), rows.data(), 0, drawn_rows, tensor->ne[0], nullptr);
        return rows;
    }

    const Shape& shape_;
    gguf_context_ptr gguf_;
    ggml_context_ptr context_;
    int64_t vocabulary_ = 0;
    std::map<std::tuple<ggml_type, int64_t, bool>, std::vector<char>> rows_;  // by type, width and whether it is a norm
    std::mt19937 random_{1};
};

}  // namespace

std::vector<Shape> shapes() {
    return {
        {"qwen2.5-coder-3b", "qwen2", 36, 2048, 16, 2, 128, 11008, 0, 0, true},
        {"qwen2.5-coder-7b", "qwen2", 28, 3584, 28, 4, 128, 18944, 0, 0, false},
        {"qwen2.5-coder-14b", "qwen2", 48, 5120, 40, 8, 128, 13824, 0, 0, false},
        {"qwen2.5-coder-32b", "qwen2", 64, 5120, 40, 8, 128, 27648, 0, 0, false},
        {"olmoe-1b-7b", "qwen3moe", 16, 2048, 16, 16, 128, 1024, 64, 8, false},
        {"tiny", "qwen2", 6, 256, 4, 2, 64, 768, 0, 0, false, 2048},
        {"tiny-moe", "qwen3moe", 4, 256, 4, 2, 64, 256, 8, 2, false, 2048},
        {"tiny-window", "gemma3", 6, 256, 4, 2, 64, 768, 0, 0, false, 2048, 48},
    };
}

std::optional<Shape> find_shape(std::string_view name) {
    const std::vector<Shape> all = shapes();
    const auto found = std::ranges::find(all, name, &Shape::name);
    return found == all.end() ? std::nullopt : std::optional(*found);
}

void write_model(const Shape& shape, const std::string& vocabulary_file, const std::string& path) {
    const std::string unfinished = path + ".partial";
    try {
        Writer(shape, vocabulary_file).write(unfinished);
        fs::rename(path_of(unfinished), path_of(path));
    } catch (const std::exception& failure) {
        std::error_code ignored;
        fs::remove(path_of(unfinished), ignored);
        throw std::runtime_error("The synthetic model " + path + " cannot be written: " + failure.what());
    }
}

void write_vocabulary(const std::string& vocabulary_file, const std::string& path) {
    const gguf_context_ptr gguf(gguf_init_empty());
    copy_vocabulary(gguf.get(), vocabulary_file);
    if (!gguf_write_to_file(gguf.get(), path.c_str(), true)) throw std::runtime_error("The vocabulary cannot be written to " + path + ".");
}

}  // namespace nmos::synthetic
