#include "device/processor.h"

#include <algorithm>

#include "device/pinned_memory.h"
#include "runtime/backends.h"
#include "runtime/engine_error.h"

namespace nmos {

namespace {

// For the kernels of the processor.
constexpr size_t alignment = 64;

size_t round_up(size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
}

ggml_backend_buffer_type_t ordinary_memory() {
    return ggml_backend_dev_buffer_type(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
}

size_t size_of(const ggml_backend_buffer_ptr& buffer) {
    return buffer ? ggml_backend_buffer_get_size(buffer.get()) : 0;
}

}  // namespace

Processor::Processor(ggml_backend_dev_t card) : card_(card), backend_(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr)) {
    if (!backend_) throw EngineError(ErrorCode::BackendUnavailable, "Expected a loaded CPU backend; load the backends first.");
}

void Processor::set_threads(int32_t count) {
    cpu_functions().set_threads(backend_.get(), count);
}

void Processor::set_threadpool(ggml_threadpool_t pool) {
    if (pool == pool_) return;
    cpu_functions().set_threadpool(backend_.get(), pool);
    pool_ = pool;
}

void Processor::set_abort_callback(ggml_abort_callback is_cancelled, void* data) {
    cpu_functions().set_abort_callback(backend_.get(), is_cancelled, data);
}

bool Processor::has_room(size_t input, size_t hidden, size_t result) const {
    return size_of(exchange_) > 0 && round_up(input) <= input_bytes_ && input_bytes_ + result <= size_of(exchange_) && hidden <= size_of(hidden_);
}

bool Processor::reserve(size_t input, size_t hidden, size_t result) {
    if (has_room(input, hidden, result)) return true;
    // Never less than before, or two networks of different shapes would take turns at it.
    if (exchange_) {
        hidden = std::max(hidden, size_of(hidden_));
        result = std::max(result, size_of(exchange_) - input_bytes_);
        input = std::max(input, input_bytes_);
    }
    input_bytes_ = round_up(input);
    const size_t exchanged = input_bytes_ + result;
    exchange_.reset();
    hidden_.reset();
    exchange_ = allocate_pinned(card_, exchanged);
    pinned_ = exchange_ != nullptr;
    if (!pinned_) exchange_.reset(ggml_backend_buft_alloc_buffer(ordinary_memory(), exchanged));
    hidden_.reset(ggml_backend_buft_alloc_buffer(ordinary_memory(), hidden));
    if (!hidden_) exchange_.reset();
    return exchange_ != nullptr;
}

ggml_status Processor::compute(ggml_cgraph* graph) {
    return ggml_backend_graph_compute(backend_.get(), graph);
}

}  // namespace nmos
