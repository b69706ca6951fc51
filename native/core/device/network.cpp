#include "device/network.h"

#include <ggml-backend-impl.h>
#include <ggml-impl.h>

#include <algorithm>
#include <cstring>

namespace nmos {

namespace {

void set_contiguous(ggml_tensor& tensor, int64_t columns, int64_t rows) {
    tensor.ne[0] = columns;
    tensor.ne[1] = rows;
    tensor.ne[2] = tensor.ne[3] = 1;
    tensor.nb[0] = ggml_type_size(tensor.type);
    tensor.nb[1] = ggml_row_size(tensor.type, columns);
    tensor.nb[2] = tensor.nb[3] = tensor.nb[1] * static_cast<size_t>(rows);
}

void place(ggml_tensor& tensor, const Memory& memory) {
    tensor.buffer = memory.buffer;
    tensor.data = memory.data;
    tensor.view_src = nullptr;
    tensor.view_offs = 0;
    tensor.extra = nullptr;
}

// The same operation of the model's node, with other operands.
void mimic(ggml_tensor& tensor, const ggml_tensor* node, int64_t columns, const Memory& memory, ggml_tensor* first, ggml_tensor* second) {
    tensor = *node;
    set_contiguous(tensor, columns, node->ne[1]);
    place(tensor, memory);
    std::fill(std::begin(tensor.src), std::end(tensor.src), nullptr);
    tensor.src[0] = first;
    tensor.src[1] = second;
}

void as_leaf(ggml_tensor& tensor) {
    tensor.op = GGML_OP_NONE;
    std::fill(std::begin(tensor.src), std::end(tensor.src), nullptr);
}

}  // namespace

Memory Memory::of(const ggml_tensor* tensor) {
    return {tensor->view_src ? tensor->view_src->buffer : tensor->buffer, static_cast<char*>(tensor->data)};
}

std::optional<NetworkNodes> NetworkNodes::find(const ggml_cgraph* graph, int begin, const NetworkTensors& weights) {
    if (begin + count > graph->n_nodes) return std::nullopt;
    NetworkNodes nodes;
    for (int i = begin; i < begin + count; ++i) {
        ggml_tensor* const node = graph->nodes[i];
        if (i + 1 < begin + count && (ggml_node_get_use_count(graph, i) != 1 || (node->flags & GGML_TENSOR_FLAG_OUTPUT))) return std::nullopt;
        if (node->op == GGML_OP_GLU) nodes.glu = node;
        if (node->op != GGML_OP_MUL_MAT) continue;
        if (node->src[0] == weights.gate) nodes.gate = node;
        if (node->src[0] == weights.up) nodes.up = node;
        if (node->src[0] == weights.down) nodes.down = node;
    }
    if (!nodes.gate || !nodes.up || !nodes.glu || !nodes.down) return std::nullopt;
    const ggml_tensor* const input = nodes.input();
    const bool chained = nodes.up->src[1] == input && nodes.glu->src[0] == nodes.gate && nodes.glu->src[1] == nodes.up && nodes.down->src[1] == nodes.glu;
    const bool plain = input->type == GGML_TYPE_F32 && ggml_is_contiguous(input) && input->ne[2] == 1 && input->ne[3] == 1;
    return chained && plain ? std::optional(nodes) : std::nullopt;
}

NetworkShare::NetworkShare(const NetworkTensors& whole, int64_t begin, int64_t count) : gate_(*whole.gate), up_(*whole.up), down_(*whole.down) {
    for (ggml_tensor* rows : {&gate_, &up_}) {
        rows->ne[1] = count;
        rows->nb[2] = rows->nb[3] = rows->nb[1] * static_cast<size_t>(count);
        rows->data = static_cast<char*>(rows->data) + rows->nb[1] * static_cast<size_t>(begin);
    }
    down_.ne[0] = count;
    down_.data = static_cast<char*>(down_.data) + ggml_row_size(down_.type, begin);
    home_ = {gate_, up_, down_};
}

size_t NetworkShare::bytes() const {
    size_t bytes = 0;
    for (const ggml_tensor* weight : {&gate_, &up_, &down_}) bytes += ggml_row_size(weight->type, weight->ne[0]) * static_cast<size_t>(weight->ne[1]);
    return bytes;
}

std::optional<NetworkShare::Room> NetworkShare::make_room(ggml_backend_buffer_type_t type) const {
    Room room;
    room.context.reset(ggml_init({3 * ggml_tensor_overhead(), nullptr, true}));
    size_t i = 0;
    for (const ggml_tensor* weight : {&gate_, &up_, &down_}) {
        room.weights[i] = ggml_new_tensor_2d(room.context.get(), weight->type, weight->ne[0], weight->ne[1]);
        ggml_set_name(room.weights[i++], weight->name);
    }
    room.buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(room.context.get(), type));
    // Drivers that lack pinned memory give out ordinary memory instead.
    if (!room.buffer || ggml_backend_buffer_get_type(room.buffer.get()) != type) return std::nullopt;
    ggml_backend_buffer_set_usage(room.buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    return room;
}

void NetworkShare::move_to(Room room) {
    gate_ = *room.weights[0];
    up_ = *room.weights[1];
    down_ = *room.weights[2];
    room_ = std::move(room);
}

void NetworkShare::move_back() {
    gate_ = home_[0];
    up_ = home_[1];
    down_ = home_[2];
    room_ = {};
}

bool NetworkShare::move_into(ggml_backend_buffer_type_t type) {
    std::optional<Room> room = make_room(type);
    if (!room) return false;
    for (size_t i = 0; i < room->weights.size(); ++i) {
        const ggml_tensor* const weight = weights().all()[i];
        const size_t row = ggml_row_size(weight->type, weight->ne[0]);
        const auto* const from = static_cast<const char*>(weight->data);
        auto* const to = static_cast<char*>(room->weights[i]->data);
        for (size_t r = 0; r < static_cast<size_t>(weight->ne[1]); ++r) std::memcpy(to + r * row, from + r * weight->nb[1], row);
    }
    move_to(std::move(*room));
    return true;
}

ggml_cgraph* NetworkShare::graph(const NetworkNodes& nodes, const Places& places) {
    for (size_t i = 0; i < places.weights.size(); ++i) {
        nodes_.weights[i] = *weights().all()[i];
        const Memory& at = places.weights[i];
        as_leaf(nodes_.weights[i]);
        if (at.data == nodes_.weights[i].data) continue;
        // In a slot the rows lie one right behind the other.
        set_contiguous(nodes_.weights[i], nodes_.weights[i].ne[0], nodes_.weights[i].ne[1]);
        place(nodes_.weights[i], at);
    }
    nodes_.input = *nodes.input();
    place(nodes_.input, places.input);
    as_leaf(nodes_.input);
    mimic(nodes_.gate, nodes.gate, hidden(), places.gate, &nodes_.weights[0], &nodes_.input);
    mimic(nodes_.up, nodes.up, hidden(), places.up, &nodes_.weights[1], &nodes_.input);
    mimic(nodes_.glu, nodes.glu, hidden(), places.glu, &nodes_.gate, &nodes_.up);
    mimic(nodes_.down, nodes.down, nodes.down->ne[0], places.result, &nodes_.weights[2], &nodes_.glu);
    if (!graph_) {
        constexpr size_t tensors = sizeof(Nodes) / sizeof(ggml_tensor);
        graph_context_.reset(ggml_init({ggml_graph_overhead_custom(tensors, false), nullptr, true}));
        graph_ = ggml_new_graph_custom(graph_context_.get(), tensors, false);
        ggml_build_forward_expand(graph_, &nodes_.down);
    }
    return graph_;
}

}  // namespace nmos
