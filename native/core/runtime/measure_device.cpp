#include "runtime/measure_device.h"

#include <ggml-cpp.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "device/pinned_memory.h"
#include "device/uploader.h"
#include "plan/unit_plan.h"
#include "runtime/backends.h"
#include "runtime/engine_error.h"

namespace nmos {

namespace {

using Clock = std::chrono::steady_clock;

// A matrix as large models have them, in the type most of their weights have.
constexpr int64_t columns = 4096;
constexpr int64_t rows = 8192;
constexpr ggml_type type = GGML_TYPE_Q4_K;

// Together far beyond the caches of a processor, as the weights of a model are: of what is twice as large as a cache, it still
// keeps a part.
constexpr size_t matrices = 10;

// From this width on the arithmetic takes the time and not the memory, so one matrix is enough.
constexpr uint32_t arithmetic_width = 16;

// Beyond this width a processor takes time in proportion to it.
constexpr uint32_t processor_widest = 64;

constexpr size_t upload_bytes = 32 << 20;
constexpr size_t exchanged_bytes = 16 << 10;

double seconds_of(const std::function<void()>& work) {
    const auto begin = Clock::now();
    work();
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

// The fastest of several: what disturbs a measurement only ever makes it slower.
double best_of(int times, const std::function<void()>& work) {
    double best = seconds_of(work);
    while (--times > 0) best = std::min(best, seconds_of(work));
    return best;
}

ggml_backend_buffer_ptr allocate(ggml_backend_buffer_type_t buffer_type, size_t bytes) {
    ggml_backend_buffer_ptr buffer(ggml_backend_buft_alloc_buffer(buffer_type, bytes));
    if (!buffer) throw EngineError(ErrorCode::OutOfMemory, "There is no room for a matrix to measure the card with. Close other programs.");
    return buffer;
}

// RAM, pinned if there is such.
ggml_backend_buffer_ptr allocate_for_copies(ggml_backend_dev_t card, size_t bytes) {
    if (ggml_backend_buffer_ptr pinned = allocate_pinned(card, bytes)) return pinned;
    return allocate(ggml_backend_dev_buffer_type(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)), bytes);
}

// Matrices in the memory of a device, and what multiplies them.
class Multiplication {
  public:
    Multiplication(ggml_backend_t backend, uint32_t width, size_t count) : backend_(backend) {
        context_.reset(ggml_init({3 * (count + 1) * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true}));
        ggml_tensor* const input = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, columns, width);
        graph_ = ggml_new_graph(context_.get());
        for (size_t i = 0; i < count; ++i) {
            ggml_tensor* const matrix = ggml_new_tensor_2d(context_.get(), type, columns, rows);
            bytes_ += static_cast<double>(ggml_nbytes(matrix));
            ggml_build_forward_expand(graph_, ggml_mul_mat(context_.get(), matrix, input));
        }
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_get_default_buffer_type(backend)));
        if (!buffer_) throw EngineError(ErrorCode::OutOfMemory, "There is no room for matrices to measure with. Close other programs.");
        ggml_backend_buffer_clear(buffer_.get(), 0);
    }

    void compute(int times) const {
        while (times-- > 0) ggml_backend_graph_compute_async(backend_, graph_);
        ggml_backend_synchronize(backend_);
    }

    double seconds_per_byte(int times) const {
        compute(1);
        return best_of(times, [this] { compute(1); }) / bytes_;
    }

  private:
    ggml_backend_t backend_;
    ggml_context_ptr context_;
    ggml_backend_buffer_ptr buffer_;
    ggml_cgraph* graph_ = nullptr;
    double bytes_ = 0;
};

WidthCurve measure_widths(ggml_backend_t backend, uint32_t widest_pass) {
    std::vector<WidthCurve::Point> points;
    for (const uint32_t width : predicted_widths(widest_pass)) {
        const bool arithmetic = width >= arithmetic_width;
        const Multiplication multiplication(backend, width, arithmetic ? 1 : matrices);
        points.push_back({width, multiplication.seconds_per_byte(arithmetic ? 2 : 4)});
    }
    return WidthCurve(std::move(points));
}

// Bytes a second from memory that the card does not read by itself into `target`, which is upload_bytes long.
double measure_staging(ggml_backend_dev_t card, ggml_tensor* target) {
    ggml_backend_dev_props properties;
    ggml_backend_dev_get_props(card, &properties);
    const std::vector<char> memory(upload_bytes, 1);
    if (!properties.caps.async || !properties.caps.events) {
        return upload_bytes / best_of(2, [&] { ggml_backend_tensor_set(target, memory.data(), 0, upload_bytes); });
    }
    Uploader uploader(card);
    return upload_bytes / best_of(3, [&] {
               uploader.begin({target, {{memory.data(), 0, upload_bytes, 1, 0}}, false, nullptr, nullptr});
               uploader.synchronize();
           });
}

