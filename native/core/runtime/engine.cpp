#include "runtime/engine.h"

#include <algorithm>
#include <exception>

#include "device/offload_width.h"
#include "plan/model_outline.h"
#include "platform/os.h"
#include "runtime/card_answers.h"
#include "runtime/engine_error.h"
#include "runtime/log.h"
#include "runtime/measure_device.h"
#include "runtime/quantised_attention.h"
#include "runtime/speed_key.h"

namespace nmos {

namespace {

constexpr int32_t most_threads = 512;

// Tokens.
constexpr uint32_t widest_pass = 512;

// Bytes of a card that has refused memory; with less it is left to the other cards, or to the processor alone.
constexpr uint64_t least_of_use = 32 << 20;

// Those of several cards that a model could not be placed on because they fail. None where all of them do: what happened is
// said then, and an engine that is started anew may find them well.
std::vector<std::string> failed_of_several(const std::vector<PlacedCard>& cards) {
    std::vector<std::string> failed;
    if (cards.size() < 2) return failed;
    for (const PlacedCard& card : cards) {
        if (!card_answers(card.device)) failed.push_back(card.device);
    }
    return failed.size() < cards.size() ? failed : std::vector<std::string>();
}

int32_t checked_threads(int32_t threads) {
    if (threads < 0 || threads > most_threads) {
        throw EngineError(ErrorCode::InvalidArgument, "Expected threads from 0 (automatic) to " + std::to_string(most_threads) + ", got " +
                                                          std::to_string(threads) + ".");
    }
    return threads > 0 ? threads : static_cast<int32_t>(os::physical_cores());
}

}  // namespace

Engine::Engine(const std::string& library_directory, bool cpu_only, std::string cache_directory, const std::vector<BackendPack>& packs,
               const std::vector<std::string>& left_out)
    : cpu_only_(cpu_only), profile_cache_(std::move(cache_directory)), loader_("nmos-loader"), desk_("nmos-desk") {
    take_over_library_log();
    load_backends(library_directory, cpu_only, packs, left_out);
}

Engine::~Engine() {
    close();
}

PlacementRequest Engine::placement_request(const PlanOptions& options, const ModelProfile& profile, const Refusals& refusals) const {
    if (options.context_length == 0) throw EngineError(ErrorCode::InvalidArgument, "Expected contextLength of at least 1, got 0.");
    if (profile.trained_context > 0 && options.context_length > profile.trained_context) {
        throw EngineError(ErrorCode::ContextTooLong, "Expected a context of at most " + std::to_string(profile.trained_context) +
                                                         " tokens, which the model was trained for, got " + std::to_string(options.context_length) + ".");
    }
    PlacementRequest request;
    request.context_length = options.context_length;
    request.batch_size = widest_pass;
    request.use_gpu = options.use_gpu && !cpu_only_;
    request.vram_limit = options.vram_limit;
    request.vram_reserved = options.vram_reserved;
    request.kv_type = options.kv_type;
    request.exact_passes = options.exact_passes;
    const os::Memory memory = os::memory();
    request.ram_total = memory.total;
    request.ram_available = memory.available;
    if (!request.use_gpu) return request;
    const std::vector<TypeShare> types = main_types(profile);
    for (const Device& device : list_devices()) {
        if (device.kind != DeviceKind::Cpu) {
            CardMemory card{device.name, device.description, device.memory_free, device.kind == DeviceKind::Integrated, std::nullopt};
            if (const auto used = options.vram_used.find(device.name); used != options.vram_used.end()) card.used = used->second;
            if (const auto refused = refusals.find(device.name); refused != refusals.end()) card.most = refused->second;
            if (card.most < least_of_use) continue;
            if (const auto granted = options.vram_granted.find(device.name); granted != options.vram_granted.end()) card.most = std::min(card.most, granted->second);
            card.reads_quantised_kv = reads_quantised_kv(ggml_backend_dev_by_name(device.name.c_str()), profile);
            card.profile = profile_of(device.name, checked_threads(options.threads), types);
            request.cards.push_back(std::move(card));
        }
    }
    return request;
}

Placement Engine::plan(const PlanOptions& options) const {
    const ModelProfile profile = read_model_profile(options.path);
    return plan_placement(profile, placement_request(options, profile));
}

Placement Engine::plan_measured(const PlanOptions& options, const ModelProfile& profile, const Refusals& refusals) {
    const PlacementRequest request = placement_request(options, profile, refusals);
    Placement placement = plan_placement(profile, request);
    const std::vector<TypeShare> types = main_types(profile);
    bool learnt = false;
    for (const std::string& card : cards_to_measure(profile, request, placement)) {
        if (measure(card, checked_threads(options.threads), types)) learnt = true;
    }
    return learnt ? plan_placement(profile, placement_request(options, profile, refusals)) : placement;
}

Placement Engine::forecast(const PlanOptions& options) {
    const ModelProfile profile = read_model_or_outline(options.path);
    Placement placement = plan_measured(options, profile);
    if (!placement.predictions.empty()) return placement;
    const int32_t threads = checked_threads(options.threads);
    const std::vector<TypeShare> types = main_types(profile);
    std::optional<DeviceProfile> device = profile_of(placement.device, threads, types);
    if (!device && measure(placement.device, threads, types)) device = profile_of(placement.device, threads, types);
    if (!device) return placement;
    const UnitPlan layers = whole_layers(profile, placement.device_layers);
    for (const uint32_t width : predicted_widths(widest_pass)) placement.predictions.push_back({width, predict_pass(profile, *device, layers, width)});
    return placement;
}

std::optional<DeviceProfile> Engine::profile_of(const std::string& device, int32_t threads, std::span<const TypeShare> types) const {
    const ggml_backend_dev_t card = ggml_backend_dev_by_name(device.c_str());
    if (!card) return std::nullopt;
    const std::string machine = speed_key(card, threads, card_state(card));
    DeviceProfile profile;
    {
        std::lock_guard lock(mutex_);
        const auto known = measurements_.find(machine);
        if (known == measurements_.end() || !known->second.device.covers(types)) return std::nullopt;
        profile = known->second.device.profile_for(types);
    }
    profile.offload_from_width = offload_width(card, widest_pass);
    return profile;
}

std::shared_ptr<Model> Engine::load(const LoadOptions& options) {
    const ModelProfile profile = read_model_profile(options.plan.path);
    {
        std::lock_guard lock(mutex_);
        running_.push_back(options.cancellation);
        if (closing_) return nullptr;
        std::erase_if(measurements_, [](const auto& one) { return one.second.provisional; });
    }
    Placement placement = plan_measured(options.plan, profile);
    const bool is_exact = placement.exact_passes;
    std::shared_ptr<Model> model = load_smaller_until_it_fits(options, profile, std::move(placement));
    if (model && is_exact && !model->placement().exact_passes) {
        // The price of exact passes would be paid for nothing.
        model->close();
        PlanOptions plan = options.plan;
        plan.exact_passes = false;
        model = load_smaller_until_it_fits(options, profile, plan_measured(plan, profile));
    }
    if (!model) return nullptr;
    std::lock_guard lock(mutex_);
    std::erase_if(models_, [](const auto& weak) { return weak.expired(); });
    models_.push_back(model);
    return model;
}

uint64_t Engine::prefetch(Model& model, CancellationPtr cancellation, uint64_t most, const std::string& device) {
    {
        std::lock_guard lock(mutex_);
        running_.push_back(cancellation);
        if (closing_) cancellation->cancel();
    }
    return model.prefetch(cancellation, most, device);
}

// Free memory is only what nobody else takes in the meantime, and a driver may refuse what it said was free.
std::shared_ptr<Model> Engine::load_smaller_until_it_fits(const LoadOptions& options, const ModelProfile& profile, Placement placement) {
    Refusals refusals;
    for (;;) {
        const std::vector<PlacedCard> cards = placement.cards;
        try {
            return Model::load(options, profile, std::move(placement));
        } catch (const std::exception& error) {
            // Drivers throw what they like.
            const auto* const known = dynamic_cast<const EngineError*>(&error);
            const std::vector<std::string> failed = failed_of_several(cards);
            if (!failed.empty()) {
                for (const std::string& card : failed) {
                    log(LogLevel::Warn, card + " does not answer, so the model is placed without it: " + error.what());
                    refusals[card] = 0;
                }
            } else if (known && known->code() == ErrorCode::OutOfMemory && !cards.empty()) {
                log(LogLevel::Warn, std::string(error.what()) + " A smaller part of the model is tried.");
                // Which of several cards it was cannot be told from every error.
                for (const PlacedCard& card : cards) refusals[card.device] = card.bytes - card.bytes / 4;
            } else {
                throw;
            }
        }
        placement = plan_measured(options.plan, profile, refusals);
    }
}

bool Engine::measure(const std::string& device, int32_t threads, std::span<const TypeShare> types) {
    const ggml_backend_dev_t card = ggml_backend_dev_by_name(device.c_str());
    if (!card) return false;
    const CardState state = card_state(card);
    const std::string machine = speed_key(card, threads, state);
    const std::string file = cache_name(device, state);
    MeasuredDevice known;
    {
        std::lock_guard lock(mutex_);
        if (const auto before = measurements_.find(machine); before != measurements_.end() && !before->second.provisional) known = before->second.device;
    }
    if (known.types.empty()) known = profile_cache_.find(file, machine).value_or(MeasuredDevice{});
    const auto remember = [&](bool provisional) {
        std::lock_guard lock(mutex_);
        measurements_[machine] = {std::move(known), provisional};
        return true;
    };
    if (known.covers(types)) return remember(false);
    // Not the threads that compute passes, which may be at work.
    ggml_threadpool_params params = ggml_threadpool_params_default(threads);
    const std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool_t)> pool(cpu_functions().threadpool_new(&params), cpu_functions().threadpool_free);
    try {
        const uint64_t before = passes_computed();
        measure_device(known, card, {pool.get(), threads}, widest_pass, types);
        // What was measured beside a pass, or while the charger was pulled out, is good enough for the time being only.
        const bool provisional = passes_computed() != before || speed_key(card, threads, card_state(card)) != machine;
        const bool is_processor = ggml_backend_dev_type(card) == GGML_BACKEND_DEVICE_TYPE_CPU;
        if (!provisional && !is_processor) profile_cache_.keep(file, machine, known);
        return remember(provisional);
    } catch (const std::exception& error) {
        // Drivers throw what they like; what is placed without that card's speed works, too.
        log(LogLevel::Warn, device + " is not measured: " + error.what());
        return false;
    }
}

