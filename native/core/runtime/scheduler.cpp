#include "runtime/scheduler.h"

#include "platform/os.h"

namespace nmos {

Scheduler::Scheduler()
    : thread_([this] {
          os::name_this_thread("nmos-compute");
          run();
      }) {}

Scheduler::~Scheduler() {
    finish();
}

bool Scheduler::submit(std::shared_ptr<Job> job, Priority priority) {
    {
        std::lock_guard lock(mutex_);
        if (ending_) return false;
        queues_[static_cast<size_t>(priority)].push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
}

void Scheduler::finish() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

std::shared_ptr<Job> Scheduler::take(size_t& priority) {
    for (priority = 0; priority < priority_count; ++priority) {
        auto& queue = queues_[priority];
        if (queue.empty()) continue;
        std::shared_ptr<Job> job = std::move(queue.front());
        queue.pop_front();
        return job;
    }
    return nullptr;
}

void Scheduler::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        size_t priority = 0;
        if (std::shared_ptr<Job> job = take(priority)) {
            lock.unlock();
            const bool done = job->step();
            if (done) job.reset();
            lock.lock();
            if (job) queues_[priority].push_back(std::move(job));
        } else if (ending_) {
            return;
        } else {
            wake_.wait(lock);
        }
    }
}

}  // namespace nmos
