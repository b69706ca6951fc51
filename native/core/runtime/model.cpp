#include "runtime/model.h"

#include <array>

#include "device/streaming_device.h"
#include "platform/os.h"
#include "runtime/engine_error.h"
#include "runtime/exact_passes.h"
#include "runtime/log.h"
#include "runtime/session.h"

namespace nmos {

namespace {

// Metadata values longer than this are vocabularies and the like, which nobody reads.
constexpr size_t longest_metadata_value = 512;

using ReadText = std::function<int32_t(char*, size_t)>;

// llama.cpp's text getters return the full length and cut what does not fit.
std::string read_text(const ReadText& read) {
    std::string text(256, '\0');
    const int32_t length = read(text.data(), text.size());
    if (length < 0) return "";
    if (static_cast<size_t>(length) >= text.size()) {
        text.resize(static_cast<size_t>(length) + 1);
        read(text.data(), text.size());
    }
    text.resize(static_cast<size_t>(length));
    return text;
}

std::map<std::string, std::string> read_metadata(const llama_model* model) {
    std::map<std::string, std::string> metadata;
    for (int32_t i = 0; i < llama_model_meta_count(model); ++i) {
        std::string value = read_text([&](char* out, size_t size) { return llama_model_meta_val_str_by_index(model, i, out, size); });
        if (value.size() > longest_metadata_value) continue;
        metadata[read_text([&](char* out, size_t size) { return llama_model_meta_key_by_index(model, i, out, size); })] = std::move(value);
    }
    return metadata;
}

std::map<std::string, std::optional<std::string>> read_special_tokens(const llama_vocab* vocab) {
    const std::array<std::pair<const char*, llama_token>, 8> roles{{
        {"bos", llama_vocab_bos(vocab)},
        {"eos", llama_vocab_eos(vocab)},
        {"fimPrefix", llama_vocab_fim_pre(vocab)},
        {"fimSuffix", llama_vocab_fim_suf(vocab)},
        {"fimMiddle", llama_vocab_fim_mid(vocab)},
        {"fimRepository", llama_vocab_fim_rep(vocab)},
        {"fimSeparator", llama_vocab_fim_sep(vocab)},
        {"fimPad", llama_vocab_fim_pad(vocab)},
    }};
    std::map<std::string, std::optional<std::string>> tokens;
    for (const auto& [role, token] : roles) {
        tokens[role] = token == LLAMA_TOKEN_NULL ? std::nullopt : std::optional<std::string>(llama_vocab_get_text(vocab, token));
    }
    return tokens;
}

// Of what llama.cpp loads, and of what is given its place behind that.
struct LoadProgress {
    const LoadOptions& options;
    float llama_share;

    bool report(float fraction) const {
        if (options.on_progress) options.on_progress(fraction);
        return !options.cancellation || !options.cancellation->cancelled();
    }
    bool settled(float fraction) const { return report(llama_share + (1 - llama_share) * fraction); }
    static bool loaded(float fraction, void* self) {
        const LoadProgress& progress = *static_cast<LoadProgress*>(self);
        return progress.report(progress.llama_share * fraction);
    }
};

ggml_backend_dev_t find_device(const std::string& name) {
    const ggml_backend_dev_t device = ggml_backend_dev_by_name(name.c_str());
    if (!device) throw EngineError(ErrorCode::BackendUnavailable, "The device " + name + " of the plan is not there any more.");
    return device;
}

// Tells llama.cpp which tensors belong into RAM. Lives as long as the loading.
class Overrides {
  public:
    Overrides(const ModelProfile& model, const UnitPlan& plan, ggml_backend_buffer_type_t ram) {
        // As few patterns as may be: llama.cpp tries them all on every tensor.
        for (const bool mixture : {false, true}) {
            std::string layers;
            for (size_t i = 0; i < plan.layers.size(); ++i) {
                if (model.is_mixture[i] != mixture || !plan.layers[i].on_card || plan.layers[i].network.in_ram() == 0) continue;
                layers += (layers.empty() ? "" : "|") + std::to_string(i);
            }
            if (layers.empty()) continue;
            patterns_[count_] = "^blk\\.(" + layers + ")\\.ffn_(gate|up|gate_up|down)" + (mixture ? "_exps" : "") + "\\.weight$";
            list_[count_] = {patterns_[count_].c_str(), ram};
            ++count_;
        }
    }

    const llama_model_tensor_buft_override* data() const { return list_.data(); }

