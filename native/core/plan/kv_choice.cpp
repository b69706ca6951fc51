#include "plan/kv_choice.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "runtime/engine_error.h"

namespace nmos {

namespace {

// None where the machine cannot hold the model so.
std::optional<Placement> place_if_possible(const std::function<Placement(KvType)>& place, KvType type) {
    try {
        return place(type);
    } catch (const EngineError& error) {
        if (error.code() != ErrorCode::OutOfMemory) throw;
        return std::nullopt;
    }
}

// A card that would have a part of the model and does not compute attention over the quantised cache.
std::optional<std::string> without_reader(const PlacementRequest& request, const Placement& quantised) {
    for (const PlacedCard& placed : quantised.cards) {
        const auto card = std::ranges::find(request.cards, placed.device, &CardMemory::device);
        if (card != request.cards.end() && !card->reads_quantised_kv) return placed.device;
    }
    return std::nullopt;
}

KvChoice explained(Placement placement, const std::string& why) {
    std::string reason = std::string("The KV cache is in ") + (placement.kv_type == KvType::Q8_0 ? "Q8_0" : "F16") + why + ".";
    return {std::move(placement), std::move(reason)};
}

std::string percent(double share) {
    return std::to_string(std::lround(100 * share)) + "%";
}

}  // namespace

std::optional<double> typical_seconds(const ModelProfile& model, const PlacementRequest& request, const Placement& placement) {
    const auto typical = [&](const std::function<double(uint32_t)>& seconds_of) { return typical_request_seconds(request.batch_size, seconds_of); };
    if (!placement.predictions.empty()) return typical([&](uint32_t width) { return predicted_seconds(placement.predictions, width); });
    // Nothing is predicted of a model that a card holds as a whole.
    const auto card = std::ranges::find(request.cards, placement.device, &CardMemory::device);
    if (card == request.cards.end() || !card->profile) return std::nullopt;
    const UnitPlan layers = whole_layers(model, placement.device_layers);
    return typical([&](uint32_t width) { return predict_pass(model, *card->profile, layers, width); });
}

KvChoice choose_kv(const ModelProfile& model, const PlacementRequest& request, const std::function<Placement(KvType)>& place) {
    const bool has_card = request.use_gpu && !request.cards.empty();
    std::optional<Placement> full = place_if_possible(place, KvType::F16);
    if (full && !has_card) return explained(std::move(*full), ", because no card is used and RAM suffices for it");
    if (full && full->device_layers == full->layers && !full->units) return explained(std::move(*full), ", because all of the model is on cards with it");
    if (full && !model.can_quantise_kv) return explained(std::move(*full), ", because that of this model cannot be quantised");

    // Its error is the one that says what is needed at least.
    if (!full) return explained(place(KvType::Q8_0), ", because the memory of this machine does not suffice for one in F16");
    std::optional<Placement> quantised = place_if_possible(place, KvType::Q8_0);
    if (const std::optional<std::string> card = quantised ? without_reader(request, *quantised) : std::nullopt) {
        return explained(std::move(*full), ", because " + *card + " computes attention over no other one");
    }
    const std::optional<double> before = typical_seconds(model, request, *full);
    const std::optional<double> after = quantised ? typical_seconds(model, request, *quantised) : std::nullopt;
    if (!before || !after) return explained(std::move(*full), ", because the speed of the card is not known, by which another one would be chosen");
    const double gain = 1 - *after / *before;
    if (gain >= least_kv_gain) return explained(std::move(*quantised), ", because that lets more of the model be on cards: a typical request is predicted to take " + percent(gain) + " less time");
    return explained(std::move(*full), gain >= 0.005 ? ", because Q8_0 is predicted to save no more than " + percent(gain) + " of a typical request's time"
                                                     : ", because a smaller one is not predicted to make a typical request faster");
}

}  // namespace nmos
