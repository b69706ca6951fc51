// The core's engine together with what ties it to Node. Shared by the JavaScript objects made from it and by pending
// operations, and freed with the last of them or when Node ends. That happens on the main thread: MainThread holds it
// for the operations, and the core's threads have at most a weak pointer.
#pragma once

#include <napi.h>

#include <memory>
#include <set>

#include "async.h"
#include "main_thread.h"
#include "runtime/engine.h"
#include "runtime/engine_error.h"

namespace nmos::binding {

class EngineContext;

// The engines of one Node environment. Main thread only.
class OpenEngines {
  public:
    void add(EngineContext* engine) { engines_.insert(engine); }
    void remove(EngineContext* engine) { engines_.erase(engine); }
    void close_all() const;

  private:
    std::set<EngineContext*> engines_;
};

class EngineContext : public std::enable_shared_from_this<EngineContext> {
  public:
    EngineContext(Napi::Env env, const std::string& library_directory, bool cpu_only, std::string cache_directory,
                  const std::vector<BackendPack>& packs, const std::vector<std::string>& left_out, const Callback& on_log,
                  std::shared_ptr<MainThread> main, std::shared_ptr<OpenEngines> siblings);
    ~EngineContext();
    EngineContext(const EngineContext&) = delete;
    EngineContext& operator=(const EngineContext&) = delete;

    // Throws CLOSED.
    Engine& engine() const;
    const std::shared_ptr<MainThread>& main() const { return main_; }

    // Cancels everything and joins the threads; from then on `engine` throws.
    Napi::Value close(Napi::Env env);
    // The same at once, which the end of Node must wait for.
    void close_now();

    // Settle with what `work` returns, done on one of the core's threads. Throw CLOSED.
    template <typename Result, typename Work> void on_loader(const Settler<Result>& settler, Work work) const {
        expect_taken(engine().on_loader([settler, work = std::move(work)] { settler.settle_with(work); }));
    }
    template <typename Result, typename Work> void on_desk(const Settler<Result>& settler, Work work) const {
        expect_taken(engine().on_desk([settler, work = std::move(work)] { settler.settle_with(work); }));
    }

  private:
    static void on_node_exit(void* self);
    static void expect_taken(bool taken);

    napi_env env_;
    std::shared_ptr<MainThread> main_;
    std::shared_ptr<void> log_sink_;
    bool closed_ = false;
    std::unique_ptr<Engine> engine_;
    Worker closer_;
    std::shared_ptr<OpenEngines> siblings_;
};

}  // namespace nmos::binding
