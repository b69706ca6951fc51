// Carries work from the core's threads to Node's main thread, in the order it was posted.
//
// The queue is a thread-safe function of N-API. It keeps Node alive only while operations are pending.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>

namespace nmos::binding {

class MainThread {
  public:
    using Task = std::function<void(Napi::Env)>;

    // Main thread.
    explicit MainThread(Napi::Env env);
    ~MainThread();
    MainThread(const MainThread&) = delete;
    MainThread& operator=(const MainThread&) = delete;

    // Any thread. While Node is shutting down the task is dropped.
    void post(Task task);

    // Main thread: Node stays alive from `begin_operation` to `end_operation`.
    void begin_operation();
    void end_operation();

  private:
    static void run(napi_env env, napi_value, void*, void* task);

    napi_env env_;
    napi_threadsafe_function queue_ = nullptr;
    size_t pending_ = 0;
};

}  // namespace nmos::binding
