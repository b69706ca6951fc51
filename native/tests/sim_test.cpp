#include "sim_device.h"

#include <ggml-cpp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "check.h"
#include "runtime/backends.h"
#include "runtime/log.h"
#include "sim_clock.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;
using sim::Mode;
using sim::SimDevice;

namespace {

SimDevice& card(Mode mode) {
    take_over_library_log();
    load_backends(library_directory(), true);
    return SimDevice::create(*sim::find_card_profile("gtx1650-4gb"), mode);
}

// y = 2x on one queue, while another one writes x anew. `ordered`: with an event between them.
class Race {
  public:
    explicit Race(SimDevice& card) : card_(card), compute_(ggml_backend_dev_init(card.handle(), nullptr)), copy_(ggml_backend_dev_init(card.handle(), nullptr)) {
        context_.reset(ggml_init({8 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true}));
        x_ = ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, 4);
        y_ = ggml_scale(context_.get(), x_, 2.0f);
        graph_ = ggml_new_graph(context_.get());
        ggml_build_forward_expand(graph_, y_);
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_dev_buffer_type(card.handle())));
        host_.reset(ggml_backend_buft_alloc_buffer(ggml_backend_dev_host_buffer_type(card.handle()), sizeof(float) * 4));
        uploaded_.reset(ggml_backend_event_new(card.handle()));
    }

    float run(uint64_t seed, bool ordered) {
        card_.set_seed(seed);
        const std::array<float, 4> before{1, 1, 1, 1};
        ggml_backend_tensor_set(x_, before.data(), 0, sizeof before);
        auto* const values = static_cast<float*>(ggml_backend_buffer_get_base(host_.get()));
        std::fill(values, values + 4, 10.0f);
        ggml_backend_tensor_set_async(copy_.get(), x_, values, 0, sizeof(float) * 4);
        if (ordered) {
            ggml_backend_event_record(uploaded_.get(), copy_.get());
            ggml_backend_event_wait(compute_.get(), uploaded_.get());
        }
        ggml_backend_graph_compute(compute_.get(), graph_);
        ggml_backend_synchronize(copy_.get());
        float result = 0;
        ggml_backend_tensor_get(y_, &result, 0, sizeof result);
        return result;
    }

  private:
    SimDevice& card_;
    ggml_backend_ptr compute_;
    ggml_backend_ptr copy_;
    ggml_context_ptr context_;
    ggml_backend_buffer_ptr buffer_;
    ggml_backend_buffer_ptr host_;
    ggml_backend_event_ptr uploaded_;
    ggml_tensor* x_ = nullptr;
    ggml_tensor* y_ = nullptr;
    ggml_cgraph* graph_ = nullptr;
};

// A multiplication with a matrix of 64 MiB on a timed card.
class Work {
  public:
    explicit Work(SimDevice& card) : queue_(ggml_backend_dev_init(card.handle(), nullptr)) {
        context_.reset(ggml_init({8 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true}));
        matrix_ = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, 4096, 4096);
        ggml_tensor* const vector = ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, 4096);
        graph_ = ggml_new_graph(context_.get());
        ggml_build_forward_expand(graph_, ggml_mul_mat(context_.get(), matrix_, vector));
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_dev_buffer_type(card.handle())));
        host_.reset(ggml_backend_buft_alloc_buffer(ggml_backend_dev_host_buffer_type(card.handle()), ggml_nbytes(matrix_)));
    }

    void compute() const { ggml_backend_graph_compute_async(queue_.get(), graph_); }
    void upload() const { ggml_backend_tensor_set_async(queue_.get(), matrix_, ggml_backend_buffer_get_base(host_.get()), 0, ggml_nbytes(matrix_)); }
    void upload_pageable() const {
        const std::vector<char> pageable(ggml_nbytes(matrix_));
        ggml_backend_tensor_set_async(queue_.get(), matrix_, pageable.data(), 0, pageable.size());
    }
    void synchronize() const { ggml_backend_synchronize(queue_.get()); }
    // What it is given next waits for what the other one was given.
    void wait_for(const Work& other) const {
        const ggml_backend_event_ptr given(ggml_backend_event_new(ggml_backend_get_device(queue_.get())));
        ggml_backend_event_record(given.get(), other.queue_.get());
        ggml_backend_event_wait(queue_.get(), given.get());
    }
    double bytes() const { return static_cast<double>(ggml_nbytes(matrix_)); }

  private:
    ggml_backend_ptr queue_;
    ggml_context_ptr context_;
    ggml_backend_buffer_ptr buffer_;
    ggml_backend_buffer_ptr host_;
    ggml_tensor* matrix_ = nullptr;
    ggml_cgraph* graph_ = nullptr;
};

// Seconds that waits of 0.2 ms end too late, the usual one of many. `wait` ends at a moment.
double usual_delay(const std::function<void(double)>& wait) {
    std::vector<double> delays(201);
    for (double& delay : delays) {
        const double moment = sim::now() + 200e-6;
        wait(moment);
        delay = sim::now() - moment;
        expect(delay >= 0, "no wait to end before its moment, got one " + show(-delay * 1e6) + " µs too early");
    }
    std::ranges::nth_element(delays, delays.begin() + 100);
    return delays[100];
}

}  // namespace

TEST(sim, "shows a missing wait between two queues, and no other difference") {
    Race race(card(Mode::Exact));
    int wrong = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        expect_equal(race.run(seed, true), 20.0f);
        const float raced = race.run(seed, false);
        expect(raced == 20.0f || raced == 2.0f, "the value before or after the copy, got " + show(raced));
        wrong += raced == 2.0f;
        expect_equal(race.run(seed, false), raced);
    }
    expect(wrong > 0 && wrong < 20, "some of 20 orders to show the race, got " + show(wrong));
}

