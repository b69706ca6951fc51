#include "runtime/scheduler.h"

#include <algorithm>

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
    size_t most_urgent = priority_count;
    for (priority = 0; priority < priority_count; ++priority) {
        auto& queue = queues_[priority];
        const auto cancelled = std::ranges::find_if(queue, [](const auto& job) { return job->cancelled(); });
        if (cancelled != queue.end()) {
            std::shared_ptr<Job> job = std::move(*cancelled);
            queue.erase(cancelled);
            return job;
        }
        if (!queue.empty()) most_urgent = std::min(most_urgent, priority);
    }
    if (most_urgent == priority_count) return nullptr;
    priority = most_urgent;
    std::shared_ptr<Job> job = std::move(queues_[priority].front());
    queues_[priority].pop_front();
    return job;
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
