#include "device/weights_in_graph.h"

#include <ggml-backend-impl.h>
#include <ggml-impl.h>

#include <algorithm>

namespace nmos {

namespace {

// The weight in RAM that an operand is, or is a view of; null when it is something else.
const ggml_tensor* host_weight(const ggml_tensor* operand) {
    if (!operand) return nullptr;
    const ggml_tensor* whole = operand->view_src ? operand->view_src : operand;
    return HostWeights::of(whole) ? whole : nullptr;
}

}  // namespace

const ggml_tensor* host_weight_of_node(const ggml_tensor* node) {
    for (const ggml_tensor* operand : node->src) {
        if (const ggml_tensor* weight = host_weight(operand)) return weight;
    }
    return nullptr;
}

HostNetwork* network_of_node(const ggml_tensor* node) {
    const ggml_tensor* const weight = host_weight_of_node(node);
    return weight ? HostWeights::of(weight)->network_of(weight) : nullptr;
}

HostMixture* mixture_of_node(const ggml_tensor* node) {
    const ggml_tensor* const weight = host_weight_of_node(node);
    return weight ? HostWeights::of(weight)->mixture_of(weight) : nullptr;
}

uint32_t width_of(const ggml_tensor* node) {
    return static_cast<uint32_t>(node->op == GGML_OP_MUL_MAT_ID ? node->ne[2] : node->ne[1]);
}

InSlot::InSlot(const ggml_cgraph& nodes, const HostUnit& unit, const UploadRing::Place& place) {
    try {
        point_into(nodes, unit, place);
    } catch (...) {
        point_back();
        throw;
    }
}

void InSlot::point_into(const ggml_cgraph& nodes, const HostUnit& unit, const UploadRing::Place& place) {
    for (int i = 0; i < nodes.n_nodes; ++i) {
        for (ggml_tensor* operand : nodes.nodes[i]->src) {
            // One that several nodes use points into the slot already.
            const ggml_tensor* const weight = operand && operand->buffer != place.buffer ? host_weight(operand) : nullptr;
            if (!weight) continue;
            width_ = std::max(width_, width_of(nodes.nodes[i]));
            const auto of_unit = std::ranges::find(unit.weights, weight, &HostUnit::Weight::tensor);
            if (of_unit == unit.weights.end()) continue;
            moved_.push_back({operand, operand->data, operand->buffer});
            operand->data = place.base + of_unit->slot_offset + operand->view_offs;
            operand->buffer = place.buffer;
        }
    }
}

InSlot::~InSlot() {
    point_back();
}

void InSlot::point_back() {
    for (const Moved& was : moved_) {
        was.operand->data = was.data;
        was.operand->buffer = was.buffer;
    }
}

InVram::~InVram() {
    for (const auto& [node, weight] : given_) node->src[0] = weight;
}

void InVram::give(ggml_tensor* node, ggml_tensor* weight) {
    given_.emplace_back(node, node->src[0]);
    node->src[0] = weight;
}

}  // namespace nmos
