#include "device/network.h"

#include <ggml-backend-impl.h>
#include <ggml-impl.h>

#include <algorithm>

#include "device/copy_rows.h"

namespace nmos {

std::optional<NetworkNodes> NetworkNodes::find_chain(const ggml_cgraph* graph, int begin, const NetworkTensors& weights, ggml_op multiplication) {
    if (begin + count > graph->n_nodes) return std::nullopt;
    NetworkNodes nodes;
    for (int i = begin; i < begin + count; ++i) {
        ggml_tensor* const node = graph->nodes[i];
        if (i + 1 < begin + count && (ggml_node_get_use_count(graph, i) != 1 || (node->flags & GGML_TENSOR_FLAG_OUTPUT))) return std::nullopt;
        if (node->op == GGML_OP_GLU) nodes.glu = node;
        if (node->op != multiplication) continue;
        if (node->src[0] == weights.gate) nodes.gate = node;
        if (node->src[0] == weights.up) nodes.up = node;
        if (node->src[0] == weights.down) nodes.down = node;
    }
    if (!nodes.gate || !nodes.up || !nodes.glu || !nodes.down) return std::nullopt;
    const bool chained = nodes.up->src[1] == nodes.input() && nodes.glu->src[0] == nodes.gate && nodes.glu->src[1] == nodes.up && nodes.down->src[1] == nodes.glu;
    return chained ? std::optional(nodes) : std::nullopt;
}

std::optional<NetworkNodes> NetworkNodes::find(const ggml_cgraph* graph, int begin, const NetworkTensors& weights) {
    const std::optional<NetworkNodes> nodes = find_chain(graph, begin, weights, GGML_OP_MUL_MAT);
    if (!nodes) return std::nullopt;
    const ggml_tensor* const input = nodes->input();
    const bool plain = input->type == GGML_TYPE_F32 && ggml_is_contiguous(input) && input->ne[2] == 1 && input->ne[3] == 1;
    return plain ? nodes : std::nullopt;
}

std::optional<NetworkRoom> make_network_room(const std::array<const ggml_tensor*, 3>& like, int64_t places, ggml_backend_buffer_type_t type) {
    NetworkRoom room;
    room.context.reset(ggml_init({3 * ggml_tensor_overhead(), nullptr, true}));
    for (size_t i = 0; i < room.weights.size(); ++i) {
        room.weights[i] = ggml_new_tensor_3d(room.context.get(), like[i]->type, like[i]->ne[0], like[i]->ne[1], places);
        ggml_set_name(room.weights[i], like[i]->name);
    }
    room.buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(room.context.get(), type));
    // Drivers that lack pinned memory give out ordinary memory instead.
    if (!room.buffer || ggml_backend_buffer_get_type(room.buffer.get()) != type) return std::nullopt;
    ggml_backend_buffer_set_usage(room.buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    return room;
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
    return make_network_room({&gate_, &up_, &down_}, 1, type);
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
        copy_rows(static_cast<char*>(room->weights[i]->data), row, static_cast<const char*>(weight->data), weight->nb[1], row, static_cast<size_t>(weight->ne[1]));
    }
    move_to(std::move(*room));
    return true;
}

ggml_cgraph* NetworkShare::graph(const NetworkNodes& nodes, const Places& places) {
    const auto as_leaf = [](ggml_tensor& tensor) {
        tensor.op = GGML_OP_NONE;
        std::fill(std::begin(tensor.src), std::end(tensor.src), nullptr);
    };
    for (size_t i = 0; i < places.weights.size(); ++i) {
        nodes_.weights[i] = *weights().all()[i];
        const Memory& at = places.weights[i];
        as_leaf(nodes_.weights[i]);
        if (at.data == nodes_.weights[i].data) continue;
        // In a slot the rows lie one right behind the other.
        set_shape(nodes_.weights[i], nodes_.weights[i].ne[0], nodes_.weights[i].ne[1]);
        place(nodes_.weights[i], at);
    }
    nodes_.input = *nodes.input();
    place(nodes_.input, places.input);
    as_leaf(nodes_.input);
    const int64_t width = nodes.down->ne[1];
    mimic(nodes_.gate, nodes.gate, hidden(), width, 1, places.gate, {&nodes_.weights[0], &nodes_.input});
    mimic(nodes_.up, nodes.up, hidden(), width, 1, places.up, {&nodes_.weights[1], &nodes_.input});
    mimic(nodes_.glu, nodes.glu, hidden(), width, 1, places.glu, {&nodes_.gate, &nodes_.up});
    mimic(nodes_.down, nodes.down, nodes.down->ne[0], width, 1, places.result, {&nodes_.weights[2], &nodes_.glu});
    if (!graph_) graph_ = new_graph(graph_context_, sizeof(Nodes) / sizeof(ggml_tensor), &nodes_.down);
    return graph_;
}

}  // namespace nmos
