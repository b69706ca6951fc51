#include "device/mixture.h"

#include <ggml-backend-impl.h>
#include <ggml-impl.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "device/copy_rows.h"

namespace nmos {

std::optional<MixtureNodes> MixtureNodes::find(const ggml_cgraph* graph, int begin, const NetworkTensors& weights) {
    const std::optional<NetworkNodes> chain = find_chain(graph, begin, weights, GGML_OP_MUL_MAT_ID);
    if (!chain) return std::nullopt;
    const MixtureNodes nodes{*chain};
    const ggml_tensor* const input = nodes.input();
    const ggml_tensor* const chosen = nodes.chosen();
    const bool plain = nodes.up->src[2] == chosen && nodes.down->src[2] == chosen && input->type == GGML_TYPE_F32 && ggml_is_contiguous(input) &&
                       input->ne[3] == 1 && chosen->type == GGML_TYPE_I32 && chosen->nb[0] == sizeof(int32_t) && chosen->ne[2] == 1 && ggml_is_contiguous(nodes.down);
    return plain ? std::optional(nodes) : std::nullopt;
}

HostMixture::HostMixture(const NetworkTensors& whole, const NetworkCut& cut)
    : whole_(whole), usage_(static_cast<size_t>(whole.gate->ne[2])), vram_place_(usage_.experts(), no_place), expert_in_(cut.resident),
      pinned_place_(usage_.experts(), no_place), slot_place_(usage_.experts(), no_place) {
    // Moves have room for what they note: they end between two passes, and half of one would be worse than none.
    free_pinned_.reserve(experts());
    free_slots_.reserve(experts());
    in_slot_.resize(static_cast<size_t>(slot_places()));
    std::iota(expert_in_.begin(), expert_in_.end(), 0);
    std::copy(expert_in_.begin(), expert_in_.end(), vram_place_.begin());
    for (size_t i = 0; i < homes_.size(); ++i) {
        ggml_tensor one = *whole_.all()[i];
        one.ne[2] = 1;
        one.nb[3] = one.nb[2];
        homes_[i].assign(experts(), one);
    }
    for (size_t expert = 0; expert < experts(); ++expert) set_home(expert);
}

size_t HostMixture::expert_bytes() const {
    size_t bytes = 0;
    for (const ggml_tensor* weight : whole_.all()) bytes += weight->nb[2];
    return bytes;
}

HostMixture::RoomPtr HostMixture::make_room(ggml_backend_buffer_type_t type, int64_t places) const {
    std::optional<Room> room = make_network_room({whole_.gate, whole_.up, whole_.down}, places, type);
    return room ? std::make_shared<Room>(std::move(*room)) : nullptr;
}

size_t HostMixture::in_vram() const {
    return vram_ ? expert_in_.size() - static_cast<size_t>(std::ranges::count(expert_in_, no_place)) : 0;
}

bool HostMixture::pin(ggml_backend_buffer_type_t type) {
    const int64_t places = slot_places() + 1;
    RoomPtr pinned = make_room(type, places);
    if (!pinned) return false;
    std::vector<size_t> in_ram;
    for (size_t expert = 0; expert < experts(); ++expert) {
        if (vram_place_[expert] == no_place) in_ram.push_back(expert);
    }
    copy_in_parts(in_ram.size(), in_ram.size() * expert_bytes(), [&](size_t begin, size_t end) {
        for (size_t place = begin; place < end; ++place) {
            for (size_t i = 0; i < homes_.size(); ++i) {
                const ggml_tensor& home = homes_[i][in_ram[place]];
                std::memcpy(static_cast<char*>(pinned->weights[i]->data) + pinned->offset(i, static_cast<int32_t>(place)), home.data, ggml_nbytes(&home));
            }
        }
    });
    for (size_t place = 0; place < in_ram.size(); ++place) pinned_place_[in_ram[place]] = static_cast<int32_t>(place);
    free_pinned_.push_back(static_cast<int32_t>(in_ram.size()));
    pinned_ = std::move(pinned);
    for (size_t expert = 0; expert < experts(); ++expert) set_home(expert);
    return true;
}

void HostMixture::set_home(size_t expert) {
    const int32_t place = pinned_place_[expert];
    for (size_t i = 0; i < homes_.size(); ++i) {
        char* const file = static_cast<char*>(whole_.all()[i]->data) + expert * whole_.all()[i]->nb[2];
        homes_[i][expert].data = place == no_place ? file : static_cast<char*>(pinned_->weights[i]->data) + pinned_->offset(i, place);
    }
}

void HostMixture::stream_with(HostUnit& unit, const std::array<size_t, 3>& slot_offsets, const std::array<size_t, 3>& paddings) {
    unit_ = &unit;
    unit.weights.reserve(homes_.size() * in_slot_.size());
    slot_offsets_ = slot_offsets;
    paddings_ = paddings;
    for (auto place = static_cast<int32_t>(slot_places()); place-- > 0;) free_slots_.push_back(place);
    give_slots();
    list_weights();
}

// To those that belong into RAM and have none, as far as there are any.
void HostMixture::give_slots() {
    for (size_t expert = 0; expert < experts() && !free_slots_.empty(); ++expert) {
        if (vram_place_[expert] != no_place || slot_place_[expert] != no_place) continue;
        slot_place_[expert] = free_slots_.back();
        free_slots_.pop_back();
    }
}

// In the order in which they lie in a slot, so that what lies one behind the other in RAM, too, is copied at once.
void HostMixture::list_weights() {
    std::ranges::fill(in_slot_, experts());
    for (size_t expert = 0; expert < experts(); ++expert) {
        if (slot_place_[expert] != no_place) in_slot_[static_cast<size_t>(slot_place_[expert])] = expert;
    }
    unit_->weights.clear();
    for (size_t i = 0; i < homes_.size(); ++i) {
        for (size_t place = 0; place < in_slot_.size(); ++place) {
            if (in_slot_[place] == experts()) continue;
            ggml_tensor& home = homes_[i][in_slot_[place]];
            unit_->weights.push_back({&home, slot_offsets_[i] + place * home.nb[2], place + 1 == in_slot_.size() ? paddings_[i] : 0});
        }
    }
}

ExpertPlace HostMixture::place_of(int32_t expert, bool uploads) const {
    const auto e = static_cast<size_t>(expert);
    if (vram_ && vram_place_[e] != no_place) return {ExpertSource::Vram, vram_place_[e]};
    if (uploads && slot_place_[e] != no_place) return {ExpertSource::Slot, slot_place_[e]};
    if (pinned_place_[e] != no_place) return {ExpertSource::Pinned, pinned_place_[e]};
    return {ExpertSource::File, expert};
}

size_t HostMixture::on_processor(bool uploads) const {
    size_t count = 0;
    for (size_t expert = 0; expert < experts(); ++expert) count += place_of(static_cast<int32_t>(expert), uploads).source >= processor_sources.front();
    return count;
}

std::optional<ExpertSwap> HostMixture::find_swap() const {
    if (!vram_ || expert_in_.empty()) return std::nullopt;
    const bool empty = std::ranges::find(expert_in_, no_place) != expert_in_.end();
    return nmos::find_swap(usage_, vram_place_, empty);
}

HostMixture::Move HostMixture::begin(const ExpertSwap& swap) {
    Move move{vram_, no_place, swap.in, swap.out, nullptr, no_place};
    if (!swap.out) {
        move.vram_place = static_cast<int32_t>(std::ranges::find(expert_in_, no_place) - expert_in_.begin());
        return move;
    }
    move.vram_place = vram_place_[*swap.out];
    vram_place_[*swap.out] = no_place;
    expert_in_[static_cast<size_t>(move.vram_place)] = no_place;
    if (!free_pinned_.empty()) {
        move.pinned = pinned_;
        move.pinned_place = free_pinned_.back();
        free_pinned_.pop_back();
    }
    return move;
}

bool HostMixture::finish(const Move& move) {
    if (move.pinned) {
        pinned_place_[*move.out] = move.pinned_place;
        set_home(*move.out);
    }
    // It was released meanwhile, and what was copied has gone with it; the place is empty.
    if (move.vram != vram_) return false;
    vram_place_[move.in] = move.vram_place;
    expert_in_[static_cast<size_t>(move.vram_place)] = static_cast<int32_t>(move.in);
    if (pinned_place_[move.in] != no_place) free_pinned_.push_back(pinned_place_[move.in]);
    pinned_place_[move.in] = no_place;
    set_home(move.in);
    if (slot_place_[move.in] != no_place) free_slots_.push_back(slot_place_[move.in]);
    slot_place_[move.in] = no_place;
    if (!unit_) return false;
    give_slots();
    list_weights();
    return true;
}

}  // namespace nmos
