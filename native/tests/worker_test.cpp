#include "runtime/worker.h"

#include <future>
#include <memory>
#include <numeric>
#include <vector>

#include "check.h"

using namespace nmos;
using namespace nmos::testing;

TEST(worker, "runs tasks in order on one thread of its own") {
    std::vector<int> order;
    std::vector<std::thread::id> threads;
    {
        Worker worker("test");
        for (int i = 0; i < 100; ++i) {
            worker.post([&, i] {
                order.push_back(i);
                threads.push_back(std::this_thread::get_id());
            });
        }
    }
    std::vector<int> expected(100);
    std::iota(expected.begin(), expected.end(), 0);
    expect_equal(order, expected);
    for (const auto& thread : threads) {
        expect(thread == threads.front(), "one thread");
        expect(thread != std::this_thread::get_id(), "another thread than the caller's");
    }
}

TEST(worker, "runs what it took before it ends, and takes nothing more") {
    Worker worker("test");
    std::promise<void> open;
    const std::shared_future<void> gate = open.get_future().share();
    int done = 0;
    expect(worker.post([&, gate] { gate.wait(); }), "the first task to be taken");
    expect(worker.post([&] { ++done; }), "the second task to be taken");
    std::thread ending([&] { worker.finish(); });
    // The refusal shows that `finish` has begun; the gate is still shut.
    while (worker.post([] {})) std::this_thread::yield();
    expect_equal(done, 0);
    open.set_value();
    ending.join();
    expect_equal(done, 1);
    expect(!worker.post([&] { ++done; }), "a task to be refused after the end");
    worker.finish();
    expect_equal(done, 1);
}

TEST(worker, "lets a task post another one") {
    std::promise<int> result;
    Worker worker("test");
    worker.post([&] { worker.post([&] { result.set_value(7); }); });
    expect_equal(result.get_future().get(), 7);
}

TEST(worker, "frees a task before the next one runs") {
    Worker worker("test");
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = held;
    std::promise<bool> freed;
    worker.post([held = std::move(held)] {});
    worker.post([&] { freed.set_value(watch.expired()); });
    expect(freed.get_future().get(), "what the first task held to be freed");
}
