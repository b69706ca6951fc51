#include "runtime/session.h"

#include <algorithm>
#include <ranges>

#include "platform/os.h"
#include "runtime/engine_error.h"
#include "runtime/log.h"

namespace nmos {

namespace {

// A step must be short, because ghost text waits for the end of a step of a chat prompt, and wide enough to keep the
// device busy. A processor is compute-bound from a few tokens on (two cores gain nothing beyond 64), a card wants more.
constexpr uint32_t host_batch_size = 64;
constexpr uint32_t device_batch_size = 512;

// Where passes are predicted, the narrowest one that is nearly as fast per token as the best one.
uint32_t batch_size_of(const std::vector<PassPrediction>& predictions) {
    constexpr double nearly = 1.1;
    const auto seconds_per_token = [](const PassPrediction& pass) { return pass.seconds / pass.width; };
    const double best = std::ranges::min(predictions | std::views::transform(seconds_per_token));
    return std::ranges::find_if(predictions, [&](const PassPrediction& pass) { return seconds_per_token(pass) <= nearly * best; })->width;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

uint32_t default_batch_size(const Placement& placement) {
    const bool is_whole = placement.device_layers == placement.layers && !placement.units;
    if (is_whole) return device_batch_size;
    const bool is_predicted = placement.device_layers > 0 && !placement.predictions.empty();
    return is_predicted ? std::max(host_batch_size, batch_size_of(placement.predictions)) : host_batch_size;
}

void check_draft(const Model& draft, const Model& main) {
    const auto refuse = [&](const std::string& why) {
        throw EngineError(ErrorCode::InvalidArgument, "Expected a draft model that goes with " + main.info().description + ", got " + draft.info().description +
                                                          ": " + why + ". Choose a smaller model of the same family.");
    };
    if (&draft == &main) refuse("it is the same model");
    if (!draft.info().takes_tokens_back) refuse("it cannot take tokens back that turn out to be wrong");
    if (const std::string difference = main.vocabulary().difference_to(draft.vocabulary()); !difference.empty()) refuse("their vocabularies differ, " + difference);
}

// Of a pass, or of the memory for passes. A card that failed once, such as one that was lost while the machine slept, fails for
// as long as this process lives: its backend makes no second device.
EngineError failure(const Model& model, const std::string& what, const std::string& why) {
    const Placement& placement = model.placement();
    if (placement.device_layers == 0) return {ErrorCode::Internal, what + " failed: " + why};
    return {ErrorCode::DeviceFailed, what + " failed on " + card_names(placement) + ": " + why +
                                         ". The card may have been lost while the machine slept, or its driver has ended. The engine starts anew with the next request."};
}

std::string text_of(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
        return error.what();
    }
}

// By the words of the drivers' libraries.
bool tells_of_lost_device(const std::string& text) {
    return text.find("DeviceLost") != std::string::npos || text.find("DEVICE_LOST") != std::string::npos;
}

}  // namespace

std::shared_ptr<Session> Session::create(std::shared_ptr<Model> model, const SessionOptions& options, ComputeThreads threads) {
    const uint32_t trained = model->info().trained_context;
    if (trained > 0 && options.context_length > trained) {
        throw EngineError(ErrorCode::ContextTooLong, "Expected a context of at most " + std::to_string(trained) +
                                                         " tokens, which the model was trained for, got " + std::to_string(options.context_length) + ".");
    }
    if (options.drafts_for) check_draft(*model, *options.drafts_for);
    const uint32_t batch = options.batch_size > 0 ? options.batch_size : default_batch_size(model->placement());
    llama_context_params params = llama_context_default_params();
    params.n_ctx = options.context_length;
    params.n_batch = std::min(batch, options.context_length);
    params.n_ubatch = params.n_batch;
    params.n_seq_max = 1;
    params.n_outputs_max = widest_verification;
    params.n_threads = threads.count;
    params.n_threads_batch = threads.count;
    params.no_perf = true;
    if (model->placement().kv_type == KvType::Q8_0) {
        params.type_k = params.type_v = GGML_TYPE_Q8_0;
        // Only those kernels read quantised values.
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    }
    const uint64_t needed = model->profile().with_kv(model->placement().kv_type).kv_bytes(options.context_length);
    const uint64_t available = os::memory().available;
    if (model->placement().device_layers == 0 && needed > available) {
        throw EngineError(ErrorCode::OutOfMemory, "A context of " + std::to_string(options.context_length) + " tokens needs " +
                                                      std::to_string(needed >> 20) + " MiB, but only " + std::to_string(available >> 20) +
                                                      " MiB are available. Choose a shorter context or close other programs.");
    }
    ErrorCapture errors;
    Context context(llama_init_from_model(model->handle(), params));
    if (!context && tells_of_lost_device(errors.text())) throw failure(*model, "Making room for a context", errors.text());
    if (!context) {
        throw EngineError(ErrorCode::OutOfMemory, "There is no room for a context of " + std::to_string(options.context_length) +
                                                      " tokens: " + errors.text() + ". Choose a shorter context.");
    }
    std::shared_ptr<Session> session(new Session(model, std::move(context), threads));
    session->drafts_for_ = options.drafts_for;
    model->add_session(session);
    return session;
}

Session::Session(std::shared_ptr<Model> model, Context context, ComputeThreads threads)
    : model_(std::move(model)), context_(std::move(context)), context_length_(llama_n_ctx(context_.get())), batch_size_(llama_n_batch(context_.get())) {
    llama_attach_threadpool(context_.get(), threads.pool, nullptr);
    model_->use_threadpool(threads.pool);
    llama_set_abort_callback(context_.get(), &Session::is_cancelled, this);
    positions_.resize(batch_size_);
    outputs_.resize(batch_size_);
    // What a pass has put into the KV cache could not be listed here if there were no memory for it then.
    cached_.reserve(context_length_);
}

Session::~Session() = default;

bool Session::is_cancelled(void* session) {
    const Cancellation* watched = static_cast<Session*>(session)->watched_;
    return watched && watched->cancelled();
}

std::vector<llama_token> Session::cached_tokens() const {
    std::lock_guard lock(mutex_);
    return cached_;
}

void Session::acquire(CancellationPtr cancellation) {
    std::lock_guard lock(mutex_);
    if (closed_) throw EngineError(ErrorCode::Closed, "The session was closed; create another one.");
    if (running_) throw EngineError(ErrorCode::SessionBusy, "The session computes another request; wait for it, cancel it, or use another session.");
    running_ = std::move(cancellation);
}

void Session::release() {
    {
        std::lock_guard lock(mutex_);
        running_.reset();
    }
    released_.notify_all();
}

void Session::cancel() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    if (running_) running_->cancel();
}

