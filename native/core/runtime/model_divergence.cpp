#include "runtime/model_divergence.h"

#include <llama.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "plan/model_profile.h"
#include "platform/os.h"
#include "runtime/engine_error.h"
#include "runtime/log.h"

namespace nmos {

namespace {

using ModelPtr = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using ContextPtr = std::unique_ptr<llama_context, decltype(&llama_free)>;

// The logarithms of a model's predictions behind every token of a text but the last.
struct Predictions {
    std::vector<llama_token> tokens;
    size_t vocabulary = 0;
    std::vector<float> log_probabilities;  // (token, vocabulary)
    bool finite = true;

    size_t count() const { return tokens.size() - 1; }
    const float* row(size_t token) const { return &log_probabilities[token * vocabulary]; }
    size_t favourite(size_t token) const { return static_cast<size_t>(std::max_element(row(token), row(token) + vocabulary) - row(token)); }
};

ModelPtr load(const std::string& path) {
    read_model_profile(path);
    ErrorCapture errors;
    llama_model_params params = llama_model_default_params();
    ggml_backend_dev_t no_cards[] = {nullptr};
    params.devices = no_cards;
    params.n_gpu_layers = 0;
    // Repacked weights would be copied into RAM.
    params.use_extra_bufts = false;
    ModelPtr model(llama_model_load_from_file(os::openable(path).c_str(), params), &llama_model_free);
    if (!model) throw EngineError(ErrorCode::ModelUnsupported, path + " cannot be loaded (" + errors.text() + ").");
    return model;
}

std::vector<llama_token> tokenize(const llama_model* model, const std::string& text) {
    const llama_vocab* const vocab = llama_model_get_vocab(model);
    std::vector<llama_token> tokens(text.size() + 8);
    const int32_t count = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(), static_cast<int32_t>(tokens.size()), true, false);
    if (count < 2) throw EngineError(ErrorCode::ModelUnsupported, "The model makes no tokens of text, so it cannot be checked.");
    tokens.resize(static_cast<size_t>(count));
    return tokens;
}

ContextPtr open_context(llama_model* model, uint32_t tokens, int32_t threads) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = params.n_outputs_max = tokens;
    params.n_seq_max = 1;
    params.n_threads = params.n_threads_batch = threads;
    params.no_perf = true;
    ContextPtr context(llama_init_from_model(model, params), &llama_free);
    if (!context) throw EngineError(ErrorCode::OutOfMemory, "There is not enough memory to check the model. Close other programs.");
    return context;
}

// ln of softmax, with the largest logit taken off first so that nothing overflows. False when a logit is not finite.
bool append_log_softmax(const float* logits, size_t count, std::vector<float>& out) {
    if (!std::all_of(logits, logits + count, [](float logit) { return std::isfinite(logit); })) return false;
    const double largest = *std::max_element(logits, logits + count);
    double sum = 0;
    for (size_t i = 0; i < count; ++i) sum += std::exp(logits[i] - largest);
    const double norm = largest + std::log(sum);
    for (size_t i = 0; i < count; ++i) out.push_back(static_cast<float>(logits[i] - norm));
    return true;
}

Predictions predict(const std::string& path, const std::string& text, int32_t threads) {
    const ModelPtr model = load(path);
    Predictions predictions;
    predictions.tokens = tokenize(model.get(), text);
    predictions.vocabulary = static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model.get())));
    const auto count = static_cast<uint32_t>(predictions.tokens.size());
    const ContextPtr context = open_context(model.get(), count, threads);
    std::vector<int8_t> wanted(count, 1);
    llama_batch batch = llama_batch_get_one(predictions.tokens.data(), static_cast<int32_t>(count));
    batch.logits = wanted.data();
    ErrorCapture errors;
    if (llama_decode(context.get(), batch) != 0) throw EngineError(ErrorCode::ModelUnsupported, path + " cannot be computed with (" + errors.text() + ").");
    predictions.log_probabilities.reserve(predictions.count() * predictions.vocabulary);
    for (size_t i = 0; predictions.finite && i < predictions.count(); ++i) {
        const float* const logits = llama_get_logits_ith(context.get(), static_cast<int32_t>(i));
        if (!logits) throw EngineError(ErrorCode::ModelUnsupported, path + " predicts no tokens, so it cannot be checked.");
        predictions.finite = append_log_softmax(logits, predictions.vocabulary, predictions.log_probabilities);
    }
    return predictions;
}

double surprise_of(const Predictions& judged) {
    double sum = 0;
    for (size_t i = 0; i < judged.count(); ++i) sum -= judged.row(i)[judged.tokens[i + 1]];
    return sum / static_cast<double>(judged.count());
}

// The sum of p ln(p / q) over the vocabulary, mean over the tokens.
double mean_kl_of(const Predictions& reference, const Predictions& judged) {
    double sum = 0;
    for (size_t i = 0; i < reference.count(); ++i) {
        const float* const p = reference.row(i);
        const float* const q = judged.row(i);
        for (size_t token = 0; token < reference.vocabulary; ++token) sum += std::exp(double{p[token]}) * (double{p[token]} - double{q[token]});
    }
    return std::max(0.0, sum / static_cast<double>(reference.count()));
}

double same_top_of(const Predictions& reference, const Predictions& judged) {
    size_t same = 0;
    for (size_t i = 0; i < reference.count(); ++i) same += reference.favourite(i) == judged.favourite(i);
    return static_cast<double>(same) / static_cast<double>(reference.count());
}

}  // namespace

Divergence compare_models(const std::string& judged_path, const std::optional<std::string>& reference_path, const std::string& text, int32_t threads) {
    constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
    const Predictions judged = predict(judged_path, text, threads);
    Divergence result;
    result.tokens = static_cast<uint32_t>(judged.count());
    result.surprise = judged.finite ? surprise_of(judged) : not_a_number;
    if (!reference_path) return result;
    const Predictions reference = predict(*reference_path, text, threads);
    if (reference.tokens != judged.tokens || reference.vocabulary != judged.vocabulary) {
        throw EngineError(ErrorCode::InvalidArgument, judged_path + " and " + *reference_path + " do not have the same vocabulary: they are files of different models.");
    }
    const bool finite = judged.finite && reference.finite;
    result.mean_kl = finite ? mean_kl_of(reference, judged) : not_a_number;
    result.same_top = finite ? same_top_of(reference, judged) : 0;
    return result;
}

}  // namespace nmos
