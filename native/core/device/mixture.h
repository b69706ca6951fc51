// A mixture of experts of one layer, down(glu(gate(x), up(x))) for each expert that the router chose for a token, of which some
// experts are in VRAM and the others in RAM: which ones, may change from pass to pass.
//
// All experts are in the mapped file. Those that VRAM has no room for may also have a copy in pinned memory, which uploads are
// fast from, and a place in the upload slot through which wide passes bring them to the card.
#pragma once

#include <ggml-cpp.h>
#include <ggml.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "device/expert_division.h"
#include "device/expert_usage.h"
#include "device/network.h"
#include "device/weight_unit.h"

namespace nmos {

// The nodes of a graph that compute a mixture, each of them with (…, used, tokens); the input is (embedding, 1 or used, tokens).
// The weights of all experts are (…, …, experts).
struct MixtureNodes : NetworkNodes {
    ggml_tensor* chosen() const { return gate->src[2]; }  // (used, tokens) I32, rows may be apart
    int64_t used() const { return down->ne[1]; }
    int64_t tokens() const { return down->ne[2]; }

    // Those that begin at `begin`; none when there is anything else among them or something else reads what is hidden.
    static std::optional<MixtureNodes> find(const ggml_cgraph* graph, int begin, const NetworkTensors& weights);
};

// The device that computes it calls under its lock; `make_room` of any kind, and what is const, may be called by others while
// nothing changes.
class HostMixture {
  public:
    // Experts one behind the other in some memory.
    using Room = NetworkRoom;
    using RoomPtr = std::shared_ptr<Room>;  // shared with who copies into it

    // The first `cut.resident` experts belong into VRAM. Nothing is there yet.
    HostMixture(const NetworkTensors& whole, const NetworkCut& cut);
    HostMixture(const HostMixture&) = delete;
    HostMixture& operator=(const HostMixture&) = delete;

    const NetworkTensors& whole() const { return whole_; }  // in the mapped file
    size_t experts() const { return vram_place_.size(); }
    size_t expert_bytes() const;
    ExpertUsage& usage() { return usage_; }

    // Null when the memory is refused.
    RoomPtr make_room(ggml_backend_buffer_type_t type, int64_t places) const;

    // VRAM. Places that are empty have `no_place` as their expert.
    const std::vector<int32_t>& expert_in_vram() const { return expert_in_; }  // (place)
    // The memory of those places; null while it is released.
    const RoomPtr& vram() const { return vram_; }
    size_t vram_bytes() const { return expert_in_.size() * expert_bytes(); }
    // All experts that belong there were copied.
    void move_to(RoomPtr vram) { vram_ = std::move(vram); }
    void release() { vram_ = nullptr; }
    // Experts that are there at present.
    size_t in_vram() const;

    // Copies all that is not in VRAM into pinned memory, with a place to spare; false when the system does not grant it.
    bool pin(ggml_backend_buffer_type_t type);
    // The i-th weight of an expert in RAM, as it may be copied from there.
    ggml_tensor* in_ram(size_t i, size_t expert) { return &homes_[i][expert]; }
    // That of all experts of a source of the processor.
    const ggml_tensor* of_processor(ExpertSource source, size_t i) const { return source == ExpertSource::Pinned ? pinned_->weights[i] : whole_.all()[i]; }

    // What wide passes upload. Its weights are kept in step with where the experts are; `slot_offsets` say where in a slot the
    // three begin, `paddings` what the card's kernels want behind them.
    void stream_with(HostUnit& unit, const std::array<size_t, 3>& slot_offsets, const std::array<size_t, 3>& paddings);
    HostUnit* unit() const { return unit_; }
    size_t slot_offset(size_t i) const { return slot_offsets_[i]; }
    int64_t slot_places() const { return static_cast<int64_t>(experts() - expert_in_.size()); }

    // Where a pass, which uploads what it can or not, has an expert computed.
    ExpertPlace place_of(int32_t expert, bool uploads) const;
    // Experts that the processor computes then.
    size_t on_processor(bool uploads) const;

    // A swap of an expert in VRAM for one in RAM, the one step before and the other after the copying. `out` is not in VRAM from
    // the first on; there has to be a place to spare for it in pinned memory, if there is such memory.
    struct Move {
        RoomPtr vram;
        int32_t vram_place = no_place;
        size_t in = 0;
        std::optional<size_t> out = {};
        RoomPtr pinned;                   // null: nothing is copied there
        int32_t pinned_place = no_place;  // for `out`
    };
    // The best swap, if there is a good one.
    std::optional<ExpertSwap> find_swap() const;
    Move begin(const ExpertSwap& swap);
    // What the move is about has been copied. Whether the slot's contents changed.
    bool finish(const Move& move);

  private:
    void set_home(size_t expert);
    void give_slots();
    void list_weights();

    NetworkTensors whole_;
    ExpertUsage usage_;
    RoomPtr vram_;
    RoomPtr pinned_;
    std::vector<int32_t> vram_place_;    // (expert)
    std::vector<int32_t> expert_in_;     // (place in VRAM)
    std::vector<int32_t> pinned_place_;  // (expert)
    std::vector<int32_t> slot_place_;    // (expert)
    std::vector<int32_t> free_pinned_;
    std::vector<int32_t> free_slots_;
    std::vector<size_t> in_slot_;        // (place) the expert, `experts()` where there is none
    std::array<std::vector<ggml_tensor>, 3> homes_;  // (weight)(expert) in RAM
    HostUnit* unit_ = nullptr;
    std::array<size_t, 3> slot_offsets_{};
    std::array<size_t, 3> paddings_{};
};

}  // namespace nmos
