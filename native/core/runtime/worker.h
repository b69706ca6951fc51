// One owned thread that runs tasks in the order they were given. Used for what takes a while and is no pass of a
// model: loading, planning, tokenizing.
//
// Any thread may post. Tasks must not throw. The destructor runs what was taken and joins.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace nmos {

class Worker {
  public:
    explicit Worker(const char* thread_name);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // False when the worker is ending: the task was not taken.
    bool post(std::function<void()> task);
    // Takes no more tasks, runs those already taken, joins. May be called twice.
    void finish();

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> tasks_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace nmos