std::shared_ptr<Session> Engine::create_session(std::shared_ptr<Model> model, const SessionOptions& options, int32_t threads) {
    if (options.context_length == 0) throw EngineError(ErrorCode::InvalidArgument, "Expected contextLength of at least 1, got 0.");
    return Session::create(std::move(model), options, compute_threads(checked_threads(threads)));
}

ComputeThreads Engine::compute_threads(int32_t count) {
    std::lock_guard lock(mutex_);
    ggml_threadpool_t& pool = pools_[count];
    if (!pool) {
        ggml_threadpool_params params = ggml_threadpool_params_default(count);
        pool = cpu_functions().threadpool_new(&params);
        if (!pool) throw EngineError(ErrorCode::OutOfMemory, "The system refuses " + std::to_string(count) + " threads; lower the setting.");
    }
    return {pool, count};
}

void Engine::submit(std::shared_ptr<Session> session, GenerationRequest request, Generation::OnText on_text, Generation::OnDone on_done) {
    if (!request.cancellation) request.cancellation = std::make_shared<Cancellation>();
    watch(request.cancellation);
    const Priority priority = request.priority;
    run(std::make_shared<Generation>(session, std::move(request), std::move(on_text), std::move(on_done)), *session, priority);
}

void Engine::copy_cache(std::shared_ptr<Session> session, SnapshotPtr to_restore, Priority priority, SnapshotJob::OnDone on_done) {
    const auto cancellation = std::make_shared<Cancellation>();
    watch(cancellation);
    run(std::make_shared<SnapshotJob>(session, std::move(to_restore), cancellation, std::move(on_done)), *session, priority);
}

