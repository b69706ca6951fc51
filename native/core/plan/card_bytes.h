// What a model takes of a card, beside what plans by units count themselves. Pure: no I/O, no clock.
#pragma once

#include <algorithm>
#include <cstdint>

#include "plan/placement.h"

namespace nmos {

// Never below none.
inline uint64_t less(uint64_t bytes, uint64_t taken) {
    return bytes - std::min(bytes, taken);
}

// Bytes of a layer's weights and its KV cache.
inline uint64_t layer_bytes_with_kv(const ModelProfile& model, const PlacementRequest& request, uint32_t layer) {
    return model.layer_bytes[layer] + model.kv_bytes_per_token[layer] * request.context_length;
}

// Bytes of what a card has beside its layers: the output head and the compute buffers.
inline uint64_t bytes_beside_layers(const ModelProfile& model, const PlacementRequest& request) {
    return model.output_bytes + compute_buffer_bytes(model, request.context_length, request.batch_size);
}

// Bytes that ggml needs there for copies of what so many layers below the card have in RAM. That it copies is assumed of a card
// that was not asked.
inline uint64_t copied_bytes(const ModelProfile& model, const PlacementRequest& request, const CardMemory& card, uint32_t layers_below) {
    const bool offloads = !card.profile || card.profile->offload_from_width != never_streamed;
    return offloads ? offload_bytes(model, request.context_length, layers_below) : 0;
}

}  // namespace nmos
