// A gated feed-forward network, down(glu(gate(x), up(x))), that is cut along its hidden dimension: every share of it is a
// network of its own with a narrower hidden layer, and the results of all shares add up to that of the whole.
//
// So a card can compute one share from VRAM while the processor computes another from RAM. (Megatron-LM divides networks
// between cards in this way: Shoeybi et al., arXiv 1909.08053.) ggml's own device over several devices was looked at for
// this: it makes every device compute all that is not divided, attention too, from a copy of those weights, holds all
// weights in buffers of the devices, and knows no weights that come and go. A card and the processor beside it differ too
// much for that.
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
