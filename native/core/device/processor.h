// The processor as a card's helper: its threads, and the memory through which the two exchange activations.
//
// One for each queue of a streaming device, which calls it under its lock.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml-cpu.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "device/graph_tensors.h"

namespace nmos {

class Processor {
  public:
    // Throws BACKEND_UNAVAILABLE when no CPU backend is loaded.
    explicit Processor(ggml_backend_dev_t card);

    void set_threads(int32_t count);
    // Null: threads of its own.
    void set_threadpool(ggml_threadpool_t pool);
    void set_abort_callback(ggml_abort_callback is_cancelled, void* data);

    // Makes room, in bytes; what was there is lost. Nothing may be under way in it. False when there is no memory.
    bool reserve(size_t input, size_t hidden, size_t result);
    bool has_room(size_t input, size_t hidden, size_t result) const;
    // The same; what is under way in it, which `queue` was given, is waited for.
    bool reserve_behind(ggml_backend_t queue, size_t input, size_t hidden, size_t result);
    // Begins to bring tensors into `input`, one behind the other with `padded` bytes each, null for none; they are there when
    // `await_fetched` returns.
    void fetch(ggml_backend_t queue, std::initializer_list<const ggml_tensor*> tensors);
    void await_fetched();
    static size_t padded(size_t bytes);
    Memory input() const { return {exchange_.get(), base(exchange_)}; }
    Memory result() const { return input().behind(input_bytes_); }
    Memory hidden() const { return {hidden_.get(), base(hidden_)}; }
    // The card reads and writes `input` and `result` by itself.
    bool pinned() const { return pinned_; }

    ggml_status compute(ggml_cgraph* graph);

  private:
    static char* base(const ggml_backend_buffer_ptr& buffer) { return static_cast<char*>(ggml_backend_buffer_get_base(buffer.get())); }

    ggml_backend_dev_t card_;
    ggml_backend_ptr backend_;
    ggml_threadpool_t pool_ = nullptr;
    ggml_backend_buffer_ptr exchange_;  // input, then result
    ggml_backend_buffer_ptr hidden_;
    size_t input_bytes_ = 0;
    bool pinned_ = false;
    ggml_backend_event_ptr fetched_;  // null where the card has no events
};

}  // namespace nmos
