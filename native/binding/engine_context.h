// The core's engine together with what ties it to Node. Shared by the JavaScript objects made from it and freed with
// the last of them, on the main thread, or when Node ends; pending operations hold only a weak pointer, so that no
// owned thread can be the one that frees it.
#pragma once

#include <napi.h>

#include <memory>

#include "async.h"
#include "main_thread.h"
#include "runtime/engine.h"
#include "runtime/engine_error.h"

namespace nmos::binding {

class EngineContext {
  public:
    EngineContext(Napi::Env env, const std::string& library_directory, bool cpu_only, const Callback& on_log,
                  std::shared_ptr<MainThread> main);
    ~EngineContext();
    EngineContext(const EngineContext&) = delete;
    EngineContext& operator=(const EngineContext&) = delete;

    // Throws CLOSED.
    Engine& engine() const;
    const std::shared_ptr<MainThread>& main() const { return main_; }

    // Cancels everything and joins the threads; from then on `engine` throws.
    Napi::Value close(Napi::Env env);

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
};

}  // namespace nmos::binding
