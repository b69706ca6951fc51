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

void Scheduler::take(Queue& taken, size_t& priority) {
    size_t most_urgent = priority_count;
    for (priority = 0; priority < priority_count; ++priority) {
        Queue& queue = queues_[priority];
        const auto cancelled = std::ranges::find_if(queue, [](const auto& job) { return job->cancelled(); });
        if (cancelled != queue.end()) return taken.splice(taken.end(), queue, cancelled);
        if (!queue.empty()) most_urgent = std::min(most_urgent, priority);
    }
    if (most_urgent == priority_count) return;
    priority = most_urgent;
    taken.splice(taken.end(), queues_[priority], queues_[priority].begin());
}

void Scheduler::run() {
    std::unique_lock lock(mutex_);
    for (Queue taken;;) {
        size_t priority = 0;
        take(taken, priority);
        if (!taken.empty()) {
            lock.unlock();
            if (taken.front()->step()) taken.clear();
            lock.lock();
            queues_[priority].splice(queues_[priority].end(), taken);
        } else if (ending_) {
            return;
        } else {
            wake_.wait(lock);
        }
    }
}

}  // namespace nmos