void Session::close() {
    cancel();
    std::unique_lock lock(mutex_);
    released_.wait(lock, [this] { return !running_; });
    context_.reset();
    cached_.clear();
}

void Session::cut(size_t length) {
    const llama_memory_t memory = llama_get_memory(context_.get());
    // A recurrent memory keeps no earlier states, so it can only start again.
    const bool done = llama_memory_seq_rm(memory, 0, static_cast<llama_pos>(length), -1);
    if (!done) llama_memory_clear(memory, false);
    std::lock_guard lock(mutex_);
    cached_.resize(done ? std::min(length, cached_.size()) : 0);
}

size_t Session::common_prefix(std::span<const llama_token> text) const {
    const auto [differs, unused] = std::mismatch(text.begin(), text.end(), cached_.begin(), cached_.end());
    return static_cast<size_t>(differs - text.begin());
}

size_t Session::keep_common_prefix(std::span<const llama_token> prompt, bool want_logits) {
    size_t common = common_prefix(prompt);
    if (want_logits && common == prompt.size()) --common;
    if (common < cached_.size()) cut(common);
    return cached_.size();
}

void Session::keep(size_t length) {
    if (length < cached_.size()) cut(length);
}

SnapshotPtr Session::save() {
    if (cached_.empty()) return nullptr;
    const size_t size = llama_state_seq_get_size(context_.get(), 0);
    if (size == 0) return nullptr;
    try {
        const auto snapshot = std::make_shared<Snapshot>(Snapshot{model_, cached_, std::vector<uint8_t>(size)});
        const bool copied = llama_state_seq_get_data(context_.get(), snapshot->kv.data(), size, 0) == size;
        return copied ? snapshot : nullptr;
    } catch (const std::bad_alloc&) {
        throw EngineError(ErrorCode::OutOfMemory, "A copy of the KV cache needs " + std::to_string(size >> 20) + " MiB, which the system refuses.");
    }
}

