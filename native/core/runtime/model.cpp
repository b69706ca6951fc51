#include "runtime/model.h"

#include <array>
#include <numeric>

#include "device/streaming_device.h"
#include "plan/granted_slots.h"
#include "plan/tensor_split.h"
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

// How the network of a layer is divided whose home is the mapped file; none for one that llama.cpp places, and for one of another
// card.
std::optional<NetworkCut> cut_of(const ModelProfile& model, const Placement& placement, uint32_t card, size_t layer) {
    // One that is on the card as a whole can leave it if it is gate, up and down.
    const uint32_t pieces = model.network_pieces[layer];
    const bool can_leave = pieces > 1 && !model.is_mixture[layer];
    if (!placement.units) {
        const bool leaves = placement.networks_can_leave && can_leave && placement.cards[card].has(layer);
        return leaves ? std::optional(NetworkCut{pieces, pieces}) : std::nullopt;
    }
    const LayerPlan& plan = placement.units->layers[layer];
    return plan.on_card && plan.card == card && (plan.network.in_ram() > 0 || can_leave) ? std::optional(plan.network) : std::nullopt;
}

// From which width on a layer below those of the cards is uploaded to one of them.
uint32_t stream_below_from_width(const Placement& placement, uint32_t card, size_t layer) {
    if (!placement.units) return never_streamed;
    const LayerPlan& plan = placement.units->layers[layer];
    return !plan.on_card && plan.card == card ? plan.stream_from_width : never_streamed;
}

// Tells llama.cpp which tensors belong into RAM. Lives as long as the loading.
class Overrides {
  public:
    // Those of the layers of one card.
    void add(const ModelProfile& model, const Placement& placement, uint32_t card, ggml_backend_buffer_type_t ram) {
        // As few patterns as may be: llama.cpp tries them all on every tensor.
        for (const bool mixture : {false, true}) {
            std::string layers;
            for (size_t i = 0; i < model.layers; ++i) {
                if (model.is_mixture[i] != mixture || !cut_of(model, placement, card, i)) continue;
                layers += (layers.empty() ? "" : "|") + std::to_string(i);
            }
            if (!layers.empty()) add("^blk\\.(" + layers + ")\\.ffn_(gate|up|gate_up|down)" + (mixture ? "_exps" : "") + "\\.weight$", ram);
        }
        std::string below;
        for (size_t i = 0; i < model.layers; ++i) {
            if (stream_below_from_width(placement, card, i) != never_streamed) below += (below.empty() ? "" : "|") + std::to_string(i);
        }
        if (!below.empty()) add("^blk\\.(" + below + ")\\.(attn_(q|k|v|qkv|output)|ffn_(gate|up|down))\\.weight$", ram);
    }
    // Of no tensor. Where there is any override, llama.cpp keeps no several copies of what goes from card to card, which takes
    // memory that no plan counts, for passes that are not waited for, of which there are none here.
    void add_none() { add("^$", ggml_backend_cpu_buffer_type()); }

    // Valid until something is added.
    const llama_model_tensor_buft_override* data() {
        list_.clear();
        for (const auto& [pattern, type] : patterns_) list_.push_back({pattern.c_str(), type});
        list_.push_back({nullptr, nullptr});
        return list_.data();
    }

  private:
    void add(std::string pattern, ggml_backend_buffer_type_t type) { patterns_.emplace_back(std::move(pattern), type); }

    std::vector<std::pair<std::string, ggml_backend_buffer_type_t>> patterns_;
    std::vector<llama_model_tensor_buft_override> list_;
};

// What llama.cpp loads onto, and how it divides the layers. Lives as long as the loading.
class Devices {
  public:
    // Throws BACKEND_UNAVAILABLE when a card is gone.
    explicit Devices(const Placement& placement) {
        std::vector<uint32_t> layers;
        for (const PlacedCard& card : placement.cards) {
            const ggml_backend_dev_t device = find_device(card.device);
            list_.push_back(placement.units || placement.networks_can_leave ? StreamingDevice::over(device).handle() : device);
            layers.push_back(card.layers);
        }
        list_.push_back(nullptr);
        if (layers.size() < 2) return;
        check(placement, layers.size());
        split_ = tensor_split(layers);
        split_.resize(llama_max_devices());
    }

    void tell(llama_model_params& params) {
        params.devices = list_.data();
        params.split_mode = split_.empty() ? LLAMA_SPLIT_MODE_NONE : LLAMA_SPLIT_MODE_LAYER;
        params.tensor_split = split_.empty() ? nullptr : split_.data();
        params.main_gpu = list_.size() > 1 ? 0 : -1;
    }

  private:
    // What llama.cpp cannot do, no plan asks for.
    static void check(const Placement& placement, size_t devices) {
        uint32_t next = placement.layers - placement.device_layers;
        for (const PlacedCard& card : placement.cards) {
            if (card.first_layer != next || card.layers == 0) break;
            next += card.layers;
        }
        if (next == placement.layers && placement.output_on_device && devices <= llama_max_devices()) return;
        throw EngineError(ErrorCode::Internal, "Expected the layers behind those of the processor to be on one card after the other, got another plan for " +
                                                   std::to_string(devices) + " cards.");
    }

