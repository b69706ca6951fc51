// Carries work from the core's threads to Node's main thread, in the order it was posted.
//
// The queue is a thread-safe function of N-API. It keeps Node alive only while operations are pending. Node takes it
// back when the environment ends (the process, or a worker thread); whoever still posts then must not touch it again.
#pragma once

#include <napi.h>

#include <functional>
#include <list>
#include <memory>
#include <mutex>

namespace nmos::binding {

class MainThread {
  public:
    using Task = std::function<void(Napi::Env)>;
    using Operation = std::list<std::shared_ptr<void>>::iterator;

    // Main thread.
    explicit MainThread(Napi::Env env);
    ~MainThread();
    MainThread(const MainThread&) = delete;
    MainThread& operator=(const MainThread&) = delete;

    // Any thread. While Node is shutting down the task is dropped.
    void post(Task task);

    // Main thread: from `begin_operation` to `end_operation` Node stays alive, and so does `owner`, which is let go of on
    // the main thread in every case.
    Operation begin_operation(std::shared_ptr<void> owner);
    void end_operation(Operation operation);

  private:
    // Outlives the MainThread, because Node says only later that it has taken the function back.
    struct Queue {
        std::mutex mutex;
        napi_threadsafe_function function = nullptr;  // guarded by `mutex`; null when Node has taken it back
        std::list<std::shared_ptr<void>> owners;      // of pending operations; main thread only
    };

    static void run(napi_env env, napi_value, void*, void* task);
    static void on_taken_back(napi_env, void* queue, void*);

    napi_env env_;
    std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
};

}  // namespace nmos::binding
