// The weights of HostWeights among the operands of a graph's nodes: finding them, and letting nodes find them elsewhere for the
// time of a call. Under the streaming device's lock.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "device/host_weights.h"
#include "device/upload_ring.h"

namespace nmos {

// The first weight in RAM that the node multiplies with, also by a view of it; null when there is none.
const ggml_tensor* host_weight_of_node(const ggml_tensor* node);
// The network that is cut up, or can leave the card, whose weight the node multiplies with; or null.
HostNetwork* network_of_node(const ggml_tensor* node);
// The same of a mixture whose experts are placed one by one.
HostMixture* mixture_of_node(const ggml_tensor* node);

// Tokens that an operation with weights computes.
uint32_t width_of(const ggml_tensor* node);

// As long as it lives, the weights of a unit that nodes multiply with lie in a slot.
class InSlot {
  public:
    InSlot(const ggml_cgraph& nodes, const HostUnit& unit, const UploadRing::Place& place);
    ~InSlot();
    InSlot(const InSlot&) = delete;
    InSlot& operator=(const InSlot&) = delete;

    // Tokens of the pass.
    uint32_t width() const { return width_; }

  private:
    void point_into(const ggml_cgraph& nodes, const HostUnit& unit, const UploadRing::Place& place);
    void point_back();

    struct Moved {
        ggml_tensor* operand;
        void* data;
        ggml_backend_buffer_t buffer;
    };
    std::vector<Moved> moved_;
    uint32_t width_ = 0;
};

// As long as it lives, nodes multiply with weights on the card in the place of those in the mapped file.
class InVram {
  public:
    InVram() = default;
    ~InVram();
    InVram(const InVram&) = delete;
    InVram& operator=(const InVram&) = delete;

    void give(ggml_tensor* node, ggml_tensor* weight);

  private:
    std::vector<std::pair<ggml_tensor*, ggml_tensor*>> given_;  // with the weight that it had
};

}  // namespace nmos
