#include "plan/granted_slots.h"

#include <algorithm>
#include <string>
#include <vector>

#include "plan/several_cards.h"
#include "plan/shortfall.h"

namespace nmos {

namespace {

// As the planner predicts it, with the slots that there are.
void predict_again(const ModelProfile& model, Placement& placement) {
    std::vector<CardBudget> cards;
    SeveralCardsPlan plan;
    plan.units = *placement.units;
    for (const PlacedCard& card : placement.cards) {
        plan.cards.push_back({cards.size(), card.first_layer, card.layers, card.slots, card.slot_bytes, card.bytes});
        cards.push_back({card.device, card.profile, card.bytes});
    }
    for (PassPrediction& pass : placement.predictions) pass.seconds = predict_pass_over(model, cards, plan, pass.width);
}

// The card has no more for the next unit, whatever kept the model from having it before.
void explain_refusal(const ModelProfile& model, Placement& placement) {
    Shortfall& shortfall = *placement.shortfall;
    const std::vector<std::string> before = explain(shortfall, model, placement);
    shortfall.limit = Shortfall::Limit::Card;
    shortfall.bytes_free = 0;
    std::vector<std::string>& all = placement.explanation;
    // In the place of what was said of it.
    const auto said = std::ranges::search(all, before);
    const auto place = all.erase(said.begin(), said.end());
    const std::vector<std::string> after = explain(shortfall, model, placement);
    all.insert(place, after.begin(), after.end());
}

}  // namespace

void grant_slots(const ModelProfile& model, Placement& placement, size_t card, uint32_t slots) {
    PlacedCard& placed = placement.cards[card];
    const uint32_t planned = placed.slots;
    const uint64_t refused = (planned - slots) * placed.slot_bytes;
    placed.slots = slots;
    placed.bytes -= refused;
    placement.device_bytes -= refused;
    placement.units->vram_bytes -= refused;
    if (placement.cards.size() == 1) placement.units->slots = slots;
    if (placement.shortfall && placement.shortfall->device == placed.device) {
        explain_refusal(model.with_kv(placement.kv_type), placement);
    }
    predict_again(model, placement);
    placement.explanation.push_back(placed.device + " grants memory for " + std::to_string(slots) + " of the " + std::to_string(planned) + " upload slots only, which makes passes slower.");
}

}  // namespace nmos
