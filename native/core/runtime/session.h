// One sequence of tokens over a model and its KV cache.
//
// Passes are computed by the compute thread only, for one job at a time: a job holds the session from `acquire` to
// `release`. Everything else may be called from any thread.
#pragma once

#include <llama.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "runtime/cancellation.h"
#include "runtime/model.h"
#include "runtime/snapshot.h"

namespace nmos {

struct SessionOptions {
    uint32_t context_length = 0;  // tokens
    uint32_t batch_size = 0;      // tokens of one prefill step; 0: as the placement suits
    std::shared_ptr<Model> drafts_for = nullptr;  // the model whose answers it guesses; null: none
};

// The threads that compute passes on the processor, kept between passes.
struct ComputeThreads {
    ggml_threadpool_t pool = nullptr;
    int32_t count = 0;
};

class Session {
  public:
    // Throws CONTEXT_TOO_LONG (longer than the model was trained for), OUT_OF_MEMORY, CLOSED, and INVALID_ARGUMENT where the
    // model cannot draft for the other one.
    static std::shared_ptr<Session> create(std::shared_ptr<Model> model, const SessionOptions& options, ComputeThreads threads);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    const Model& model() const { return *model_; }
    uint32_t context_length() const { return context_length_; }
    uint32_t batch_size() const { return batch_size_; }
    // Whether it was created to draft for the model.
    bool drafts_for(const Model& model) const { return drafts_for_.lock().get() == &model; }
    // The tokens whose KV is in the cache.
    std::vector<llama_token> cached_tokens() const;

    // Reserves the session for one job. Throws SESSION_BUSY or CLOSED.
    void acquire(CancellationPtr cancellation);
    void release();
    // Cancels the running job and takes no more.
    void cancel();
    // As `cancel`; then waits for the job and frees the KV cache. May be called twice; not from the compute thread.
    void close();

    // For the job that holds the session, on the compute thread:

    // Tokens that the cache and `text` have in common at their beginning.
    size_t common_prefix(std::span<const llama_token> text) const;
    // Cuts the cache back to its longest common prefix with `prompt` and returns its length. One token less than all
    // of the prompt when its logits are wanted, because those come out of a pass.
    size_t keep_common_prefix(std::span<const llama_token> prompt, bool want_logits);
    // Appends up to batch_size tokens to the cache and makes the logits behind the last `outputs` of them, at most
    // widest_verification. False when cancelled: the cache is as before. Throws INTERNAL, CONTEXT_TOO_LONG, OUT_OF_MEMORY.
    bool compute(std::span<const llama_token> tokens, size_t outputs);
    // (vocabulary) The `row`-th of the last `compute` that made any.
    const float* logits(size_t row = 0);
    // Has the logits of the token at a place of the text, counted from 0, changed before they are used: benchmarks and tests
    // write recorded answers so, with models whose weights say nothing. Is called again with what it has changed. While no job
    // holds the session.
    using LogitsEdit = std::function<void(size_t place, std::span<float> logits)>;
    void edit_logits(LogitsEdit edit) { edit_ = std::move(edit); }
    // Forgets what is in the cache behind the first `length` tokens.
    void keep(size_t length);
    // A copy of the cache; null when it is empty or the model's memory cannot be copied. Throws OUT_OF_MEMORY.
    SnapshotPtr save();
    // Makes the cache hold exactly what the snapshot does. Throws INVALID_ARGUMENT (of another model) and CONTEXT_TOO_LONG,
    // which leave the cache as it was, and INTERNAL, which leaves it empty.
    void restore(const Snapshot& snapshot);

  private:
    struct Free {
        void operator()(llama_context* context) const { llama_free(context); }
    };

    using Context = std::unique_ptr<llama_context, Free>;

    Session(std::shared_ptr<Model> model, Context context, ComputeThreads threads);
    static bool is_cancelled(void* session);
    void cut(size_t length);

    std::shared_ptr<Model> model_;
    std::weak_ptr<Model> drafts_for_;
    Context context_;
    uint32_t context_length_;
    uint32_t batch_size_;

    mutable std::mutex mutex_;
    std::condition_variable released_;
    std::vector<llama_token> cached_;  // guarded by mutex_, written by the compute thread only; has room for a whole context
    CancellationPtr running_;          // guarded by mutex_; null when no job holds the session
    bool closed_ = false;              // guarded by mutex_
    static inline std::atomic<uint64_t> passes_{0};   // of all sessions so far
    static inline std::atomic<uint64_t> awaited_{0};  // the number of the last one whose end was waited for
    uint64_t pass_ = 0;                            // the number of the last one among them; compute thread only
    double seconds_ = 0;                           // of the last pass whose logits were wanted; compute thread only
    bool alone_ = false;                           // no other session's pass may have been under way when it began; compute thread only
    uint32_t width_ = 0;                           // tokens of that pass, 0 when it was counted; compute thread only
    uint32_t outputs_wanted_ = 0;                  // of that pass; compute thread only
    int32_t first_output_ = 0;                     // position in that pass; compute thread only
    size_t first_place_ = 0;                       // that the first logits of that pass are for; compute thread only
    LogitsEdit edit_;
    const Cancellation* watched_ = nullptr;        // of the running pass; compute thread only

    std::vector<llama_pos> positions_;  // (batch)
    std::vector<int8_t> outputs_;       // (batch)
};

}  // namespace nmos