    std::vector<ggml_backend_dev_t> list_;  // the last one is null
    std::vector<float> split_;              // none on one device
};

// Null where llama.cpp places all of the card's layers.
std::unique_ptr<HostWeights> make_host_weights(const ModelProfile& model, const Placement& placement, uint32_t card) {
    HostWeightsOptions options;
    options.memory = placement.copies_host_weights ? HostMemory::Pinned : HostMemory::Mapped;
    options.output_layer = placement.layers;
    for (uint32_t i = 0; i < model.layers; ++i) {
        if (const uint32_t width = stream_below_from_width(placement, card, i); width != never_streamed) {
            options.stream_from_width[{i, UnitGroup::Attention}] = options.stream_from_width[{i, UnitGroup::FeedForward}] = width;
        }
        const std::optional<NetworkCut> network = cut_of(model, placement, card, i);
        if (!network) continue;
        if (network->pieces > 1) (model.is_mixture[i] ? options.mixtures : options.networks)[i] = *network;
        else options.stream_from_width[{i, model.is_mixture[i] ? UnitGroup::Experts : UnitGroup::FeedForward}] = network->streamed > 0 ? 1 : network->stream_rest_from_width;
    }
    if (options.networks.empty() && options.mixtures.empty() && options.stream_from_width.empty()) return nullptr;
    return std::make_unique<HostWeights>(find_device(placement.cards[card].device), std::move(options));
}

StreamingDevice& device_of(const HostWeights& weights) {
    return StreamingDevice::over(weights.card());
}

}  // namespace

std::shared_ptr<Model> Model::load(const LoadOptions& options, const ModelProfile& profile, Placement placement) {
    const PassWatch::Disturbance disturbance;
    llama_model_params params = llama_model_default_params();
    Devices devices(placement);
    devices.tell(params);
    std::vector<CardWeights> host_weights;
    Overrides overrides;
    uint64_t settling = 0;
    for (uint32_t card = 0; card < placement.cards.size(); ++card) {
        std::unique_ptr<HostWeights> weights = make_host_weights(profile, placement, card);
        if (!weights) continue;
        overrides.add(profile, placement, card, weights->buffer_type());
        host_weights.push_back({card, std::move(weights)});
        for (size_t i = 0; i < profile.layers; ++i) settling += cut_of(profile, placement, card, i) ? profile.network_bytes[i] : 0;
    }
    if (placement.cards.size() > 1) overrides.add_none();
    params.tensor_buft_overrides = overrides.data();
    // Repacked weights are multiplied four tokens at a time, which rounds in another way than one token does.
    params.use_extra_bufts = !placement.exact_passes;
    params.n_gpu_layers = static_cast<int32_t>(placement.device_layers + (placement.output_on_device ? 1 : 0));
    LoadProgress progress{options, 1 - static_cast<float>(static_cast<double>(settling) / static_cast<double>(profile.weight_bytes()))};
    params.progress_callback = &LoadProgress::loaded;
    params.progress_callback_user_data = &progress;

    ErrorCapture errors;
    Handle handle(llama_model_load_from_file(os::openable(options.plan.path).c_str(), params));
    if (!handle) {
        if (options.cancellation && options.cancellation->cancelled()) return nullptr;
        const auto has = [&](const char* part) { return errors.text().find(part) != std::string::npos; };
        const bool memory = has("to allocate") || has("bad_alloc");
        throw EngineError(memory ? ErrorCode::OutOfMemory : ErrorCode::ModelUnsupported,
                          options.plan.path + " cannot be loaded: " + (errors.text().empty() ? "no reason was given" : errors.text()) +
                              (memory ? ". Lower the VRAM limit or choose a smaller model." : ". Choose a model this version of llama.cpp supports."));
    }
    std::shared_ptr<Model> model(new Model(std::move(handle), std::move(host_weights), profile, std::move(placement)));
    const auto cards = static_cast<float>(model->host_weights_.size());
    float settled = 0;
    for (const CardWeights& own : model->host_weights_) {
        if (!own.weights->settle([&](float fraction) { return progress.settled((settled + fraction) / cards); })) return nullptr;
        ++settled;
    }
    model->reserve_slots();
    model->check_guesses(options);
    return model;
}

void Model::check_guesses(const LoadOptions& options) {
    placement_.exact_passes = placement_.exact_passes && info_.takes_tokens_back && computes_exactly(handle_.get(), options.cancellation);
    if (!info_.takes_tokens_back) {
        placement_.explanation.push_back("No tokens are guessed: a memory like this model's cannot take back those that turn out to be wrong.");
        return;
    }
    if (!options.plan.exact_passes) return;
    placement_.explanation.push_back(placement_.exact_passes
                                         ? "Passes compute the same, bit for bit, however many tokens they take, so that guessed tokens change no answer."
                                         : "No tokens are guessed: passes over several tokens round in their own way here, and exactly the same answers are asked for.");
}

