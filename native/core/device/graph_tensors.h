// Tensors and small graphs made by hand, over memory that others own. The graphs' nodes are tensors that stay where they are, so
// that only their shapes and places change from one computation to the next.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>

#include <cstdint>
#include <initializer_list>

namespace nmos {

// Where a tensor is while a graph is computed.
struct Memory {
    ggml_backend_buffer_t buffer = nullptr;
    char* data = nullptr;

    static Memory of(const ggml_tensor* tensor);
    // `offset` bytes into a buffer.
    static Memory in(const ggml_backend_buffer_ptr& buffer, size_t offset = 0);
    Memory behind(size_t bytes) const { return {buffer, data + bytes}; }
};

// Rows one right behind the other.
void set_shape(ggml_tensor& tensor, int64_t columns, int64_t rows, int64_t slices = 1);
// What it was a view of, and its operands, are forgotten.
void place(ggml_tensor& tensor, const Memory& memory);
// What an operation reads.
ggml_tensor leaf(ggml_type type, int64_t columns, int64_t rows, int64_t slices, const Memory& memory);
// A leaf of the same shape as `like` somewhere else, with rows as far apart as those.
ggml_tensor leaf_like(const ggml_tensor& like, const Memory& memory);
// A leaf becomes the result of an operation, to be computed.
void become(ggml_tensor& leaf, ggml_op op, std::initializer_list<ggml_tensor*> operands);
// The operation of a model's node in another shape, with other operands.
void mimic(ggml_tensor& tensor, const ggml_tensor* node, int64_t columns, int64_t rows, int64_t slices, const Memory& memory, std::initializer_list<ggml_tensor*> operands);
// A graph of at most so many tensors that ends with `last`, in a context made for it.
ggml_cgraph* new_graph(ggml_context_ptr& context, size_t tensors, ggml_tensor* last);

// Adds two results of the same shape.
class Sum {
  public:
    // The graph that does, valid until the next call; `like` has the shape.
    ggml_cgraph* graph(const ggml_tensor& like, const Memory& a, const Memory& b, const Memory& target);

  private:
    ggml_tensor first_{}, second_{}, total_{};
    ggml_context_ptr context_;
    ggml_cgraph* graph_ = nullptr;
};

}  // namespace nmos
