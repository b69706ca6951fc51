#include "plan/model_profile.h"

#include "plan/model_outline.h"

#include <ggml-cpp.h>
#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <memory>
#include <optional>

#include "device/weight_unit.h"
#include "platform/os.h"
#include "runtime/engine_error.h"
#include "runtime/log.h"

namespace nmos {

namespace fs = std::filesystem;

namespace {

using GgufPtr = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

// Of an array; negative numbers count as 0.
template <typename T> std::optional<uint64_t> largest(const gguf_context* gguf, int64_t id) {
    const size_t count = gguf_get_arr_n(gguf, id);
    if (count == 0) return std::nullopt;
    const auto values = static_cast<const T*>(gguf_get_arr_data(gguf, id));
    return static_cast<uint64_t>(std::max<T>(0, *std::max_element(values, values + count)));
}

// An unsigned number of the metadata: a scalar, or the largest element of an array (models whose layers differ).
std::optional<uint64_t> number(const gguf_context* gguf, const std::string& key) {
    const int64_t id = gguf_find_key(gguf, key.c_str());
    if (id < 0) return std::nullopt;
    switch (gguf_get_kv_type(gguf, id)) {
        case GGUF_TYPE_UINT32: return gguf_get_val_u32(gguf, id);
        case GGUF_TYPE_INT32: return static_cast<uint64_t>(std::max(0, gguf_get_val_i32(gguf, id)));
        case GGUF_TYPE_UINT64: return gguf_get_val_u64(gguf, id);
        case GGUF_TYPE_ARRAY: {
            const gguf_type type = gguf_get_arr_type(gguf, id);
            if (type != GGUF_TYPE_UINT32 && type != GGUF_TYPE_INT32) return std::nullopt;
            return type == GGUF_TYPE_UINT32 ? largest<uint32_t>(gguf, id) : largest<int32_t>(gguf, id);
        }
        default: return std::nullopt;
    }
}

std::string text(const gguf_context* gguf, const std::string& key) {
    const int64_t id = gguf_find_key(gguf, key.c_str());
    return id >= 0 && gguf_get_kv_type(gguf, id) == GGUF_TYPE_STRING ? gguf_get_val_str(gguf, id) : "";
}

uint64_t checked_file_size(const std::string& path) {
    std::string failure;
    const std::optional<uint64_t> size = os::file_size(path, failure);
    if (!size) {
        throw EngineError(ErrorCode::ModelNotFound, "Expected a GGUF model file at " + path + ", but it cannot be opened (" +
                                                        failure + "). Check the path or download the model again.");
    }
    char magic[4] = {};
    const std::string name = os::openable(path);
    std::ifstream(fs::path(std::u8string(name.begin(), name.end())), std::ios::binary).read(magic, sizeof magic);
    if (std::string_view(magic, sizeof magic) != GGUF_MAGIC) {
        throw EngineError(ErrorCode::ModelInvalid, path + " is no GGUF file: it does not begin with \"GGUF\". Choose a model in GGUF format.");
    }
    return *size;
}

// With the shapes of the tensors.
std::pair<GgufPtr, ggml_context_ptr> open_header(const std::string& path) {
    ErrorCapture errors;
    ggml_context* shapes = nullptr;
    const gguf_init_params params{/* no_alloc */ true, &shapes};
    GgufPtr gguf(gguf_init_from_file(os::openable(path).c_str(), params), &gguf_free);
    if (!gguf) {
        throw EngineError(ErrorCode::ModelInvalid, "The header of " + path + " cannot be read, the file is damaged or was cut short (" +
                                                       errors.text() + "). Download the model again.");
    }
    return {std::move(gguf), ggml_context_ptr(shapes)};
}

// Pieces that the network of a layer can be cut into along its hidden dimension, at the borders of quantisation blocks. One
// for a network that is not gate, up and down and nothing else.
uint32_t pieces_of(ggml_context* shapes, uint32_t layer, uint64_t network_bytes) {
    // The largest block of any type of weights.
    constexpr int64_t piece = 256;
    const auto find = [&](const char* name) { return ggml_get_tensor(shapes, ("blk." + std::to_string(layer) + "." + name + ".weight").c_str()); };
    const ggml_tensor* const gate = find("ffn_gate");
    const ggml_tensor* const up = find("ffn_up");
    const ggml_tensor* const down = find("ffn_down");
    if (network_bytes == 0) return 0;
    if (!gate || !up || !down || ggml_nbytes(gate) + ggml_nbytes(up) + ggml_nbytes(down) != network_bytes) return 1;
    const int64_t hidden = down->ne[0];
    const bool divides = gate->ne[1] == hidden && up->ne[1] == hidden && hidden % piece == 0 && ggml_n_dims(gate) == 2 && ggml_n_dims(up) == 2 && ggml_n_dims(down) == 2;
    return divides ? static_cast<uint32_t>(hidden / piece) : 1;
}

// Experts of a layer that can be placed one by one: all of them, or one where a mixture is not gate, up and down and nothing
// else.
uint32_t experts_of(ggml_context* shapes, uint32_t layer, uint64_t network_bytes) {
    const auto find = [&](const char* name) { return ggml_get_tensor(shapes, ("blk." + std::to_string(layer) + ".ffn_" + name + "_exps.weight").c_str()); };
    const ggml_tensor* const gate = find("gate");
    const ggml_tensor* const up = find("up");
    const ggml_tensor* const down = find("down");
    if (!gate || !up || !down || ggml_nbytes(gate) + ggml_nbytes(up) + ggml_nbytes(down) != network_bytes) return 1;
    const bool alike = gate->ne[2] == up->ne[2] && gate->ne[2] == down->ne[2] && gate->ne[1] == up->ne[1] && down->ne[0] == gate->ne[1];
    return alike ? static_cast<uint32_t>(gate->ne[2]) : 1;
}

void measure_tensors(const gguf_context* gguf, ModelProfile& profile) {
    uint64_t end = gguf_get_data_offset(gguf);
    bool own_output = false;
    std::string embedding_type;
    for (int64_t i = 0; i < gguf_get_n_tensors(gguf); ++i) {
        const std::string_view name = gguf_get_tensor_name(gguf, i);
        const uint64_t bytes = gguf_get_tensor_size(gguf, i);
        const char* const type = ggml_type_name(gguf_get_tensor_type(gguf, i));
        end = std::max<uint64_t>(end, gguf_get_data_offset(gguf) + gguf_get_tensor_offset(gguf, i) + bytes);
        const std::optional<UnitId> unit = unit_of_tensor(name, profile.layers);
        if (unit && unit->group != UnitGroup::Output) {
            if (unit->layer >= profile.layers) continue;
            profile.layer_bytes[unit->layer] += bytes;
            profile.type_bytes[type] += bytes;
            profile.largest_weight = std::max(profile.largest_weight, bytes);
            if (unit->group == UnitGroup::Experts && profile.experts > 0 && !profile.is_mixture[unit->layer]) {
                // The router and an expert for all tokens are no part of what can be placed.
                profile.is_mixture[unit->layer] = true;
                profile.network_bytes[unit->layer] = 0;
            }
            if (unit->group == (profile.is_mixture[unit->layer] ? UnitGroup::Experts : UnitGroup::FeedForward)) profile.network_bytes[unit->layer] += bytes;
        } else if (name == "token_embd.weight") {
            profile.embedding_bytes += bytes;
            embedding_type = type;
        } else {
            own_output |= name == "output.weight";
            profile.output_bytes += bytes;
            profile.type_bytes[type] += bytes;
        }
    }
    if (!own_output && profile.embedding_bytes > 0) {
        profile.output_bytes += profile.embedding_bytes;
        profile.type_bytes[embedding_type] += profile.embedding_bytes;
    }
    if (end > profile.file_bytes) {
        throw EngineError(ErrorCode::ModelTruncated,
                          profile.path + " should hold " + std::to_string(end) + " bytes, but holds only " +
                              std::to_string(profile.file_bytes) + ". Download the model again.");
    }
}

// What an outline has in place of vocabulary and data.
void complete_outline(const gguf_context* gguf, ggml_context* shapes, ModelProfile& profile) {
    const std::optional<uint64_t> bytes = number(gguf, "nmos.outline.file_bytes");
    const ggml_tensor* const embedding = ggml_get_tensor(shapes, "token_embd.weight");
    if (!bytes || !embedding) return;
    profile.file_bytes = *bytes;
    profile.vocabulary = static_cast<uint32_t>(embedding->ne[1]);
}

ModelProfile read(const std::string& path, bool may_be_outline);

}  // namespace

uint64_t ModelProfile::weight_bytes() const {
    return std::accumulate(layer_bytes.begin(), layer_bytes.end(), embedding_bytes + output_bytes);
}

ModelProfile ModelProfile::with_kv(KvType type) const {
    ModelProfile model = *this;
    if (type == kv_type || !can_quantise_kv) return model;
    model.kv_type = type;
    const ggml_type from = kv_type == KvType::F16 ? GGML_TYPE_F16 : GGML_TYPE_Q8_0;
    const ggml_type to = type == KvType::F16 ? GGML_TYPE_F16 : GGML_TYPE_Q8_0;
    for (uint64_t& bytes : model.kv_bytes_per_token) {
        const uint64_t elements = bytes / ggml_type_size(from) * static_cast<uint64_t>(ggml_blck_size(from));
        bytes = ggml_row_size(to, static_cast<int64_t>(elements));
    }
    return model;
}

double ModelProfile::experts_read(uint32_t width) const {
    const double count = experts;
    return count * (1 - std::pow(1 - std::min(1.0, experts_used / count), width));
}

uint64_t ModelProfile::kv_bytes(uint64_t context_length) const {
    return context_length * std::accumulate(kv_bytes_per_token.begin(), kv_bytes_per_token.end(), uint64_t{0});
}

ModelProfile read_model_profile(const std::string& path) {
    return read(path, false);
}

ModelProfile read_model_or_outline(const std::string& path) {
    return read(path, true);
}

namespace {

ModelProfile read(const std::string& path, bool may_be_outline) {
    ModelProfile profile;
    profile.path = path;
    profile.file_bytes = checked_file_size(path);
    const auto [header, shapes] = open_header(path);
    const gguf_context* gguf = header.get();
    profile.architecture = text(gguf, "general.architecture");
    profile.name = text(gguf, "general.name");
    const auto own = [&](const char* key) { return number(gguf, profile.architecture + "." + key); };
    const uint64_t layers = own("block_count").value_or(0);
    if (profile.architecture.empty() || layers == 0 || layers > 10000) {
        throw EngineError(ErrorCode::ModelUnsupported,
                          path + " describes no language model with layers; choose a text model in GGUF format.");
    }
    profile.layers = static_cast<uint32_t>(layers);
    profile.layer_bytes.assign(layers, 0);
    profile.network_bytes.assign(layers, 0);
    profile.is_mixture.assign(layers, false);
    profile.experts = static_cast<uint32_t>(own("expert_count").value_or(0));
    profile.experts_used = static_cast<uint32_t>(std::max<uint64_t>(1, own("expert_used_count").value_or(1)));
    profile.trained_context = static_cast<uint32_t>(own("context_length").value_or(0));
    profile.embedding = static_cast<uint32_t>(own("embedding_length").value_or(0));
    profile.feed_forward = static_cast<uint32_t>(own("feed_forward_length").value_or(0));
    if (profile.experts > 0) profile.expert_width = static_cast<uint32_t>(own("expert_feed_forward_length").value_or(profile.feed_forward));
    const int64_t tokens = gguf_find_key(gguf, "tokenizer.ggml.tokens");
    if (tokens >= 0 && gguf_get_kv_type(gguf, tokens) == GGUF_TYPE_ARRAY) {
        profile.vocabulary = static_cast<uint32_t>(gguf_get_arr_n(gguf, tokens));
    }
    const uint64_t heads = std::max<uint64_t>(1, own("attention.head_count").value_or(1));
    const uint64_t kv_heads = own("attention.head_count_kv").value_or(heads);
    const uint64_t head_width = profile.embedding / heads;
    const uint64_t key_width = own("attention.key_length").value_or(head_width);
    const uint64_t value_width = own("attention.value_length").value_or(head_width);
    profile.heads = static_cast<uint32_t>(heads);
    profile.kv_heads = static_cast<uint32_t>(kv_heads);
    profile.key_width = static_cast<uint32_t>(key_width);
    profile.value_width = static_cast<uint32_t>(value_width);
    profile.kv_bytes_per_token.assign(layers, kv_heads * (key_width + value_width) * sizeof(ggml_fp16_t));
    const auto block = static_cast<uint64_t>(ggml_blck_size(GGML_TYPE_Q8_0));
    // Compressed caches are read by kernels of their own.
    const bool is_compressed = own("attention.kv_lora_rank").has_value();
    profile.can_quantise_kv = key_width % block == 0 && value_width % block == 0 && !is_compressed;
    if (may_be_outline) complete_outline(gguf, shapes.get(), profile);
    measure_tensors(gguf, profile);
    for (uint32_t layer = 0; layer < profile.layers; ++layer) {
        const auto pieces = profile.is_mixture[layer] ? &experts_of : &pieces_of;
        profile.network_pieces.push_back(pieces(shapes.get(), layer, profile.network_bytes[layer]));
    }
    return profile;
}

}  // namespace

}  // namespace nmos