void Model::reserve_slots() {
    for (const auto& [card, weights] : host_weights_) {
        if (weights->largest_streamed() == 0) continue;
        const uint32_t planned = placement_.cards[card].slots;
        const uint32_t granted = device_of(*weights).reserve_slots(*weights, planned);
        if (granted > 0 && granted < planned) {
            grant_slots(profile_, placement_, card, granted);
            expect_predicted();
        }
        if (granted > 0) continue;
        throw EngineError(ErrorCode::OutOfMemory, placement_.cards[card].device + " has no room left for an upload slot of " +
                                                      std::to_string(weights->largest_streamed() >> 20) + " MiB. Lower the VRAM limit or close other programs.");
    }
}

Model::Model(Handle&& taken, std::vector<CardWeights>&& host_weights, const ModelProfile& profile, Placement placement)
    : profile_(profile), placement_(std::move(placement)), host_weights_(std::move(host_weights)), handle_(std::move(taken)) {
    const llama_model* const handle = handle_.get();
    const llama_vocab* vocab = llama_model_get_vocab(handle);
    vocabulary_.emplace(vocab);
    activity_.released.resize(placement_.cards.size());
    expect_predicted();
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
    info_.takes_tokens_back = !llama_model_is_recurrent(handle) && !llama_model_is_hybrid(handle);
    info_.metadata = read_metadata(handle);
}

void Model::expect_predicted() {
    for (const auto& [width, seconds] : placement_.predictions) speculation_.costs.predict(width, seconds);
}

Model::~Model() {
    free_weights();
}

uint64_t Model::release(uint64_t bytes, const std::string& device) {
    std::lock_guard moving(memory_mutex_);
    check_open();
    uint64_t released = 0;
    for (const auto& [card, weights] : host_weights_) {
        if (released >= bytes || (!device.empty() && device != placement_.cards[card].device)) continue;
        const uint64_t of_card = device_of(*weights).release(*weights, bytes - released);
        released += of_card;
        std::lock_guard lock(activity_mutex_);
        activity_.released[card] += of_card;
    }
    if (released > 0) weights_moved();
    return released;
}

uint64_t Model::prefetch(const CancellationPtr& cancellation, uint64_t most, const std::string& device) {
    const PassWatch::Disturbance disturbance;
    std::lock_guard moving(memory_mutex_);
    check_open();
    const auto go_on = [&] { return !closed_ && !(cancellation && cancellation->cancelled()); };
    const auto is_meant = [&](const CardWeights& own) { return device.empty() || device == placement_.cards[own.card].device; };
    uint64_t restored = 0;
    for (const CardWeights& own : host_weights_) {
        if (!is_meant(own)) continue;
        const uint64_t of_card = device_of(*own.weights).restore(*own.weights, go_on, most - restored);
        restored += of_card;
        std::lock_guard lock(activity_mutex_);
        activity_.released[own.card] -= of_card;
    }
    if (restored > 0) weights_moved();
    for (const CardWeights& own : host_weights_) {
        if (is_meant(own)) device_of(*own.weights).page_in(*own.weights, go_on);
        if (is_meant(own) && go_on()) device_of(*own.weights).fill_slots(*own.weights);
    }
    return restored;
}

void Model::weights_moved() {
    std::unique_lock lock(activity_mutex_);
    const bool any_released = activity_.released_bytes() > 0;
    lock.unlock();
    watch_.forget(any_released);
}

void Model::free_weights() {
    std::lock_guard moving(memory_mutex_);
    if (!handle_) return;
    for (const CardWeights& own : host_weights_) device_of(*own.weights).forget(*own.weights);
    handle_.reset();
    // Not the object itself, which others may be asking for counters.
    for (const CardWeights& own : host_weights_) own.weights->give_up();
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
    for (const CardWeights& own : host_weights_) own.weights->set_threadpool(pool);
}

double Model::count_pass(uint32_t tokens, double seconds) {
    const double predicted = seconds > 0 && !placement_.predictions.empty() ? predicted_seconds(placement_.predictions, tokens) : 0;
    std::lock_guard lock(activity_mutex_);
    ++activity_.passes;
    if (seconds <= 0) return predicted;
    activity_.last_tokens = tokens;
    activity_.last_seconds = seconds;
    activity_.last_predicted = predicted;
    return predicted;
}

ModelActivity Model::activity() const {
    std::unique_lock lock(activity_mutex_);
    ModelActivity activity = activity_;
    lock.unlock();
    activity.times_as_long = watch_.times_as_long();
    for (const CardWeights& own : host_weights_) {
        const UploadCounters of_card = device_of(*own.weights).counters();
        UploadCounters& all = activity.uploads;
        all.bytes += of_card.bytes;
        all.waited += of_card.waited;
        all.hits += of_card.hits;
        all.misses += of_card.misses;
        all.discarded += of_card.discarded;
        activity.expert_uses += own.weights->expert_uses();
        activity.expert_hits += own.weights->expert_hits();
    }
    return activity;
}

uint64_t ModelActivity::released_bytes() const {
    return std::accumulate(released.begin(), released.end(), uint64_t{0});
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
    // No answer is under way any more.
    speculation_.recent.forget();
    free_weights();
}

}  // namespace nmos
