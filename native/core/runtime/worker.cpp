#include "runtime/worker.h"

#include "platform/os.h"

namespace nmos {

Worker::Worker(const char* thread_name)
    : thread_([this, thread_name] {
          os::name_this_thread(thread_name);
          run();
      }) {}

Worker::~Worker() {
    finish();
}

bool Worker::post(std::function<void()> task) {
    {
        std::lock_guard lock(mutex_);
        if (ending_) return false;
        tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
    return true;
}

void Worker::finish() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void Worker::run() {
    for (;;) {
        std::function<void()> task;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            task = std::move(tasks_.front());
            tasks_.pop_front();
        }
        task();
    }
}

}  // namespace nmos
