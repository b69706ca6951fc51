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
    ggml_backend_dev_props properties;
    ggml_backend_dev_get_props(card, &properties);
    if (properties.caps.async && properties.caps.events) fetched_.reset(ggml_backend_event_new(card));
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

bool Processor::reserve_behind(ggml_backend_t queue, size_t input, size_t hidden, size_t result) {
    if (has_room(input, hidden, result)) return true;
    ggml_backend_synchronize(queue);
    return reserve(input, hidden, result);
}

void Processor::fetch(ggml_backend_t queue, std::initializer_list<const ggml_tensor*> tensors) {
    char* target = input().data;
    for (const ggml_tensor* tensor : tensors) {
        if (!tensor) continue;
        ggml_backend_tensor_get_async(queue, tensor, target, 0, ggml_nbytes(tensor));
        target += padded(ggml_nbytes(tensor));
    }
    // Into other memory a driver may copy only when it is waited for.
    if (fetched_ && pinned_) ggml_backend_event_record(fetched_.get(), queue);
    else ggml_backend_synchronize(queue);
}

void Processor::await_fetched() {
    if (fetched_ && pinned_) ggml_backend_event_synchronize(fetched_.get());
}

size_t Processor::padded(size_t bytes) {
    return round_up(bytes);
}

ggml_status Processor::compute(ggml_cgraph* graph) {
    return ggml_backend_graph_compute(backend_.get(), graph);
}

}  // namespace nmos
