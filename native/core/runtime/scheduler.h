// Runs the passes of all models on one owned thread, the most urgent job first.
//
// A job is cut into steps of one batch or one token. After every step the queue is looked at anew, so a ghost-text
// request waits for at most one step of a chat answer, and a warming one never holds anybody up for longer. Jobs of
// one class take turns step by step. A cancelled job only has to end, so it never waits for others. One thread, because
// two passes at once would only share the same memory bus.
//
// Any thread may submit. A job is called on the compute thread only, and `step` must not throw.
#pragma once

#include <array>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

namespace nmos {

// Most urgent first.
enum class Priority { Suggest, Chat, Warm };
constexpr size_t priority_count = 3;

class Job {
  public:
    virtual ~Job() = default;
    // Does one step. True when the job is done; it is then forgotten.
    virtual bool step() = 0;
    // The next step only ends the job, so it is taken before all others. Must be quick: it is asked under a lock.
    virtual bool cancelled() const { return false; }
};

class Scheduler {
  public:
    Scheduler();
    // Runs the jobs already submitted to their end and joins: cancel them first.
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    // False when the scheduler is ending: the job was not taken. Nor was it when there is no memory for it, which throws.
    bool submit(std::shared_ptr<Job> job, Priority priority);
    void finish();

  private:
    // Jobs only change from one list to another, so that the compute thread needs no memory for them.
    using Queue = std::list<std::shared_ptr<Job>>;

    void run();
    // Moves a cancelled job, or else the most urgent one, into `taken`, which stays empty when there is none. `mutex_` is held.
    void take(Queue& taken, size_t& priority);

    std::mutex mutex_;
    std::condition_variable wake_;
    std::array<Queue, priority_count> queues_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace nmos
