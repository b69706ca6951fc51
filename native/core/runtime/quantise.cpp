#include "runtime/quantise.h"

#include <gguf.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "plan/model_profile.h"
#include "platform/os.h"
#include "runtime/engine_error.h"
#include "runtime/log.h"

namespace nmos {

namespace {

using GgufPtr = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

// Rows that are converted at a time: the file grows in such steps, by which progress is seen. The library's own limit is 8 GiB.
constexpr size_t most_buffer_bytes = size_t{64} << 20;

constexpr std::array<std::pair<const char*, llama_ftype>, 5> file_types{{
    {"F16", LLAMA_FTYPE_MOSTLY_F16},
    {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    {"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    {"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    {"IQ4_XS", LLAMA_FTYPE_MOSTLY_IQ4_XS},
}};

// Share of the weights that may be of low precision in a model that is not: a few small tensors lose nothing that matters.
constexpr double most_low_share = 0.05;

bool is_precise(ggml_type type) {
    return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || type == GGML_TYPE_Q8_0;
}

llama_ftype file_type_of(const std::string& name) {
    for (const auto& [known, type] : file_types) {
        if (name == known) return type;
    }
    std::string names;
    for (const auto& [known, type] : file_types) names += (names.empty() ? "" : ", ") + std::string(known);
    throw EngineError(ErrorCode::InvalidArgument, "Expected one of " + names + " as the type of weights, got \"" + name + "\".");
}

GgufPtr open_header(const std::string& path) {
    ErrorCapture errors;
    GgufPtr header(gguf_init_from_file(os::openable(path).c_str(), {/* no_alloc */ true, nullptr}), &gguf_free);
    if (!header) throw EngineError(ErrorCode::ModelInvalid, "The header of " + path + " cannot be read (" + errors.text() + "). Download the model again.");
    return header;
}

// The files of a split model in their order; the path alone of any other.
std::vector<std::string> parts_of(const std::string& path, const gguf_context* header) {
    const int64_t key = gguf_find_key(header, "split.count");
    const int count = key >= 0 && gguf_get_kv_type(header, key) == GGUF_TYPE_UINT16 ? gguf_get_val_u16(header, key) : 1;
    if (count <= 1) return {path};
    std::vector<char> text(path.size() + 64);
    if (llama_split_prefix(text.data(), text.size(), path.c_str(), 0, count) <= 0) {
        throw EngineError(ErrorCode::ModelInvalid, path + " is one of " + std::to_string(count) + " parts, but not the first by its name. Choose the part with 00001 in its name, which must keep its name.");
    }
    const std::string prefix = text.data();
    std::vector<std::string> parts;
    for (int part = 0; part < count; ++part) {
        llama_split_path(text.data(), text.size(), prefix.c_str(), part, count);
        parts.emplace_back(text.data());
    }
    return parts;
}

// Throws MODEL_NOT_FOUND or MODEL_TRUNCATED; adds the weights of each type to `elements`.
uint64_t measure_part(const std::string& path, std::map<ggml_type, uint64_t>& elements) {
    std::string failure;
    const std::optional<uint64_t> size = os::file_size(path, failure);
    if (!size) throw EngineError(ErrorCode::ModelNotFound, "Expected a part of the model at " + path + ", but it cannot be opened (" + failure + "). Put all parts into one folder.");
    const GgufPtr header = open_header(path);
    uint64_t end = 0;
    for (int64_t i = 0; i < gguf_get_n_tensors(header.get()); ++i) {
        const uint64_t bytes = gguf_get_tensor_size(header.get(), i);
        const ggml_type type = gguf_get_tensor_type(header.get(), i);
        end = std::max<uint64_t>(end, gguf_get_data_offset(header.get()) + gguf_get_tensor_offset(header.get(), i) + bytes);
        elements[type] += bytes / ggml_type_size(type) * static_cast<uint64_t>(ggml_blck_size(type));
    }
    if (end <= *size) return *size;
    throw EngineError(ErrorCode::ModelTruncated, path + " should hold " + std::to_string(end) + " bytes, but holds only " + std::to_string(*size) + ". Download the model again.");
}

llama_model_quantize_params parameters(const std::string& type) {
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = file_type_of(type);
    params.nthread = 1;
    params.max_buf_size = most_buffer_bytes;
    return params;
}

void run(const std::string& source, const std::string& target, const llama_model_quantize_params& params) {
    // Fills the tables that converting 16-bit numbers needs.
    static std::once_flag prepared;
    std::call_once(prepared, llama_backend_init);
    ErrorCapture errors;
    if (llama_model_quantize(os::openable(source).c_str(), target.c_str(), &params) == 0) return;
    const std::string& reasons = errors.text();
    // What every C++ library calls the failures of its streams.
    if (reasons.find("iostream") != std::string::npos) {
        throw EngineError(ErrorCode::Internal, target + " cannot be written (" + reasons + "). Check that its folder may be written, that the disk has room, and that its file system holds files of that size.");
    }
    const bool is_foreign = reasons.find("unknown model architecture") != std::string::npos;
    throw EngineError(is_foreign ? ErrorCode::ModelUnsupported : ErrorCode::Internal, "The weights of " + source + " cannot be quantised: " + reasons);
}

}  // namespace

WeightSummary summarise_weights(const std::string& path) {
    read_model_profile(path);
    WeightSummary summary;
    std::map<ggml_type, uint64_t> elements;
    for (const std::string& part : parts_of(path, open_header(path).get())) summary.file_bytes += measure_part(part, elements);
    uint64_t all = 0;
    uint64_t low = 0;
    for (const auto& [type, count] : elements) {
        all += count;
        if (!is_precise(type)) low += count;
    }
    if (all == 0) throw EngineError(ErrorCode::ModelInvalid, path + " holds no weights. Choose the file of a whole model.");
    summary.low_precision = static_cast<double>(low) > most_low_share * static_cast<double>(all);
    // A large embedding of Q8_0 does not make a model of Q4_K one of Q8_0.
    if (summary.low_precision) std::erase_if(elements, [](const auto& entry) { return is_precise(entry.first); });
    const auto most = std::max_element(elements.begin(), elements.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    summary.type = ggml_type_name(most->first);
    summary.type_share = static_cast<double>(most->second) / static_cast<double>(all);
    return summary;
}

uint64_t predict_quantised_bytes(const std::string& path, const std::string& type) {
    llama_model_quantize_params params = parameters(type);
    params.dry_run = true;
    const WeightSummary summary = summarise_weights(path);
    // The library says the size in a line of its log only: "quant size  =   120.41 MiB (4.89 BPW)".
    double mebibytes = 0;
    const auto sink = add_log_sink([&mebibytes](LogLevel, std::string_view line) {
        const size_t at = line.find("quant size");
        if (at == std::string_view::npos) return;
        const size_t value = line.find('=', at);
        if (value != std::string_view::npos) mebibytes = std::strtod(std::string(line.substr(value + 1)).c_str(), nullptr);
    });
    run(path, "", params);
    if (mebibytes <= 0) throw EngineError(ErrorCode::Internal, "The engine library did not say how large " + path + " would be as " + type + ".");
    return gguf_get_data_offset(open_header(path).get()) + static_cast<uint64_t>(mebibytes * (1 << 20));
}

void quantise(const QuantiseOptions& options) {
    llama_model_quantize_params params = parameters(options.type);
    const WeightSummary from = summarise_weights(options.source);
    if (from.low_precision && !options.from_low_precision) {
        throw EngineError(ErrorCode::ModelUnsupported, "The weights of " + options.source + " are " + from.type + " already, and re-quantising loses quality. Take the model as F16, BF16, F32 or Q8_0.");
    }
    params.nthread = std::max(1, options.threads);
    // The library counts Q8_0 among what must not be quantised again.
    params.allow_requantize = true;
    run(options.source, options.target, params);
}

}  // namespace nmos
