// A dense model for tests of plans, with layers that are alike: a network of 100 MiB, an attention of 20.
#pragma once

#include <cstdint>

#include "plan/model_profile.h"

namespace nmos::testing {

inline ModelProfile alike_layers(uint32_t layers) {
    constexpr uint64_t mib = 1 << 20;
    ModelProfile model;
    model.layers = layers;
    model.layer_bytes.assign(layers, 120 * mib);
    model.network_bytes.assign(layers, 100 * mib);
    model.is_mixture.assign(layers, false);
    model.network_pieces.assign(layers, 50);
    model.kv_bytes_per_token.assign(layers, 1024);
    model.embedding = 2048;
    model.embedding_bytes = 60 * mib;
    model.output_bytes = 100 * mib;
    return model;
}

}  // namespace nmos::testing