void Engine::run(std::shared_ptr<Job> job, Session& session, Priority priority) {
    try {
        if (scheduler_.submit(std::move(job), priority)) return;
        throw EngineError(ErrorCode::Closed, "The engine was closed.");
    } catch (...) {
        session.release();
        throw;
    }
}

void Engine::watch(const CancellationPtr& cancellation) {
    std::lock_guard lock(mutex_);
    if (closing_) throw EngineError(ErrorCode::Closed, "The engine was closed.");
    std::erase_if(running_, [](const auto& weak) { return weak.expired(); });
    running_.push_back(cancellation);
}

uint64_t Engine::passes_computed() const {
    uint64_t passes = 0;
    for (const auto& model : open_models()) passes += model->activity().passes;
    return passes;
}

std::vector<std::shared_ptr<Model>> Engine::open_models() const {
    std::vector<std::shared_ptr<Model>> open;
    std::lock_guard lock(mutex_);
    for (const auto& weak : models_) {
        if (auto model = weak.lock(); model && !model->closed()) open.push_back(std::move(model));
    }
    return open;
}

std::shared_ptr<Model> Engine::any_open_model() const {
    std::lock_guard lock(mutex_);
    for (const auto& weak : models_) {
        if (auto model = weak.lock(); model && !model->closed()) return model;
    }
    return nullptr;
}

void Engine::cancel_running() {
    std::lock_guard lock(mutex_);
    closing_ = true;
    for (const auto& weak : running_) {
        if (const auto cancellation = weak.lock()) cancellation->cancel();
    }
}

void Engine::close() {
    cancel_running();
    loader_.finish();
    desk_.finish();
    scheduler_.finish();
    // One by one: a list of them all would need memory.
    while (const auto model = any_open_model()) model->close();
    std::lock_guard lock(mutex_);
    for (const auto& [count, pool] : pools_) cpu_functions().threadpool_free(pool);
    pools_.clear();
}

}  // namespace nmos