  private:
    size_t count_ = 0;
    std::array<std::string, 2> patterns_;
    std::array<llama_model_tensor_buft_override, 3> list_{};  // the last one is empty
};

std::unique_ptr<HostWeights> make_host_weights(const ModelProfile& model, const Placement& placement) {
    HostWeightsOptions options;
    options.memory = placement.copies_host_weights ? HostMemory::Pinned : HostMemory::Mapped;
    options.output_layer = placement.layers;
    const std::vector<LayerPlan>& layers = placement.units->layers;
    for (uint32_t i = 0; i < layers.size(); ++i) {
        const NetworkCut& network = layers[i].network;
        if (!layers[i].on_card || network.in_ram() == 0) continue;
        if (network.pieces > 1) options.networks[i] = network;
        else options.stream_from_width[{i, model.is_mixture[i] ? UnitGroup::Experts : UnitGroup::FeedForward}] = network.streamed > 0 ? 1 : network.stream_rest_from_width;
    }
    return std::make_unique<HostWeights>(find_device(placement.device), std::move(options));
}

}  // namespace

std::shared_ptr<Model> Model::load(const LoadOptions& options, const ModelProfile& profile, Placement placement) {
    const PassWatch::Disturbance disturbance;
    llama_model_params params = llama_model_default_params();
    std::array<ggml_backend_dev_t, 2> devices{};
    std::unique_ptr<HostWeights> host_weights;
    std::optional<Overrides> overrides;
    if (placement.units) {
        host_weights = make_host_weights(profile, placement);
        overrides.emplace(profile, *placement.units, host_weights->buffer_type());
        params.tensor_buft_overrides = overrides->data();
        devices[0] = StreamingDevice::over(host_weights->card()).handle();
    } else if (placement.device_layers > 0) {
        devices[0] = find_device(placement.device);
    }
    // Repacked weights are multiplied four tokens at a time, which rounds in another way than one token does.
    params.use_extra_bufts = !placement.exact_passes;
    params.devices = devices.data();
    params.split_mode = LLAMA_SPLIT_MODE_NONE;
    params.main_gpu = placement.device_layers > 0 ? 0 : -1;
    params.n_gpu_layers = static_cast<int32_t>(placement.device_layers + (placement.output_on_device ? 1 : 0));
    const double in_ram = static_cast<double>(placement.host_bytes) / static_cast<double>(profile.weight_bytes());
    LoadProgress progress{options, host_weights ? 1 - static_cast<float>(in_ram) : 1};
    params.progress_callback = &LoadProgress::loaded;
    params.progress_callback_user_data = &progress;

    ErrorCapture errors;
    llama_model* handle = llama_model_load_from_file(os::openable(options.plan.path).c_str(), params);
    if (!handle) {
        if (options.cancellation && options.cancellation->cancelled()) return nullptr;
        const auto has = [&](const char* part) { return errors.text().find(part) != std::string::npos; };
        const bool memory = has("to allocate") || has("bad_alloc");
        throw EngineError(memory ? ErrorCode::OutOfMemory : ErrorCode::ModelUnsupported,
                          options.plan.path + " cannot be loaded: " + (errors.text().empty() ? "no reason was given" : errors.text()) +
                              (memory ? ". Lower the VRAM limit or choose a smaller model." : ". Choose a model this version of llama.cpp supports."));
    }
    std::shared_ptr<Model> model(new Model(handle, std::move(host_weights), profile, std::move(placement)));
    if (model->host_weights_ && !model->host_weights_->settle([&](float fraction) { return progress.settled(fraction); })) return nullptr;
    model->reserve_slots();
    if (options.plan.exact_passes) model->check_exactness(options.cancellation);
    return model;
}

void Model::check_exactness(const CancellationPtr& cancellation) {
    placement_.exact_passes = placement_.exact_passes && computes_exactly(handle_.get(), cancellation);
    placement_.explanation.push_back(placement_.exact_passes
                                         ? "Passes compute the same, bit for bit, however many tokens they take, so that guessed tokens change no answer."
                                         : "No tokens are guessed: passes over several tokens round in their own way here, and exactly the same answers are asked for.");
}

void Model::reserve_slots() {
    if (!host_weights_ || host_weights_->largest_streamed() == 0) return;
    if (StreamingDevice::over(host_weights_->card()).reserve_slots(*host_weights_, placement_.units->slots)) return;
    throw EngineError(ErrorCode::OutOfMemory, "The card has no room left for an upload slot of " +
                                                  std::to_string(host_weights_->largest_streamed() >> 20) + " MiB. Lower the VRAM limit or close other programs.");
}

Model::Model(llama_model* handle, std::unique_ptr<HostWeights> host_weights, const ModelProfile& profile, Placement placement)
    : profile_(profile), placement_(std::move(placement)), host_weights_(std::move(host_weights)), handle_(handle) {
    const llama_vocab* vocab = llama_model_get_vocab(handle);
    vocabulary_.emplace(vocab);
    if (placement_.units) {
        for (const auto& [width, seconds] : placement_.units->predictions) speculation_.costs.predict(width, seconds);
    }
    info_.path = profile_.path;
    info_.description = read_text([&](char* out, size_t size) { return llama_model_desc(handle, out, size); });
    info_.architecture = profile_.architecture;
    info_.size_bytes = llama_model_size(handle);
    info_.parameters = llama_model_n_params(handle);
    info_.layers = static_cast<uint32_t>(llama_model_n_layer(handle));
    info_.vocabulary_size = static_cast<uint32_t>(vocabulary_->size());
    info_.trained_context = static_cast<uint32_t>(llama_model_n_ctx_train(handle));
    if (const char* source = llama_model_chat_template(handle, nullptr)) info_.chat_template = source;
    info_.special_tokens = read_special_tokens(vocab);
    info_.adds_bos = llama_vocab_get_add_bos(vocab);
    info_.metadata = read_metadata(handle);
}

Model::~Model() {
    free_weights();
}

uint64_t Model::release(uint64_t bytes) {
    std::lock_guard moving(memory_mutex_);
    check_open();
    if (!host_weights_) return 0;
    const uint64_t released = StreamingDevice::over(host_weights_->card()).release(*host_weights_, bytes);
    if (released > 0) watch_.forget();
    std::lock_guard lock(activity_mutex_);
    activity_.released += released;
    return released;
}

uint64_t Model::prefetch(const CancellationPtr& cancellation, uint64_t most) {
    const PassWatch::Disturbance disturbance;
    std::lock_guard moving(memory_mutex_);
    check_open();
    if (!host_weights_) return 0;
    const auto go_on = [&] { return !closed_ && !(cancellation && cancellation->cancelled()); };
    StreamingDevice& device = StreamingDevice::over(host_weights_->card());
    const uint64_t restored = device.restore(*host_weights_, go_on, most);
    {
        std::lock_guard lock(activity_mutex_);
        activity_.released -= restored;
    }
    if (restored > 0) watch_.forget();
    host_weights_->page_in(go_on);
    if (go_on()) device.fill_slots(*host_weights_);
    return restored;
}

void Model::free_weights() {
    std::lock_guard moving(memory_mutex_);
    if (!handle_) return;
    if (host_weights_) StreamingDevice::over(host_weights_->card()).forget(*host_weights_);
    handle_.reset();
    // Not the object itself, which others may be asking for counters.
    if (host_weights_) host_weights_->give_up();
}

void Model::check_open() const {
    if (closed_) throw EngineError(ErrorCode::Closed, "The model " + info_.path + " was closed; load it again.");
}

const Vocabulary& Model::vocabulary() const {
    check_open();
    return *vocabulary_;
}

llama_model* Model::handle() const {
    check_open();
    return handle_.get();
}

void Model::use_threadpool(ggml_threadpool_t pool) {
    if (host_weights_) host_weights_->set_threadpool(pool);
}

void Model::count_pass(uint32_t tokens, double seconds) {
    std::lock_guard lock(activity_mutex_);
    ++activity_.passes;
    if (seconds <= 0) return;
    activity_.last_tokens = tokens;
    activity_.last_seconds = seconds;
    activity_.last_predicted = placement_.units ? predicted_seconds(*placement_.units, tokens) : 0;
}

ModelActivity Model::activity() const {
    std::unique_lock lock(activity_mutex_);
    ModelActivity activity = activity_;
    lock.unlock();
    activity.times_as_long = watch_.times_as_long();
    if (host_weights_) activity.uploads = StreamingDevice::over(host_weights_->card()).counters();
    return activity;
}

void Model::add_session(const std::shared_ptr<Session>& session) {
    std::lock_guard lock(sessions_mutex_);
    check_open();
    std::erase_if(sessions_, [](const auto& weak) { return weak.expired(); });
    sessions_.push_back(session);
}

void Model::close() {
    std::vector<std::weak_ptr<Session>> sessions;
    {
        std::lock_guard lock(sessions_mutex_);
        closed_ = true;
        sessions.swap(sessions_);
    }
    // All are cancelled before any is waited for.
    for (const auto& weak : sessions) {
        if (const auto session = weak.lock()) session->cancel();
    }
    for (const auto& weak : sessions) {
        if (const auto session = weak.lock()) session->close();
    }
    free_weights();
}

}  // namespace nmos