void Session::restore(const Snapshot& snapshot) {
    if (snapshot.model.lock() != model_) {
        throw EngineError(ErrorCode::InvalidArgument, "Expected a snapshot of the session's own model, got one of another model.");
    }
    if (snapshot.tokens.size() > context_length_) {
        throw EngineError(ErrorCode::ContextTooLong, "The snapshot has " + std::to_string(snapshot.tokens.size()) + " tokens, but the context holds " +
                                                         std::to_string(context_length_) + ".");
    }
    cut(0);
    ErrorCapture errors;
    if (llama_state_seq_set_data(context_.get(), snapshot.kv.data(), snapshot.kv.size(), 0) == 0) {
        cut(0);
        throw EngineError(ErrorCode::Internal, "The KV cache could not be restored: " + errors.text());
    }
    std::lock_guard lock(mutex_);
    cached_ = snapshot.tokens;
}

const float* Session::logits(size_t row) {
    const auto begin = std::chrono::steady_clock::now();
    float* logits = nullptr;
    try {
        // Waits for the card.
        logits = llama_get_logits_ith(context_.get(), first_output_ + static_cast<int32_t>(row));
    } catch (const std::exception& error) {
        throw failure(*model_, "Waiting for a pass", error.what());
    }
    if (width_ > 0) {
        seconds_ += seconds_since(begin);
        // While others computed a card went on with the pass, or with theirs before it, and nobody knows for how long.
        const bool is_timed = (alone_ && pass_ == passes_) || model_->placement().device_layers == 0;
        awaited_ = pass_;
        const double predicted = model_->count_pass(width_, is_timed ? seconds_ : 0);
        // The last part of a prompt has logits for one of its tokens only, and is cheaper for it.
        if (is_timed && width_ == outputs_wanted_ && width_ <= widest_verification) {
            model_->speculation().costs.observe(width_, seconds_);
            model_->watch().observe(width_, seconds_, predicted);
        }
    }
    width_ = 0;
    if (edit_) edit_(first_place_ + row, {logits, model_->vocabulary().size()});
    return logits;
}

bool Session::compute(std::span<const llama_token> tokens, size_t outputs) {
    const size_t before = cached_.size();
    const auto count = static_cast<int32_t>(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
        positions_[i] = static_cast<llama_pos>(before + i);
        outputs_[i] = i + outputs >= tokens.size();
    }
    llama_batch batch{};
    batch.n_tokens = count;
    batch.token = const_cast<llama_token*>(tokens.data());  // read only, but the struct is C
    batch.pos = positions_.data();
    batch.logits = outputs_.data();

    watched_ = running_.get();
    const auto begin = std::chrono::steady_clock::now();
    ErrorCapture errors;
    alone_ = awaited_ == passes_ || pass_ == passes_;
    pass_ = ++passes_;
    constexpr int32_t thrown = -100;
    constexpr int32_t allocation_failed = -2;
    int32_t status = thrown;
    std::exception_ptr failed;
    try {
        status = llama_decode(context_.get(), batch);
    } catch (const std::bad_alloc&) {
        status = allocation_failed;
    } catch (const std::exception&) {
        failed = std::current_exception();
    }
    watched_ = nullptr;
    if (status == 0) {
        width_ = outputs > 0 ? static_cast<uint32_t>(count) : 0;
        outputs_wanted_ = static_cast<uint32_t>(outputs);
        seconds_ = seconds_since(begin);
        first_output_ = count - static_cast<int32_t>(outputs);
        first_place_ = before + tokens.size() - outputs + 1;
        if (outputs == 0) model_->count_pass(static_cast<uint32_t>(count), 0);
        std::lock_guard lock(mutex_);
        cached_.insert(cached_.end(), tokens.begin(), tokens.end());
        return true;
    }
    cut(before);
    constexpr int32_t no_slot = 1;
    constexpr int32_t aborted = 2;
    constexpr int32_t refused = -1;
    if (status == aborted) return false;
    if (status == no_slot) {
        throw EngineError(ErrorCode::ContextTooLong, "The context of " + std::to_string(context_length_) + " tokens is full.");
    }
    const std::string what = "The pass over " + std::to_string(count) + " tokens";
    std::string why = failed ? text_of(failed) : "";
    if (!errors.text().empty()) why += (why.empty() ? "" : "; ") + errors.text();
    if (status == allocation_failed && !tells_of_lost_device(why)) throw EngineError(ErrorCode::OutOfMemory, what + " found no memory" + (why.empty() ? "" : ": " + why) + ". Close other programs.");
    if (status == refused) throw EngineError(ErrorCode::Internal, what + " was refused: " + why);
    throw failure(*model_, what, why.empty() ? "status " + std::to_string(status) : why);
}

}  // namespace nmos
