// Carries work from the core's threads to Node's main thread, in the order it was posted.
//
// The queue is a thread-safe function of N-API. It keeps Node alive only while operations are pending. Node takes it
// back when the environment ends (the process, or a worker thread); whoever still posts then must not touch it again.
#pragma once

#include <napi.h>

#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace nmos::binding {

class MainThread {
  public:
    // What is done on the main thread, and freed there unless Node is shutting down.
    class Task {
      public:
        Task() = default;
        virtual ~Task() = default;
        Task(const Task&) = delete;
        Task& operator=(const Task&) = delete;

      private:
        friend MainThread;
        virtual void run(Napi::Env env) = 0;

        std::shared_ptr<Task> queued_;  // itself, from `post` to `run`
    };
    using Operation = std::list<std::shared_ptr<void>>::iterator;

    // Main thread.
    explicit MainThread(Napi::Env env);
    ~MainThread();
    MainThread(const MainThread&) = delete;
    MainThread& operator=(const MainThread&) = delete;

    // Any thread. While Node is shutting down the task is dropped. Needs no memory but what Node takes for its queue. A task is posted
    // once.
    void post_task(std::shared_ptr<Task> task) noexcept;
    // The same, with memory for a task that does `work`.
    template <typename Work> void post(Work work) { post_task(std::make_shared<WorkTask<Work>>(std::move(work))); }

    // Main thread: from `begin_operation` to `end_operation` Node stays alive, and so does `owner`, which is let go of on
    // the main thread in every case.
    Operation begin_operation(std::shared_ptr<void> owner);
    void end_operation(Operation operation);

  private:
    template <typename Work> class WorkTask final : public Task {
      public:
        explicit WorkTask(Work work) : work_(std::move(work)) {}

      private:
        void run(Napi::Env env) override { work_(env); }

        Work work_;
    };

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
