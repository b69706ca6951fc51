#include "runtime/scheduler.h"

#include <functional>
#include <future>
#include <string>
#include <vector>

#include "check.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Steps = std::vector<std::string>;  // the names of the jobs in the order of their steps

class NamedJob final : public Job {
  public:
    NamedJob(Steps& log, std::string name, int steps, std::function<void(int)> on_step = nullptr)
        : log_(log), name_(std::move(name)), left_(steps), on_step_(std::move(on_step)) {}

    bool step() override {
        log_.push_back(name_);
        --left_;
        if (on_step_) on_step_(left_);
        return left_ == 0;
    }
    bool cancelled() const override { return cancelled_; }
    // On the scheduler's thread.
    void cancel() {
        cancelled_ = true;
        left_ = 1;
    }

  private:
    Steps& log_;
    std::string name_;
    int left_;
    std::function<void(int)> on_step_;
    bool cancelled_ = false;
};

struct Submitted {
    std::string name;
    Priority priority;
    int steps;
};

// Submits the jobs while the thread is busy with another, so that their order is decided by the scheduler alone.
void check(const std::vector<Submitted>& jobs, const Steps& expected, Location at = Location::here()) {
    Steps log;
    Steps unused;
    std::promise<void> open;
    {
        Scheduler scheduler;
        scheduler.submit(std::make_shared<NamedJob>(unused, "gate", 1, [&](int) { open.get_future().wait(); }), Priority::Suggest);
        for (const auto& [name, priority, steps] : jobs) scheduler.submit(std::make_shared<NamedJob>(log, name, steps), priority);
        open.set_value();
    }
    expect_equal(log, expected, at);
}

}  // namespace

TEST(scheduler, "runs the most urgent class first and lets equals take turns") {
    constexpr auto suggest = Priority::Suggest;
    constexpr auto chat = Priority::Chat;
    constexpr auto warm = Priority::Warm;
    check({{"w", warm, 2}, {"c", chat, 2}, {"s", suggest, 2}}, {"s", "s", "c", "c", "w", "w"});
    check({{"s", suggest, 1}, {"c", chat, 1}, {"w", warm, 1}}, {"s", "c", "w"});
    check({{"a", chat, 3}, {"b", chat, 2}}, {"a", "b", "a", "b", "a"});
    check({{"a", suggest, 1}, {"b", suggest, 2}, {"c", suggest, 1}}, {"a", "b", "c", "b"});
    check({{"w", warm, 1}, {"a", chat, 2}, {"b", chat, 1}}, {"a", "b", "a", "w"});
    check({}, {});
}

TEST(scheduler, "gives a more urgent job the next step of a long one") {
    for (const Priority slow : {Priority::Chat, Priority::Warm}) {
        Steps log;
        std::promise<void> done;
        Scheduler scheduler;
        const auto long_job = std::make_shared<NamedJob>(log, "long", 6, [&](int left) {
            if (left == 3) scheduler.submit(std::make_shared<NamedJob>(log, "ghost", 2), Priority::Suggest);
            if (left == 0) done.set_value();
        });
        scheduler.submit(long_job, slow);
        done.get_future().wait();
        expect_equal(log, Steps{"long", "long", "long", "ghost", "ghost", "long", "long", "long"});
    }
}

TEST(scheduler, "ends a cancelled job at once, however urgent the others are") {
    Steps log;
    std::promise<void> done;
    Scheduler scheduler;
    const auto warm = std::make_shared<NamedJob>(log, "warm", 100);
    scheduler.submit(std::make_shared<NamedJob>(log, "chat", 4, [&](int left) {
        if (left == 3) scheduler.submit(warm, Priority::Warm);
        if (left == 2) warm->cancel();
        if (left == 0) done.set_value();
    }), Priority::Chat);
    done.get_future().wait();
    expect_equal(log, Steps{"chat", "chat", "warm", "chat", "chat"});
}

TEST(scheduler, "runs what it took before it ends, and takes nothing more") {
    Steps log;
    Scheduler scheduler;
    scheduler.submit(std::make_shared<NamedJob>(log, "w", 3), Priority::Warm);
    scheduler.submit(std::make_shared<NamedJob>(log, "v", 1), Priority::Warm);
    scheduler.finish();
    expect_equal(log.size(), size_t{4});
    expect(!scheduler.submit(std::make_shared<NamedJob>(log, "late", 1), Priority::Suggest), "a job to be refused after the end");
    scheduler.finish();
    expect_equal(log.size(), size_t{4});
}

TEST(scheduler, "wakes up for a job that comes when it has nothing to do") {
    Scheduler scheduler;
    Steps log;
    for (int i = 0; i < 50; ++i) {
        std::promise<void> done;
        scheduler.submit(std::make_shared<NamedJob>(log, "job", 1, [&](int) { done.set_value(); }), Priority::Chat);
        done.get_future().wait();
    }
}

TEST(scheduler, "frees a job when it is done, and a job may submit another while it is freed") {
    class LastWish final : public Job {
      public:
        explicit LastWish(std::function<void()> wish) : wish_(std::move(wish)) {}
        ~LastWish() override { wish_(); }
        LastWish(const LastWish&) = delete;
        LastWish& operator=(const LastWish&) = delete;
        bool step() override { return true; }

      private:
        std::function<void()> wish_;
    };
    Steps log;
    Scheduler scheduler;
    std::promise<void> done;
    scheduler.submit(std::make_shared<LastWish>([&] {
        scheduler.submit(std::make_shared<NamedJob>(log, "next", 1, [&](int) { done.set_value(); }), Priority::Chat);
    }), Priority::Chat);
    done.get_future().wait();
    expect_equal(log, Steps{"next"});
}
