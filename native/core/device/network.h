// A gated feed-forward network, down(glu(gate(x), up(x))), that is cut along its hidden dimension: every share of it is a
// network of its own with a narrower hidden layer, and the results of all shares add up to that of the whole.
//
// So a card can compute one share from VRAM while the processor computes another from RAM. (Megatron-LM divides networks
// between cards in this way: Shoeybi et al., arXiv 1909.08053.)
//
// ggml's own device over several devices (ggml-backend-meta.cpp, LLAMA_SPLIT_MODE_TENSOR of llama.cpp) does the like for equal cards.
// For a card and the processor beside it it does not serve; in the pinned version:
// - Every weight lies in buffers of the devices from loading on, each device's slice in memory of its own: nothing is mapped from the file
//   or memory of the host's (buffer_from_host_ptr and host_buffer are not implemented), so that the processor's part would be a copy. It has
//   neither events nor offload_op: nothing is uploaded, beside computing or otherwise.
// - A weight is asked once how it is divided, and its slices are made then. There is one cut for passes of all widths, and none that moves
//   while the model is loaded.
// - What is not divided (norms, residuals, routers) every device computes from a copy of its weights, and the results of all are added up
//   behind each multiplication that is divided along its inner dimension: twice a layer, attention's output too, where here it is once.
//   Cards of one kind may bring a function for that along (CUDA, SYCL); else each side's part is copied to the other one and added there,
//   and for a copy from a card to the processor both queues are waited for.
// - Of a mixture llama.cpp divides every expert along its hidden dimension; single experts have no place. 29 architectures (DeepSeek 2,
//   OLMo 2, Mamba and others) it refuses, and it needs flash attention.
// - Memory that a device refuses ends the process (GGML_ASSERT), where here it leads to a smaller plan.
// Where quantised rows are cut is no difference: both cut at the borders of blocks.
#pragma once

#include <ggml-cpp.h>
#include <ggml.h>

#include <array>
#include <cstdint>
#include <optional>

#include "device/graph_tensors.h"

namespace nmos {

struct NetworkTensors {
    ggml_tensor* gate = nullptr;  // (embedding, hidden)
    ggml_tensor* up = nullptr;    // (embedding, hidden)
    ggml_tensor* down = nullptr;  // (hidden, embedding)

    std::array<ggml_tensor*, 3> all() const { return {gate, up, down}; }
};

// The nodes of a graph that compute a network, in any order of the first two.
struct NetworkNodes {
    static constexpr int count = 4;

    ggml_tensor* gate = nullptr;  // (hidden, width)
    ggml_tensor* up = nullptr;    // (hidden, width)
    ggml_tensor* glu = nullptr;   // (hidden, width)
    ggml_tensor* down = nullptr;  // (embedding, width)

    ggml_tensor* input() const { return gate->src[1]; }  // (embedding, width)

    // Those that begin at `begin`; none when there is anything else among them or something else reads what is hidden.
    static std::optional<NetworkNodes> find(const ggml_cgraph* graph, int begin, const NetworkTensors& weights);

  protected:
    // The same of any input, with this multiplication.
    static std::optional<NetworkNodes> find_chain(const ggml_cgraph* graph, int begin, const NetworkTensors& weights, ggml_op multiplication);
};

// Room for the weights of a network, or of several one behind the other, in other memory.
struct NetworkRoom {
    ggml_context_ptr context;
    ggml_backend_buffer_ptr buffer;
    std::array<ggml_tensor*, 3> weights{};  // gate, up, down

    // Of one of several, in bytes of the i-th weight.
    size_t offset(size_t i, int32_t place) const { return static_cast<size_t>(place) * weights[i]->nb[2]; }
};
// For `places` networks as large as `like`. None when the memory is refused.
std::optional<NetworkRoom> make_network_room(const std::array<const ggml_tensor*, 3>& like, int64_t places, ggml_backend_buffer_type_t type);

// A share of a network and the nodes that compute it. Not thread-safe.
class NetworkShare {
  public:
    // The rows [begin, begin + count) of the hidden dimension, as they lie in the memory of the whole network.
    NetworkShare(const NetworkTensors& whole, int64_t begin, int64_t count);
    NetworkShare(const NetworkShare&) = delete;
    NetworkShare& operator=(const NetworkShare&) = delete;

    int64_t hidden() const { return gate_.ne[1]; }
    // Where they are at present.
    NetworkTensors weights() { return {&gate_, &up_, &down_}; }
    // Bytes of the weights.
    size_t bytes() const;

    using Room = NetworkRoom;
    // None when the memory is refused.
    std::optional<Room> make_room(ggml_backend_buffer_type_t type) const;
    // The weights were copied there, and lie there from now on.
    void move_to(Room room);
    // Back to where the whole network lies; what the share lay in is freed.
    void move_back();
    bool moved() const { return room_.buffer != nullptr; }
    // Makes room in RAM, copies and moves at once; false when the memory is refused, which leaves the share where it was.
    bool move_into(ggml_backend_buffer_type_t type);

    struct Places {
        std::array<Memory, 3> weights;  // gate, up, down
        Memory input, gate, up, glu, result;
    };
    // The graph that computes what `nodes` compute of the whole network. Valid until the next call.
    ggml_cgraph* graph(const NetworkNodes& nodes, const Places& places);

  private:
    ggml_tensor gate_{};
    ggml_tensor up_{};
    ggml_tensor down_{};
    std::array<ggml_tensor, 3> home_;  // in the memory of the whole network
    Room room_;                        // empty: at home

    struct Nodes {
        ggml_tensor weights[3], input, gate, up, glu, down;
    };
    Nodes nodes_{};
    ggml_context_ptr graph_context_;
    ggml_cgraph* graph_ = nullptr;
};

}  // namespace nmos