void measure_bus(ggml_backend_dev_t card, ggml_backend_t queue, DeviceProfile& profile) {
    const ggml_backend_buffer_ptr vram = allocate(ggml_backend_dev_buffer_type(card), upload_bytes);
    const ggml_backend_buffer_ptr host = allocate_for_copies(card, upload_bytes);
    ggml_backend_buffer_clear(host.get(), 0);
    void* const memory = ggml_backend_buffer_get_base(host.get());

    const ggml_context_ptr context(ggml_init({ggml_tensor_overhead(), nullptr, true}));
    ggml_tensor* const target = ggml_new_tensor_1d(context.get(), GGML_TYPE_I8, static_cast<int64_t>(upload_bytes));
    ggml_backend_tensor_alloc(vram.get(), target, ggml_backend_buffer_get_base(vram.get()));
    const auto upload = [&](size_t size) {
        ggml_backend_tensor_set_async(queue, target, memory, 0, size);
        ggml_backend_synchronize(queue);
    };
    upload(upload_bytes);
    profile.upload_seconds = best_of(20, [&] { upload(exchanged_bytes); });
    const double whole = best_of(3, [&] { upload(upload_bytes); });
    profile.upload_bytes_per_second = static_cast<double>(upload_bytes) / std::max(1e-9, whole - profile.upload_seconds);

    // Computations of about the same time, on another queue.
    const ggml_backend_ptr beside(ggml_backend_dev_init(card, nullptr));
    if (!beside) throw EngineError(ErrorCode::BackendUnavailable, std::string("The device ") + ggml_backend_dev_name(card) + " gives no second queue.");
    const Multiplication multiplication(queue, 1, 1);
    const double once = best_of(2, [&] { multiplication.compute(1); });
    const int times = std::max(1, static_cast<int>(whole / std::max(1e-9, once)));
    const double computing = best_of(3, [&] { multiplication.compute(times); });
    const double both = best_of(3, [&] {
        ggml_backend_tensor_set_async(beside.get(), target, memory, 0, upload_bytes);
        multiplication.compute(times);
        ggml_backend_synchronize(beside.get());
    });
    profile.upload_share_of_card = std::clamp((both - std::max(computing, whole)) / std::min(computing, whole), 0.0, 1.0);
    profile.staged_bytes_per_second = measure_staging(card, target);
}

// Small operations one after the other, whose bytes take next to no time.
class Chain {
  public:
    explicit Chain(ggml_backend_t queue) : queue_(queue) {
        context_.reset(ggml_init({(2 + operations) * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true}));
        ggml_tensor* const first = ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, exchanged_bytes / sizeof(float));
        graph_ = ggml_new_graph(context_.get());
        last_ = first;
        for (size_t i = 0; i < operations; ++i) last_ = ggml_add(context_.get(), last_, first);
        ggml_build_forward_expand(graph_, last_);
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_get_default_buffer_type(queue)));
        if (!buffer_) throw EngineError(ErrorCode::OutOfMemory, "There is no room for tensors to measure with. Close other programs.");
        ggml_backend_buffer_clear(buffer_.get(), 0);
    }

    static constexpr size_t operations = 64;
    ggml_tensor* result() const { return last_; }
    void compute() const { ggml_backend_graph_compute_async(queue_, graph_); }

  private:
    ggml_backend_t queue_;
    ggml_context_ptr context_;
    ggml_backend_buffer_ptr buffer_;
    ggml_cgraph* graph_ = nullptr;
    ggml_tensor* last_ = nullptr;
};

void measure_latencies(ggml_backend_dev_t card, ggml_backend_t queue, DeviceProfile& profile) {
    const Chain chain(queue);
    const auto chained = [&](int times) {
        while (times-- > 0) chain.compute();
        ggml_backend_synchronize(queue);
    };
    chained(1);
    const double once = best_of(5, [&] { chained(1); });
    const double chain_seconds = std::max(0.0, best_of(5, [&] { chained(3); }) - once) / 2;
    profile.launch_seconds = chain_seconds / Chain::operations;

    // As a pass does it: the card computes for a while, its result is waited for, the processor's goes back, and the card goes
    // on. A thread that has waited for long wakes up late.
    const ggml_backend_buffer_ptr host = allocate_for_copies(card, exchanged_bytes);
    void* const memory = ggml_backend_buffer_get_base(host.get());
    constexpr int exchanges = 16;
    const auto exchanged = [&] {
        for (int i = 0; i < exchanges; ++i) {
            chain.compute();
            ggml_backend_tensor_get_async(queue, chain.result(), memory, 0, exchanged_bytes);
            ggml_backend_synchronize(queue);
            ggml_backend_tensor_set_async(queue, chain.result(), memory, 0, exchanged_bytes);
        }
        ggml_backend_synchronize(queue);
    };
    exchanged();
    profile.exchange_seconds = std::max(0.0, best_of(5, exchanged) / exchanges - chain_seconds);
}

}  // namespace

DeviceProfile measure_device(ggml_backend_dev_t card, ComputeThreads threads, uint32_t widest_pass) {
    DeviceProfile profile;
    const ggml_backend_ptr on_card(ggml_backend_dev_init(card, nullptr));
    if (!on_card) throw EngineError(ErrorCode::BackendUnavailable, std::string("The device ") + ggml_backend_dev_name(card) + " gives no queue.");
    measure_bus(card, on_card.get(), profile);
    measure_latencies(card, on_card.get(), profile);
    profile.card = measure_widths(on_card.get(), widest_pass);
    profile.processor = measure_processor(threads, widest_pass).processor;
    return profile;
}

DeviceProfile measure_processor(ComputeThreads threads, uint32_t widest_pass) {
    DeviceProfile profile;
    const ggml_backend_dev_t processor = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    const ggml_backend_ptr on_processor(ggml_backend_dev_init(processor, nullptr));
    cpu_functions().set_threads(on_processor.get(), threads.count);
    cpu_functions().set_threadpool(on_processor.get(), threads.pool);
    profile.processor = measure_widths(on_processor.get(), std::min(widest_pass, processor_widest));
    return profile;
}

}  // namespace nmos
