#include "streamed_model.h"

#include <array>

#include "check.h"
#include "runtime/log.h"
#include "small_model.h"

namespace nmos::testing {

namespace {

constexpr uint32_t layers = 30;

std::string pattern_of(const UnitId& id) {
    const std::string block = "^blk\\." + std::to_string(id.layer) + "\\.";
    return id.group == UnitGroup::FeedForward ? block + "ffn_(gate|up|down)\\.weight" : block + "attn_(q|k|v|output)\\.weight";
}

}  // namespace

StreamedModel::StreamedModel(StreamingDevice& device, const Streaming& streaming)
    : device_(device), model_(nullptr, &llama_model_free), context_(nullptr, &llama_free) {
    weights_ = std::make_unique<HostWeights>(device.card(), HostWeightsOptions{streaming.memory, layers, streaming.stream_from_width, streaming.networks});
    std::vector<std::string> patterns;
    for (const auto& [id, width] : streaming.stream_from_width) patterns.push_back(pattern_of(id));
    for (const auto& [layer, cut] : streaming.networks) patterns.push_back(pattern_of({layer, UnitGroup::FeedForward}));
    std::vector<llama_model_tensor_buft_override> overrides;
    for (const std::string& pattern : patterns) overrides.push_back({pattern.c_str(), weights_->buffer_type()});
    overrides.push_back({nullptr, nullptr});

    std::array<ggml_backend_dev_t, 2> devices{device.handle(), nullptr};
    llama_model_params params = llama_model_default_params();
    params.devices = devices.data();
    params.split_mode = LLAMA_SPLIT_MODE_NONE;
    params.main_gpu = 0;
    params.n_gpu_layers = layers + 1;
    params.tensor_buft_overrides = overrides.data();
    ErrorCapture errors;
    model_.reset(llama_model_load_from_file(small_model_path().c_str(), params));
    expect(model_ != nullptr, "the model to load: " + errors.text());
    expect(weights_->settle([](float) { return true; }), "the weights to settle");
    if (weights_->largest_streamed() > 0) expect(device.reserve_slots(*weights_, streaming.slots), "upload slots");

    llama_context_params context = llama_context_default_params();
    context.n_ctx = 256;
    context.n_batch = context.n_ubatch = 64;
    context.n_seq_max = 1;
    context.n_threads = context.n_threads_batch = 1;
    context_.reset(llama_init_from_model(model_.get(), context));
    expect(context_ != nullptr, "a context: " + errors.text());
    llama_set_abort_callback(context_.get(), &is_cancelled, this);
}

StreamedModel::~StreamedModel() {
    context_.reset();
    device_.forget(*weights_);
    model_.reset();
}

bool StreamedModel::is_cancelled(void* self) {
    StreamedModel& model = *static_cast<StreamedModel*>(self);
    if (model.between_units_) model.between_units_();
    int& left = model.cancel_after_;
    return left > 0 && --left == 0;
}

std::vector<float> StreamedModel::compute(const std::vector<llama_token>& tokens) {
    std::vector<llama_token> input = tokens;
    const int32_t status = llama_decode(context_.get(), llama_batch_get_one(input.data(), static_cast<int32_t>(input.size())));
    constexpr int32_t aborted = 2;
    if (status == aborted) {
        llama_memory_seq_rm(llama_get_memory(context_.get()), 0, length_, -1);
        return {};
    }
    expect_equal(status, 0);
    length_ += static_cast<llama_pos>(tokens.size());
    const float* logits = llama_get_logits_ith(context_.get(), -1);
    return {logits, logits + llama_vocab_n_tokens(llama_model_get_vocab(model_.get()))};
}

void StreamedModel::clear() {
    llama_memory_clear(llama_get_memory(context_.get()), true);
    length_ = 0;
}

}  // namespace nmos::testing
