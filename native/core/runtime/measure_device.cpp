#include "runtime/measure_device.h"

#include <ggml-cpp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <vector>

#include "device/pinned_memory.h"
#include "device/uploader.h"
#include "plan/unit_plan.h"
#include "runtime/backends.h"
#include "runtime/engine_error.h"

namespace nmos {

namespace {

using Clock = std::chrono::steady_clock;

// A matrix as large models have them.
constexpr int64_t columns = 4096;
constexpr int64_t rows = 8192;

// So many, or fewer of a type with more bits, are together far beyond the caches of a processor, as the weights of a model are: of
// what is twice as large as a cache, it still keeps a part.
constexpr size_t most_matrices = 10;
constexpr size_t matrices_bytes = 180 << 20;

// The type that other times than those of weights are measured with.
constexpr ggml_type usual_type = GGML_TYPE_Q4_K;

// Where a type is measured at some widths only: one token, where the arithmetic begins to count, and wide passes.
constexpr std::array<uint32_t, 5> some_widths{1, 4, 16, 64, 512};

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

// The fastest of several: what disturbs a measurement only ever makes it slower. Ends early once all together took `enough` seconds.
double best_of(int times, const std::function<void()>& work, double enough = std::numeric_limits<double>::infinity()) {
    double best = seconds_of(work);
    double all = best;
    while (--times > 0 && all < enough) {
        const double seconds = seconds_of(work);
        best = std::min(best, seconds);
        all += seconds;
    }
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
    Multiplication(ggml_backend_t backend, ggml_type type, uint32_t width, size_t count) : backend_(backend) {
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

    // Of types that a processor decodes slowly, one time says enough.
    double seconds_per_byte(int times) const {
        constexpr double enough = 0.25;
        // A driver compiles kernels before it computes for the first time.
        const bool compiles = ggml_backend_dev_type(ggml_backend_get_device(backend_)) != GGML_BACKEND_DEVICE_TYPE_CPU;
        if (compiles) compute(1);
        return best_of(compiles ? times : times + 1, [this] { compute(1); }, enough) / bytes_;
    }

  private:
    ggml_backend_t backend_;
    ggml_context_ptr context_;
    ggml_backend_buffer_ptr buffer_;
    ggml_cgraph* graph_ = nullptr;
    double bytes_ = 0;
};

bool can_multiply(ggml_backend_t backend, ggml_type type) {
    const ggml_context_ptr context(ggml_init({3 * ggml_tensor_overhead(), nullptr, true}));
    ggml_tensor* const matrix = ggml_new_tensor_2d(context.get(), type, columns, rows);
    ggml_tensor* const input = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, columns);
    return ggml_backend_supports_op(backend, ggml_mul_mat(context.get(), matrix, input));
}

WidthCurve measure_widths(ggml_backend_t backend, ggml_type type, bool fine, uint32_t widest) {
    const size_t matrix_bytes = ggml_row_size(type, columns) * rows;
    const size_t matrices = std::min((matrices_bytes + matrix_bytes - 1) / matrix_bytes, most_matrices);
    std::vector<WidthCurve::Point> points;
    for (const uint32_t width : predicted_widths(widest)) {
        if (!fine && width != widest && std::ranges::find(some_widths, width) == some_widths.end()) continue;
        const bool arithmetic = width >= arithmetic_width;
        const Multiplication multiplication(backend, type, width, arithmetic ? 1 : matrices);
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
    const Multiplication multiplication(queue, usual_type, 1, 1);
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

ggml_type type_of(const std::string& name) {
    for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
        if (name == ggml_type_name(static_cast<ggml_type>(i))) return static_cast<ggml_type>(i);
    }
    throw EngineError(ErrorCode::ModelUnsupported, "The type of weights " + name + " is not known. Choose a model this version of llama.cpp supports.");
}

// On the card, if there is one, and on the processor.
TypeSpeed measure_type(ggml_backend_t on_card, ggml_backend_t on_processor, const std::string& name, bool fine, uint32_t widest_pass) {
    const ggml_type type = type_of(name);
    if (!can_multiply(on_processor, type)) {
        throw EngineError(ErrorCode::ModelUnsupported, "The processor cannot multiply with weights of the type " + name + ". Choose a model with other weights.");
    }
    TypeSpeed speed;
    speed.fine = fine;
    speed.processor = measure_widths(on_processor, type, fine, std::min(widest_pass, processor_widest));
    // What a card cannot multiply with, ggml leaves to the processor.
    if (on_card) speed.card = can_multiply(on_card, type) ? measure_widths(on_card, type, fine, widest_pass) : speed.processor;
    return speed;
}

}  // namespace

void measure_device(MeasuredDevice& known, ggml_backend_dev_t device, ComputeThreads threads, uint32_t widest_pass, std::span<const TypeShare> types) {
    ggml_backend_ptr on_card;
    if (ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_CPU) {
        on_card.reset(ggml_backend_dev_init(device, nullptr));
        if (!on_card) throw EngineError(ErrorCode::BackendUnavailable, std::string("The device ") + ggml_backend_dev_name(device) + " gives no queue.");
        if (known.bus.upload_bytes_per_second == 0) {
            DeviceProfile bus;
            measure_bus(device, on_card.get(), bus);
            measure_latencies(device, on_card.get(), bus);
            known.bus = std::move(bus);
        }
    }
    const ggml_backend_ptr on_processor(ggml_backend_dev_init(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), nullptr));
    cpu_functions().set_threads(on_processor.get(), threads.count);
    cpu_functions().set_threadpool(on_processor.get(), threads.pool);
    for (const TypeShare& share : types) {
        const bool fine = &share == types.data();
        const auto before = known.types.find(share.type);
        if (before != known.types.end() && (before->second.fine || !fine)) continue;
        known.types[share.type] = measure_type(on_card.get(), on_processor.get(), share.type, fine, widest_pass);
    }
}

}  // namespace nmos