TEST(sim, "waits end nearer to their moment than those of ordinary threads") {
    const auto sleep = [](double moment) { std::this_thread::sleep_for(std::chrono::duration<double>(moment - sim::now())); };
    double ordinary = 0;
    std::thread([&] {
#if defined(__linux__)
        // As the system has it: a thread begins with what the one has that makes it.
        prctl(PR_SET_TIMERSLACK, 50'000UL);
#endif
        ordinary = usual_delay(sleep);
    }).join();
    const double simulated = usual_delay(sim::sleep_until);
#if defined(__linux__)
    expect(simulated < ordinary / 2, "half of the usual " + show(ordinary * 1e6) + " µs at most, got " + show(simulated * 1e6));
#else
    // Elsewhere there is nothing to compare: a sleep of Windows ends with a tick of its clock, whoever asks.
    (void)simulated;
#endif
}

TEST(sim, "takes the time of its card, and lets nobody see a result before") {
    SimDevice& sim = card(Mode::Timed);
    const Work work(sim);
    const double begin = sim::now();
    work.compute();
    work.compute();
    work.synchronize();
    const double computing = sim.traffic().computing_seconds;
    expect(computing >= 2 * work.bytes() / sim.profile().vram_bandwidth, "at least the time to read the matrix twice, got " + show(computing));
    expect(computing <= 2.1 * work.bytes() / sim.profile().vram_bandwidth, "hardly more than the time to read the matrix twice, got " + show(computing));
    expect(sim::now() - begin >= computing, "the waiting to last as long as the work");
}

TEST(sim, "rows that are read from a large tensor or written into one take the time of the rows") {
    SimDevice& sim = card(Mode::Timed);
    const ggml_backend_ptr queue(ggml_backend_dev_init(sim.handle(), nullptr));
    const ggml_context_ptr context(ggml_init({8 * ggml_tensor_overhead() + 2 * ggml_graph_overhead(), nullptr, true}));
    ggml_tensor* const large = ggml_new_tensor_2d(context.get(), GGML_TYPE_F16, 1024, 8192);
    ggml_tensor* const row = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, 1024, 1);
    ggml_tensor* const read = ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, 1);
    ggml_tensor* const written = ggml_new_tensor_1d(context.get(), GGML_TYPE_I64, 1);
    const std::array nodes{ggml_set_rows(context.get(), large, row, written), ggml_get_rows(context.get(), large, read)};
    const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors_from_buft(context.get(), ggml_backend_dev_buffer_type(sim.handle())));
    for (ggml_tensor* const node : nodes) {
        ggml_cgraph* const graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, node);
        const double before = sim.traffic().computing_seconds;
        ggml_backend_graph_compute_async(queue.get(), graph);
        const double rows = static_cast<double>(ggml_nbytes(row)) * 2 / sim.profile().vram_bandwidth;
        const double seconds = sim.traffic().computing_seconds - before - sim.profile().launch_seconds;
        expect(seconds > 0 && seconds <= rows, "at most " + show(rows) + " s for " + ggml_op_name(node->op) + ", got " + show(seconds));
    }
    ggml_backend_synchronize(queue.get());
}

TEST(sim, "says how long computations waited for an upload, and for nothing else") {
    SimDevice& sim = card(Mode::Timed);
    const Work uploads(sim);
    const Work work(sim);
    work.compute();
    work.compute();
    uploads.compute();
    work.wait_for(uploads);
    work.compute();
    expect_equal(sim.traffic().stalled_seconds, 0.0);
    for (int i = 0; i < 20; ++i) uploads.upload();
    work.wait_for(uploads);
    work.compute();
    const double stalled = sim.traffic().stalled_seconds;
    expect(stalled > 0 && stalled <= sim.traffic().uploading_seconds, "a part of the time of the uploads, got " + show(stalled));
    work.synchronize();
    work.compute();
    expect_equal(sim.traffic().stalled_seconds, stalled);
}

TEST(sim, "copies from pinned memory without making the caller wait, and from other memory at its slower rate") {
    SimDevice& sim = card(Mode::Timed);
    const Work work(sim);
    work.upload();
    const double pinned = sim.traffic().uploading_seconds;
    expect(pinned >= work.bytes() / sim.profile().pinned_bandwidth, "the time of a pinned copy, got " + show(pinned));
    const double begin = sim::now();
    work.upload_pageable();
    const double pageable = sim.traffic().uploading_seconds - pinned;
    expect(pageable >= work.bytes() / sim.profile().pageable_bandwidth, "the time of a pageable copy, got " + show(pageable));
    expect(sim::now() - begin >= pageable, "a pageable copy to be over when the call returns");
}

TEST(sim, "has no more memory than its card") {
    SimDevice& sim = card(Mode::Timed);
    const ggml_backend_buffer_type_t vram = ggml_backend_dev_buffer_type(sim.handle());
    const size_t half = sim.profile().vram_bytes / 2 + 1;
    const ggml_backend_buffer_ptr first(ggml_backend_buft_alloc_buffer(vram, half));
    expect(first != nullptr, "half of the memory");
    expect(!ggml_backend_buffer_ptr(ggml_backend_buft_alloc_buffer(vram, half)), "the second half to be refused");
    sim.set_foreign_bytes(1 << 20);
    size_t free = 0;
    size_t total = 0;
    ggml_backend_dev_memory(sim.handle(), &free, &total);
    expect_equal(free, sim.profile().vram_bytes - half - (1 << 20));
}
