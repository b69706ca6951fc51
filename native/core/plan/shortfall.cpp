#include "plan/shortfall.h"

#include <algorithm>
#include <limits>

#include "plan/card_bytes.h"
#include "plan/placement.h"

namespace nmos {

namespace {

constexpr uint64_t mib = 1 << 20;

// Tokens; nobody is advised to a shorter context.
constexpr uint64_t shortest_context = 1024;

// Of the last layer that is not on a card.
uint64_t layer_size(const ModelProfile& model, const PlacementRequest& request, const Placement& placement, const CardMemory& card, bool with_network) {
    const uint32_t below = placement.layers - placement.device_layers;
    const uint32_t layer = below - 1;
    uint64_t bytes = layer_bytes_with_kv(model, request, layer) + copied_bytes(model, request, card, layer);
    if (!with_network) bytes -= model.network_bytes[layer];
    // Results of shares are added up.
    if (!with_network && (!placement.units || placement.units->networks_on_card().in_ram() == 0)) bytes += share_result_bytes(model, request.batch_size);
    if (placement.device_layers == 0) return bytes + bytes_beside_layers(model, request);
    return less(bytes, copied_bytes(model, request, card, below));
}

// Of the networks of some layers that are on a card, the smallest piece that is in RAM.
std::optional<uint64_t> smallest_piece(const ModelProfile& model, const UnitPlan& units, uint32_t first, uint32_t count) {
    std::optional<uint64_t> smallest;
    for (uint32_t layer = first; layer < first + count; ++layer) {
        const NetworkCut& network = units.layers[layer].network;
        if (!units.layers[layer].on_card || network.in_ram() == 0) continue;
        const uint64_t piece = (model.network_bytes[layer] + network.pieces - 1) / network.pieces;
        smallest = std::min(smallest.value_or(piece), piece);
    }
    return smallest;
}

// What is tried to have room for, the least first.
std::vector<uint64_t> sizes_to_try(const ModelProfile& model, const PlacementRequest& request, const Placement& placement, const CardMemory& card) {
    std::vector<uint64_t> sizes;
    if (placement.device_layers < placement.layers) {
        sizes.push_back(layer_size(model, request, placement, card, true));
        if (card.profile) sizes.push_back(layer_size(model, request, placement, card, false));
    }
    if (placement.units) {
        const uint64_t largest = std::ranges::max(model.layer_bytes);
        // One piece may be of no use where layers share what is resident evenly. In large steps, as each is a plan.
        const uint64_t piece = smallest_piece(model, *placement.units, 0, placement.layers).value_or(largest);
        for (uint64_t bytes = piece; bytes < largest; bytes *= 4) sizes.push_back(bytes);
        sizes.push_back(largest);
    }
    std::ranges::sort(sizes);
    return sizes;
}

bool has_more(const Placement& placement, const Placement& other) {
    if (other.device_layers != placement.device_layers) return other.device_layers > placement.device_layers;
    return other.host_bytes < placement.host_bytes;
}

Shortfall::Unit unit_of_network(const ModelProfile& model, const Placement& placement, uint32_t first, uint32_t count) {
    for (uint32_t layer = first; layer < first + count; ++layer) {
        if (model.is_mixture[layer] && placement.units->layers[layer].network.in_ram() > 0) return Shortfall::Unit::Expert;
    }
    return Shortfall::Unit::Network;
}

// What `other` has more of.
Shortfall::Unit gained(const ModelProfile& model, const Placement& placement, const Placement& other) {
    const uint32_t next = placement.layers - placement.device_layers - 1;
    if (other.device_layers == placement.device_layers) return unit_of_network(model, placement, placement.layers - placement.device_layers, placement.device_layers);
    return other.units && other.units->layers[next].network.in_ram() > 0 ? Shortfall::Unit::Attention : Shortfall::Unit::Layer;
}

// What keeps a model from having `bytes` on a card that may have fewer there.
Shortfall::Limit limit_of(const PlacementRequest& request, const CardRoom& room, uint64_t bytes) {
    const CardMemory& card = *room.card;
    const uint64_t setting = request.vram_limit > 0 ? request.vram_limit : std::numeric_limits<uint64_t>::max();
    const uint64_t alone = std::min({setting, less(card.free + card.used, vram_margin), card.most});
    if (card.used + room.reserved > 0 && bytes <= alone) return Shortfall::Limit::OtherModel;
    const uint64_t free = std::min(less(card.free, vram_margin), card.most);
    return less(setting, card.used) < free ? Shortfall::Limit::Setting : Shortfall::Limit::Card;
}

Shortfall of_one_card(const ModelProfile& model, const PlacementRequest& request, const Placement& placement, const CardRoom& room,
                      const std::function<Placement(uint64_t)>& with_more) {
    const uint64_t free = less(room.budget, placement.device_bytes);
    const std::vector<uint64_t> sizes = sizes_to_try(model, request, placement, *room.card);
    for (const uint64_t bytes : sizes) {
        if (bytes <= free) continue;
        const Placement more = with_more(bytes - free);
        if (!has_more(placement, more)) continue;
        return {room.card->device, gained(model, placement, more), limit_of(request, room, placement.device_bytes + bytes), bytes, free};
    }
    const uint32_t on_card = placement.device_layers;
    const auto unit = placement.units && placement.units->networks_on_card().in_ram() > 0 ? unit_of_network(model, placement, placement.layers - on_card, on_card) : Shortfall::Unit::Layer;
    return {room.card->device, unit, Shortfall::Limit::Speed, sizes.front(), free};
}

std::optional<Shortfall> of_several_cards(const ModelProfile& model, const PlacementRequest& request, const Placement& placement, std::span<const CardRoom> rooms) {
    std::optional<Shortfall> nearest;
    const auto consider = [&](const CardRoom& room, const PlacedCard& placed, Shortfall::Unit unit, uint64_t bytes) {
        const uint64_t free = less(room.budget, placed.bytes);
        if (nearest && less(nearest->bytes_needed, nearest->bytes_free) <= less(bytes, free)) return;
        nearest = {placed.device, unit, bytes > free ? limit_of(request, room, placed.bytes + bytes) : Shortfall::Limit::Speed, bytes, free};
    };
    for (size_t i = 0; i < placement.cards.size(); ++i) {
        const PlacedCard& placed = placement.cards[i];
        if (i == 0 && placed.first_layer > 0) consider(rooms[i], placed, Shortfall::Unit::Attention, layer_size(model, request, placement, *rooms[i].card, false));
        if (!placement.units) continue;
        const std::optional<uint64_t> piece = smallest_piece(model, *placement.units, placed.first_layer, placed.layers);
        if (piece) consider(rooms[i], placed, unit_of_network(model, placement, placed.first_layer, placed.layers), *piece);
    }
    return nearest;
}

std::string whole_mib(uint64_t bytes) {
    return std::to_string(bytes / mib) + " MiB";
}

std::string named(Shortfall::Unit unit, bool first) {
    switch (unit) {
        case Shortfall::Unit::Layer: return first ? "The output head and one layer with its KV cache" : "One more layer with its KV cache";
        case Shortfall::Unit::Attention: return first ? "The output head and the attention of one layer with its KV cache" : "The attention of one more layer with its KV cache";
        case Shortfall::Unit::Network: return "More of the feed-forward networks";
        case Shortfall::Unit::Expert: return "More experts";
    }
    return "";
}

std::string reason(Shortfall::Limit limit) {
    switch (limit) {
        case Shortfall::Limit::Card: return "the card has no more";
        case Shortfall::Limit::Setting: return "the VRAM limit of the settings is reached";
        case Shortfall::Limit::OtherModel: return "the rest is another model's";
        case Shortfall::Limit::Speed: break;
    }
    return "";
}

// Bytes of a token's keys and values there, with those of the next layer if that is what finds no room.
uint64_t kv_bytes_per_token(const Shortfall& shortfall, const ModelProfile& model, const Placement& placement) {
    uint64_t bytes = 0;
    for (const PlacedCard& card : placement.cards) {
        if (card.device != shortfall.device) continue;
        for (uint32_t layer = card.first_layer; layer < card.first_layer + card.layers; ++layer) bytes += model.kv_bytes_per_token[layer];
    }
    const bool with_next = shortfall.unit == Shortfall::Unit::Layer || shortfall.unit == Shortfall::Unit::Attention;
    return with_next ? bytes + model.kv_bytes_per_token[placement.layers - placement.device_layers - 1] : bytes;
}

std::string remedies(const Shortfall& shortfall, const ModelProfile& model, const Placement& placement) {
    const uint64_t missing = less(shortfall.bytes_needed, shortfall.bytes_free);
    std::vector<std::string> list;
    if (shortfall.limit == Shortfall::Limit::Setting) list.emplace_back("a higher limit");
    if (shortfall.limit == Shortfall::Limit::OtherModel) list.emplace_back("the other model unloaded");
    const uint64_t per_token = kv_bytes_per_token(shortfall, model, placement);
    const uint64_t fewer = per_token > 0 ? (missing + per_token - 1) / per_token : placement.context_length;
    if (const uint64_t tokens = less(placement.context_length, fewer); tokens >= shortest_context) {
        list.push_back("a context of at most " + std::to_string(tokens) + " tokens");
    }
    const ModelProfile quantised = model.with_kv(KvType::Q8_0);
    const uint64_t smaller = kv_bytes_per_token(shortfall, quantised, placement);
    if (shortfall.reads_quantised_kv && (per_token - smaller) * placement.context_length >= missing && per_token > smaller) list.emplace_back("a KV cache in Q8_0");
    list.emplace_back("a smaller model");
    std::string text = "More of it would find room with ";
    for (const std::string& one : list) text += (&one == &list.front() ? "" : &one == &list.back() ? " or " : ", ") + one;
    return text + ".";
}

}  // namespace

std::optional<Shortfall> find_shortfall(const ModelProfile& model, const PlacementRequest& request, const Placement& placement,
                                        std::span<const CardRoom> rooms, const std::function<Placement(uint64_t)>& with_more) {
    const bool is_whole = placement.device_layers == placement.layers && !placement.units;
    if (is_whole || rooms.empty()) return std::nullopt;
    std::optional<Shortfall> shortfall =
        rooms.size() > 1 ? of_several_cards(model, request, placement, rooms) : of_one_card(model, request, placement, rooms.front(), with_more);
    if (shortfall) shortfall->reads_quantised_kv = std::ranges::all_of(rooms, [](const CardRoom& room) { return room.card->reads_quantised_kv; });
    return shortfall;
}

std::vector<std::string> explain(const Shortfall& shortfall, const ModelProfile& model, const Placement& placement) {
    if (shortfall.limit == Shortfall::Limit::Speed) {
        return {"More of the model on " + shortfall.device + " would not make it faster, as the processor computes the rest at the same time."};
    }
    // Never the same number where one is larger.
    const std::string needed = whole_mib(shortfall.bytes_needed + mib - 1);
    return {named(shortfall.unit, placement.device_layers == 0) + " would take " + needed + ", and " + whole_mib(shortfall.bytes_free) +
                " of what this model may use of " + shortfall.device + " are left: " + reason(shortfall.limit) + ".",
            remedies(shortfall, model, placement)};
}

}  // namespace nmos
