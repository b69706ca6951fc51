// Models for tests of plans.
#pragma once

#include <cstdint>
#include <random>

#include "plan/model_profile.h"
#include "random_device.h"

namespace nmos::testing {

// Dense, with layers that are alike: a network of 100 MiB, an attention of 20.
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

// Ten layers of 100 MiB that cannot be divided, with 1 MiB of KV cache each for 1024 tokens, an output head of 50 MiB and 2 MiB of buffers.
inline ModelProfile ten_layers() {
    constexpr uint64_t mib = 1 << 20;
    ModelProfile model;
    model.path = "model.gguf";
    model.layers = 10;
    model.layer_bytes.assign(10, 100 * mib);
    model.kv_bytes_per_token.assign(10, 1024);
    model.embedding_bytes = 60 * mib;
    model.output_bytes = 50 * mib;
    return model;
}

// Of every layer, whose network divides into so many pieces, and of what is beside the layers.
inline void draw_sizes(std::mt19937_64& random, uint32_t pieces, ModelProfile& model) {
    constexpr uint64_t mib = 1 << 20;
    for (uint32_t i = 0; i < model.layers; ++i) {
        model.network_bytes[i] = static_cast<uint64_t>(between(random, 20, 200) * mib);
        model.layer_bytes[i] = model.network_bytes[i] + static_cast<uint64_t>(between(random, 1, 60) * mib);
        model.network_pieces[i] = pieces;
        model.kv_bytes_per_token[i] = random() % 8192;
    }
    model.feed_forward = 3 * model.embedding;
    model.vocabulary = 32000;
    model.embedding_bytes = model.output_bytes = static_cast<uint64_t>(between(random, 1, 400) * mib);
}

}  // namespace nmos::testing
