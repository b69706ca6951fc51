// The unit of placement: what of a model is moved as a whole between RAM and a card.
#pragma once

#include <ggml.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace nmos {

// In the order of execution inside a layer.
enum class UnitGroup : uint8_t { Attention, FeedForward, Experts, Output };

struct UnitId {
    uint32_t layer = 0;  // the output head counts as the layer behind the last
    UnitGroup group = UnitGroup::Attention;
    uint32_t share = 0;  // of a network that is cut up

    auto operator<=>(const UnitId&) const = default;
};

// Of a tensor by its name in the file, such as "blk.7.ffn_up.weight"; none for the token embedding and other tensors
// that no pass multiplies with. The head is the layer `output_layer`.
std::optional<UnitId> unit_of_tensor(std::string_view name, uint32_t output_layer);

// A width no pass has: such a unit is never streamed.
constexpr uint32_t never_streamed = UINT32_MAX;

// How a feed-forward network is divided along its hidden dimension, in pieces of equal size, from the beginning on. Each of
// the shares may be empty. A network of one piece is placed as a whole. The pieces of a mixture are its experts: which of them
// are resident changes with their use, and none is uploaded by every pass.
//
// What is neither resident nor always streamed, the processor computes from RAM beside the card, unless the pass is wide: the
// wider it is, the slower is the processor in comparison with an upload.
struct NetworkCut {
    uint32_t pieces = 0;    // 0: the layer has no such network
    uint32_t resident = 0;  // in VRAM
    uint32_t streamed = 0;  // uploaded by every pass
    uint32_t early = 0;     // uploaded by passes at least so wide:
    uint32_t stream_early_from_width = never_streamed;
    uint32_t stream_rest_from_width = never_streamed;  // as what is left, the rest; not less than that of the early ones

    uint32_t in_ram() const { return pieces - resident; }
    uint32_t rest() const { return pieces - resident - streamed - early; }
    // Pieces that the processor computes in a pass.
    uint32_t on_processor(uint32_t width) const {
        return (width < stream_early_from_width ? early : 0) + (width < stream_rest_from_width ? rest() : 0);
    }
};

// A unit whose weights are in RAM.
struct HostUnit {
    struct Weight {
        ggml_tensor* tensor = nullptr;  // as it lies in RAM; its rows need not lie one right behind the other
        size_t slot_offset = 0;  // bytes from the beginning of an upload slot
        size_t padding = 0;      // zero bytes that the card's kernels want behind the weight
    };

    UnitId id;
    // Passes at least this wide upload the unit and compute it on the card; narrower ones compute it from RAM.
    uint32_t stream_from_width = never_streamed;
    std::vector<Weight> weights;
    size_t slot_bytes = 0;  // of all weights in an upload slot
    bool pinned = false;    // the card can read them by itself
};

}  // namespace nmos
