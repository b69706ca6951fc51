// Why there is no more of a model on a card: what the next unit would take, what is left for it, and what would have to change. Pure: no I/O,
// no clock.
//
// What the next unit takes was tried: with just so much more memory, the planner places more of the model on the card. Where no more
// memory up to that of a whole layer makes it do so, speed is the limit. Only over several cards nothing is planned anew, as that may
// take seconds; there, the numbers are those of the card with the least to go. What would have to change is computed from the sizes and
// not tried.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace nmos {

struct CardMemory;
struct ModelProfile;
struct Placement;
struct PlacementRequest;

struct Shortfall {
    enum class Unit : uint8_t {
        Layer,      // all of one, with its KV cache
        Attention,  // of a layer, with its KV cache
        Network,    // shares of feed-forward networks
        Expert,     // one of a mixture, or some
    };
    enum class Limit : uint8_t {
        Card,        // its free memory, or what it grants
        Setting,     // the limit that all models have
        OtherModel,  // what others have there, or what is kept for one
        Speed,       // more memory would not be used
    };

    std::string device;         // ggml's name
    Unit unit = Unit::Layer;    // the next one
    Limit limit = Limit::Card;
    uint64_t bytes_needed = 0;  // for it; for the first layer with the output head and the compute buffers
    uint64_t bytes_free = 0;    // of what the model may use of the card
    bool reads_quantised_kv = true;  // all cards with a part of the model do, so that such a KV cache may be advised
};

// What a model may use of a card on which it has a part, or could have one.
struct CardRoom {
    const CardMemory* card = nullptr;
    uint64_t budget = 0;    // bytes
    uint64_t reserved = 0;  // bytes that are kept for another model there
};

// `rooms` are those of the placement's cards in their order, or that of the card on which nothing of the model found room.
// `with_more` places the model on this card alone when it may use so many bytes more; it is not called for several cards. None where
// cards hold all of the model.
std::optional<Shortfall> find_shortfall(const ModelProfile& model, const PlacementRequest& request, const Placement& placement,
                                        std::span<const CardRoom> rooms, const std::function<Placement(uint64_t)>& with_more);

// For people, with what they can do about it; a sentence each.
std::vector<std::string> explain(const Shortfall& shortfall, const ModelProfile& model, const Placement& placement);

}  // namespace nmos
