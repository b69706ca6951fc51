#include "device/graph_tensors.h"

#include <ggml-backend-impl.h>
#include <ggml-impl.h>

#include <algorithm>
#include <cstring>

namespace nmos {

Memory Memory::of(const ggml_tensor* tensor) {
    return {tensor->view_src ? tensor->view_src->buffer : tensor->buffer, static_cast<char*>(tensor->data)};
}

Memory Memory::in(const ggml_backend_buffer_ptr& buffer, size_t offset) {
    return Memory{buffer.get(), static_cast<char*>(ggml_backend_buffer_get_base(buffer.get()))}.behind(offset);
}

void set_shape(ggml_tensor& tensor, int64_t columns, int64_t rows, int64_t slices) {
    tensor.ne[0] = columns;
    tensor.ne[1] = rows;
    tensor.ne[2] = slices;
    tensor.ne[3] = 1;
    tensor.nb[0] = ggml_type_size(tensor.type);
    tensor.nb[1] = ggml_row_size(tensor.type, columns);
    tensor.nb[2] = tensor.nb[1] * static_cast<size_t>(rows);
    tensor.nb[3] = tensor.nb[2] * static_cast<size_t>(slices);
}

void place(ggml_tensor& tensor, const Memory& memory) {
    tensor.buffer = memory.buffer;
    tensor.data = memory.data;
    tensor.view_src = nullptr;
    tensor.view_offs = 0;
    tensor.extra = nullptr;
    std::fill(std::begin(tensor.src), std::end(tensor.src), nullptr);
}

ggml_tensor leaf(ggml_type type, int64_t columns, int64_t rows, int64_t slices, const Memory& memory) {
    ggml_tensor tensor{};
    tensor.type = type;
    set_shape(tensor, columns, rows, slices);
    place(tensor, memory);
    return tensor;
}

ggml_tensor leaf_like(const ggml_tensor& like, const Memory& memory) {
    ggml_tensor tensor{};
    tensor.type = like.type;
    std::copy(std::begin(like.ne), std::end(like.ne), std::begin(tensor.ne));
    std::copy(std::begin(like.nb), std::end(like.nb), std::begin(tensor.nb));
    place(tensor, memory);
    std::memcpy(tensor.name, like.name, sizeof tensor.name);
    return tensor;
}

void become(ggml_tensor& leaf, ggml_op op, std::initializer_list<ggml_tensor*> operands) {
    leaf.op = op;
    leaf.flags = GGML_TENSOR_FLAG_COMPUTE;
    std::ranges::copy(operands, std::begin(leaf.src));
}

void mimic(ggml_tensor& tensor, const ggml_tensor* node, int64_t columns, int64_t rows, int64_t slices, const Memory& memory, std::initializer_list<ggml_tensor*> operands) {
    tensor = *node;
    set_shape(tensor, columns, rows, slices);
    place(tensor, memory);
    std::copy(operands.begin(), operands.end(), std::begin(tensor.src));
}

ggml_cgraph* new_graph(ggml_context_ptr& context, size_t tensors, ggml_tensor* last) {
    context.reset(ggml_init({ggml_graph_overhead_custom(tensors, false), nullptr, true}));
    ggml_cgraph* const graph = ggml_new_graph_custom(context.get(), tensors, false);
    ggml_build_forward_expand(graph, last);
    return graph;
}

ggml_cgraph* Sum::graph(const ggml_tensor& like, const Memory& a, const Memory& b, const Memory& target) {
    first_ = leaf_like(like, a);
    second_ = leaf_like(like, b);
    total_ = leaf_like(like, target);
    become(total_, GGML_OP_ADD, {&first_, &second_});
    if (!graph_) graph_ = new_graph(context_, 3, &total_);
    return graph_;
}

}  // namespace nmos
