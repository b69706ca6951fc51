// The weights of one model that are not resident on a card: a ggml buffer type whose memory is RAM, and the units in it.
//
// llama.cpp's tensor overrides put tensors there while it loads; the processor computes from it directly, and a streaming
// device uploads from it. Made before the model is loaded, freed after it. `unit_of` may be called from any thread once
// the model is loaded.
#pragma once

#include <ggml-backend.h>

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "device/weight_unit.h"

namespace nmos {

enum class HostMemory : uint8_t {
    Mapped,  // the pages of the file itself: no copy, and the system may drop them
    Pinned,  // of the card's host buffer type where it has one and grants it, else ordinary memory
};

struct HostWeightsOptions {
    HostMemory memory = HostMemory::Mapped;
    uint32_t output_layer = 0;
    // Units that are streamed from some width on; the others are always computed by the processor.
    std::map<UnitId, uint32_t> stream_from_width;
};

class HostWeights {
  public:
    // `card` is the device that the weights are uploaded to, which is not a streaming device itself.
    HostWeights(ggml_backend_dev_t card, HostWeightsOptions options);
    ~HostWeights();
    HostWeights(const HostWeights&) = delete;
    HostWeights& operator=(const HostWeights&) = delete;

    ggml_backend_buffer_type_t buffer_type();
    // What a buffer of this kind belongs to, or null.
    static HostWeights* of(ggml_backend_buffer_type_t type);
    static HostWeights* of(const ggml_tensor* tensor);

    ggml_backend_dev_t card() const { return card_; }
    // The card can read all of it by itself.
    bool pinned() const { return pinned_; }
    // Null for a tensor that no unit has, which is never streamed.
    const HostUnit* unit_of(const ggml_tensor* tensor) const;
    // In the order of execution.
    std::vector<const HostUnit*> units() const;
    // The first unit behind `unit` that a pass of `width` streams, beyond the end from the beginning; null when there is
    // none, `unit` itself when it is the only one.
    const HostUnit* next_streamed(const HostUnit& unit, uint32_t width) const;
    // Bytes of the largest unit that is streamed at any width.
    size_t largest_streamed() const;

  private:
    struct Ggml;

    void add(ggml_tensor* tensor);

    ggml_backend_dev_t card_;
    HostWeightsOptions options_;
    bool pinned_;
    std::map<UnitId, HostUnit> units_;
    std::unordered_map<const ggml_tensor*, const HostUnit*> unit_of_;
    std::unique_ptr<Ggml> ggml_;
};

}  // namespace nmos
