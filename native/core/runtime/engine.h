// The core's front door: backends, memory, loading, and the threads that do the work.
//
// Owns a compute thread (passes), a loading thread (model files) and a desk thread (plans, tokenizing, sessions), so
// that tokenizing a prompt never waits for a pass or a load. Any thread may call; results come by callback on one of
// the owned threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "runtime/backends.h"
#include "runtime/generation.h"
#include "runtime/model.h"
#include "runtime/profile_cache.h"
#include "runtime/scheduler.h"
#include "runtime/session.h"
#include "runtime/snapshot_job.h"
#include "runtime/worker.h"

namespace nmos {

class Engine {
  public:
    // `cache_directory` is a folder for what takes long to find out about this machine; empty: it is found out anew. `packs`
    // are backends beside those of `library_directory`, `left_out` names some of those that are not to be loaded. Throws
    // BACKEND_UNAVAILABLE.
    Engine(const std::string& library_directory, bool cpu_only, std::string cache_directory = "", const std::vector<BackendPack>& packs = {},
           const std::vector<std::string>& left_out = {});
    // As `close`.
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Where a model would go. Throws MODEL_*, OUT_OF_MEMORY. Reads the file's header: not on a thread that must not wait.
    Placement plan(const PlanOptions& options) const;
    // As `plan`, with the predicted time of passes wherever the layers lie. Finds out how fast card and processor are where
    // that was not done, which takes some seconds. On the loading thread.
    Placement forecast(const PlanOptions& options);
    // Plans and loads. Null when cancelled. On the loading thread.
    std::shared_ptr<Model> load(const LoadOptions& options);
    // As the model's; closing the engine cancels it, too. On the loading thread.
    uint64_t prefetch(Model& model, CancellationPtr cancellation, uint64_t most = UINT64_MAX, const std::string& device = "");
    // `threads` 0: the physical cores. On the desk.
    std::shared_ptr<Session> create_session(std::shared_ptr<Model> model, const SessionOptions& options, int32_t threads);
    // Queues a generation. Throws what Generation throws, and CLOSED.
    void submit(std::shared_ptr<Session> session, GenerationRequest request, Generation::OnText on_text, Generation::OnDone on_done);

    // Queues copying the session's KV cache: to RAM, or back when there is a snapshot to restore. Throws what SnapshotJob
    // throws, and CLOSED.
    void copy_cache(std::shared_ptr<Session> session, SnapshotPtr to_restore, Priority priority, SnapshotJob::OnDone on_done);

    // Run a task on one of the owned threads; false when the engine is closing. Tasks must not throw.
    bool on_loader(std::function<void()> task) { return loader_.post(std::move(task)); }
    bool on_desk(std::function<void()> task) { return desk_.post(std::move(task)); }

    // Cancels everything, frees models and sessions, joins the threads. May be called twice; not from an owned thread.
    void close();

  private:
    struct Measurement {
        MeasuredDevice device;
        bool provisional = false;  // something else computed meanwhile: forgotten with the next load
    };

    ComputeThreads compute_threads(int32_t count);
    // By the card's name, bytes that it has not refused while a model was placed; next to none of one that is not to be used.
    using Refusals = std::map<std::string, uint64_t>;

    // Plans anew, with less graphics memory each time, when a card refuses what it said was free, and without those of several
    // cards that fail. As `Model::load`.
    std::shared_ptr<Model> load_smaller_until_it_fits(const LoadOptions& options, const ModelProfile& profile, Placement placement);
    // Plans, and once more when the model is larger than a card and the speed of cards was not known.
    Placement plan_measured(const PlanOptions& options, const ModelProfile& profile, const Refusals& refusals = {});
    // Finds out how fast the device is with weights of these types; false when it cannot be measured.
    bool measure(const std::string& device, int32_t threads, std::span<const TypeShare> types);
    // None when it was not measured.
    std::optional<DeviceProfile> profile_of(const std::string& device, int32_t threads, std::span<const TypeShare> types) const;
    PlacementRequest placement_request(const PlanOptions& options, const ModelProfile& profile, const Refusals& refusals = {}) const;
    // Gives the compute thread a job that holds the session. Throws CLOSED, and what there is no memory for; the session is free then.
    void run(std::shared_ptr<Job> job, Session& session, Priority priority);
    // Remembers it for `cancel_running`. Throws CLOSED.
    void watch(const CancellationPtr& cancellation);
    void cancel_running();
    std::vector<std::shared_ptr<Model>> open_models() const;
    // Null when there is none.
    std::shared_ptr<Model> any_open_model() const;
    uint64_t passes_computed() const;

    bool cpu_only_;
    ProfileCache profile_cache_;
    mutable std::mutex mutex_;
    bool closing_ = false;
    std::vector<std::weak_ptr<Model>> models_;
    std::vector<std::weak_ptr<Cancellation>> running_;
    std::map<int32_t, ggml_threadpool_t> pools_;  // by number of threads
    std::map<std::string, Measurement> measurements_;  // by speed_key
    Scheduler scheduler_;
    Worker loader_;
    Worker desk_;
};

}  // namespace nmos
