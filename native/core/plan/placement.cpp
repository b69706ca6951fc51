#include "plan/placement.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

#include "plan/card_bytes.h"
#include "plan/kv_choice.h"
#include "plan/several_cards.h"
#include "plan/shortfall.h"
#include "runtime/engine_error.h"

namespace nmos {

namespace {

// A process without room for anything but weights is swapped out.
constexpr uint64_t ram_margin = 256ull << 20;

std::string mib(uint64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f MiB", static_cast<double>(bytes) / (1 << 20));
    return text;
}

std::string count(uint32_t number, const char* noun) {
    return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

// With what is kept for another model.
uint64_t allowed_on(const CardMemory& card, const PlacementRequest& request) {
    const uint64_t free = less(card.free, vram_margin);
    return request.vram_limit > 0 ? std::min(less(request.vram_limit, card.used), free) : free;
}

// The card with the most of what `bytes_on` counts. An integrated one offers much of RAM as its memory and is slower all the
// same.
template <typename BytesOn> auto roomiest(const PlacementRequest& request, BytesOn bytes_on) {
    return std::ranges::max_element(request.cards, {}, [&](const CardMemory& card) { return std::tuple(!card.integrated, bytes_on(card), card.free); });
}

// What is kept for another model, on the card that it will be placed on. `card` is one of the request's.
uint64_t reserved_on(const CardMemory& card, const PlacementRequest& request) {
    const auto of_other = roomiest(request, [&](const CardMemory& one) { return allowed_on(one, request); });
    return &card == &*of_other ? request.vram_reserved : 0;
}

uint64_t budget_of(const CardMemory& card, const PlacementRequest& request) {
    return std::min(less(allowed_on(card, request), reserved_on(card, request)), card.most);
}

// The most layers whose weights and KV cache fit into `budget` beside the output head and the compute buffers.
struct CardShare {
    uint32_t layers = 0;
    uint64_t weights = 0;
    uint64_t bytes = 0;
};

std::optional<CardShare> fill_card(const ModelProfile& model, const PlacementRequest& request, const CardMemory& card, uint64_t budget) {
    std::optional<CardShare> most;
    CardShare share;
    share.weights = model.output_bytes;
    share.bytes = bytes_beside_layers(model, request);
    while (share.layers < model.layers && share.bytes <= budget) {
        const uint32_t layer = model.layers - 1 - share.layers;
        share.bytes += layer_bytes_with_kv(model, request, layer);
        share.weights += model.layer_bytes[layer];
        ++share.layers;
        const uint64_t copies = copied_bytes(model, request, card, layer);
        if (share.bytes + copies <= budget) most = {share.layers, share.weights, share.bytes + copies};
    }
    return most;
}

void explain_card(const PlacementRequest& request, const CardMemory& card, Placement& placement) {
    const uint64_t allowed = allowed_on(card, request);
    const uint64_t reserved = reserved_on(card, request);
    placement.explanation.push_back(
        card.device + " (" + card.description + ") has " + mib(card.free) + " free; " +
        (request.vram_limit > 0 && allowed == less(request.vram_limit, card.used)
             ? "this model may use " + mib(allowed)
             : mib(allowed) + " are used at most, the rest stays free for other programs") +
        ".");
    if (card.most < less(allowed, reserved)) placement.explanation.push_back("It grants this model no more than " + mib(card.most) + ".");
    if (reserved > 0) placement.explanation.push_back(mib(reserved) + " of that are kept for the model of ghost text.");
}

bool has_divisible_network(const ModelProfile& model) {
    for (size_t i = 0; i < model.network_pieces.size(); ++i) {
        if (model.network_pieces[i] > 1 && !model.is_mixture[i]) return true;
    }
    return false;
}

void check_ram(const ModelProfile& model, const PlacementRequest& request, const Placement& placement) {
    const uint64_t kv_on_host = placement.kv_bytes * (placement.layers - placement.device_layers) / placement.layers;
    const uint64_t buffers = kv_on_host + compute_buffer_bytes(model, request.context_length, request.batch_size);
    if (placement.host_bytes + ram_margin > request.ram_total) {
        throw EngineError(ErrorCode::OutOfMemory, "The model needs " + mib(placement.host_bytes) + " of RAM for its weights, but this machine has " +
                                                      mib(request.ram_total) + ". Choose a smaller model.");
    }
    if (buffers + ram_margin > request.ram_available) {
        throw EngineError(ErrorCode::OutOfMemory, "A context of " + std::to_string(request.context_length) + " tokens needs " + mib(buffers) +
                                                      " of RAM, but only " + mib(request.ram_available) +
                                                      " are available. Choose a shorter context or close other programs.");
    }
}

}  // namespace

std::string card_names(const Placement& placement) {
    std::string names;
    for (const PlacedCard& card : placement.cards) names += (names.empty() ? "" : ", ") + card.device;
    return names;
}

uint64_t compute_buffer_bytes(const ModelProfile& model, uint32_t context_length, uint32_t batch_size) {
    // Of a mixture, every expert that a token chose has a hidden layer and a result.
    const uint64_t mixture = model.experts > 0 ? model.experts_used * (uint64_t{model.expert_width} * 3 + model.embedding) : 0;
    const uint64_t activations = uint64_t{batch_size} * (std::max(uint64_t{model.feed_forward} * 3, mixture) + uint64_t{model.embedding} * 8) * sizeof(float);
    const uint64_t mask = uint64_t{batch_size} * context_length * sizeof(float);
    return activations + mask + uint64_t{model.vocabulary} * sizeof(float) * 2;
}

uint64_t offload_bytes(const ModelProfile& model, uint32_t context_length, uint32_t layers_below) {
    uint64_t most = layers_below > 0 ? model.largest_weight : 0;
    for (uint32_t layer = 0; layer < layers_below; ++layer) most = std::max(most, model.kv_bytes_per_token[layer] * context_length);
    return most;
}

uint64_t share_result_bytes(const ModelProfile& model, uint32_t batch_size) {
    // Two that are added, or one for each of a token's experts together with their numbers.
    const uint64_t row = uint64_t{model.embedding} * sizeof(float);
    const uint64_t mixture = model.experts > 0 ? model.experts_used * (row + 4 * sizeof(int32_t)) : 0;
    return batch_size * std::max(2 * row, mixture);
}

namespace {

uint64_t resident_weights(const ModelProfile& model, const UnitPlan& units) {
    uint64_t bytes = units.output_on_card ? model.output_bytes : 0;
    for (size_t i = 0; i < units.layers.size(); ++i) {
        if (units.layers[i].on_card) bytes += model.layer_bytes[i] - model.network_bytes[i];
        bytes += resident_bytes(model, units, i);
    }
    return bytes;
}

uint64_t kv_bytes(const ModelProfile& model, const PlacementRequest& request, uint32_t first, uint32_t count) {
    uint64_t bytes = 0;
    for (uint32_t layer = first; layer < first + count; ++layer) bytes += model.kv_bytes_per_token[layer] * request.context_length;
    return bytes;
}

// The budgets of the cards that may hold a part of a model, the best one's first. Integrated graphics share their memory
// and its bus with the processor and would gain nothing.
std::vector<CardBudget> budgets(const PlacementRequest& request, const CardMemory& best) {
    std::vector<CardBudget> all{{best.device, *best.profile, budget_of(best, request)}};
    std::vector<const CardMemory*> others;
    for (const CardMemory& card : request.cards) {
        if (&card != &best && !card.integrated && card.profile) others.push_back(&card);
    }
    std::ranges::stable_sort(others, std::greater(), [](const CardMemory* card) { return card->free; });
    for (const CardMemory* card : others) all.push_back({card->device, *card->profile, budget_of(*card, request)});
    return all;
}

// Over all the cards that have `parts`.
void place_over_cards(const ModelProfile& model, const PlacementRequest& request, std::span<const CardBudget> given, std::span<const CardLayers> parts, Placement& placement) {
    for (const CardLayers& part : parts) {
        if (part.card == 0) continue;
        const auto card = std::ranges::find(request.cards, given[part.card].device, &CardMemory::device);
        explain_card(request, *card, placement);
    }
    uint32_t most = 0;
    for (const CardLayers& part : parts) {
        placement.cards.push_back({given[part.card].device, part.first, part.count, part.vram_bytes, kv_bytes(model, request, part.first, part.count), part.slots, part.slot_bytes, given[part.card].profile});
        if (part.count > most) placement.device = given[part.card].device;
        most = std::max(most, part.count);
    }
}

// Where the layers go of a model that does not fit as a whole.
struct CutUp {
    UnitPlan units;
    std::vector<CardLayers> parts;  // over several cards, or on another one than the first; else none
    uint64_t in_ram = 0;            // bytes of weights
};

CutUp cut_up(const ModelProfile& model, const PlacementRequest& request, std::span<const CardBudget> cards) {
    const PlanRequest alone{request.context_length, request.batch_size, cards.front().bytes};
    CutUp plan{plan_units(model, cards.front().profile, alone), {}};
    if (std::optional<SeveralCardsPlan> several = plan_several_cards(model, cards, alone, plan.units)) {
        plan.units = std::move(several->units);
        plan.parts = std::move(several->cards);
    }
    plan.in_ram = model.weight_bytes() - resident_weights(model, plan.units);
    return plan;
}

void place_units(const ModelProfile& model, const PlacementRequest& request, const CardMemory& card, Placement& placement) {
    std::vector<CardBudget> cards = budgets(request, card);
    // As if the cards held nothing but weights: whatever the plan, no less remains.
    uint64_t least_in_ram = model.weight_bytes();
    for (const CardBudget& other : cards) least_in_ram = less(least_in_ram, other.bytes);
    const auto has_room = [&](uint64_t bytes, uint64_t margins) { return bytes + margins * ram_margin <= request.ram_available; };
    // Whether what stays in RAM is in memory that the cards read by themselves.
    bool copies = has_room(least_in_ram, 4);
    const auto upload_by_stages = [&] {
        for (CardBudget& other : cards) other.profile.upload_bytes_per_second = std::min(other.profile.upload_bytes_per_second, other.profile.staged_bytes_per_second);
    };
    if (!copies) upload_by_stages();
    CutUp plan = cut_up(model, request, cards);
    // KV cache, buffers and slots take the place of weights, too, and of several cards not all need to have a part: far more may
    // remain than was assumed.
    if (copies && !has_room(plan.in_ram, 2)) {
        copies = false;
        upload_by_stages();
        plan = cut_up(model, request, cards);
    }
    UnitPlan& units = plan.units;
    if (!plan.parts.empty()) {
        place_over_cards(model, request, cards, plan.parts, placement);
    } else if (!units.is_divided()) {
        // Nothing is gained over whole layers.
        placement.predictions = std::move(units.predictions);
        return;
    } else {
        const uint32_t first = model.layers - units.layers_on_card();
        placement.device = card.device;
        placement.cards.push_back({card.device, first, units.layers_on_card(), units.vram_bytes, kv_bytes(model, request, first, units.layers_on_card()), units.slots, units.slot_bytes, cards.front().profile});
    }
    placement.device_layers = units.layers_on_card();
    placement.output_on_device = units.output_on_card;
    placement.device_bytes = units.vram_bytes;
    placement.host_bytes = plan.in_ram;
    placement.copies_host_weights = copies;
    placement.explanation.insert(placement.explanation.end(), units.explanation.begin(), units.explanation.end());
    placement.predictions = std::move(units.predictions);
    // Over several cards the layers may be whole.
    if (units.is_divided()) placement.units = std::move(units);
    else placement.networks_can_leave = placement.device_layers == model.layers && has_divisible_network(model);
}

// Cards have other kernels for every width. Of the processor's, those that read a quantised cache work token by token.
Placement plan_exact(const ModelProfile& model, PlacementRequest request) {
    request.exact_passes = false;
    PlacementRequest quantised = request;
    quantised.kv_type = KvType::Q8_0;
    Placement placement = plan_placement(model, quantised);
    placement.exact_passes = placement.device_layers == 0 && placement.kv_type == KvType::Q8_0;
    return placement.exact_passes ? placement : plan_placement(model, request);
}

// Without what is said of RAM, which may be too small for it, and of what there is no room for. `model` has the type of cache that it
// will have.
Placement place(const ModelProfile& model, const PlacementRequest& request) {
    Placement placement;
    placement.kv_type = model.kv_type;
    placement.layers = model.layers;
    placement.context_length = request.context_length;
    placement.kv_bytes = model.kv_bytes(request.context_length);
    placement.host_bytes = model.weight_bytes();

    const auto best = roomiest(request, [&](const CardMemory& card) { return budget_of(card, request); });
    if (!request.use_gpu) {
        placement.explanation.push_back("Graphics cards are switched off, so the processor computes all layers from RAM.");
        return placement;
    }
    if (best == request.cards.end()) {
        placement.explanation.push_back("No usable graphics card was found, so the processor computes all layers from RAM.");
        return placement;
    }
    explain_card(request, *best, placement);
    const auto share = fill_card(model, request, *best, budget_of(*best, request));
    const bool fits = share && share->layers == model.layers;
    if (!fits && best->profile && !best->integrated) place_units(model, request, *best, placement);
    const bool is_planned = !placement.cards.empty();
    if (is_planned) {
        // Said by the plan.
    } else if (share) {
        placement.device = best->device;
        placement.device_layers = share->layers;
        placement.output_on_device = true;
        placement.device_bytes = share->bytes;
        const uint32_t first = model.layers - share->layers;
        placement.cards.push_back({best->device, first, share->layers, share->bytes, kv_bytes(model, request, first, share->layers)});
        placement.networks_can_leave = fits && !best->integrated && has_divisible_network(model);
        if (!best->integrated) placement.host_bytes -= share->weights;
        placement.explanation.push_back(count(share->layers, "layer") + " of " + std::to_string(model.layers) +
                                        " and the output head with their KV cache take " + mib(share->bytes) + " of it.");
    } else {
        placement.explanation.push_back("Not even one layer fits there beside the output head and the compute buffers.");
    }
    // The plan was for as many layers as are best; whole ones are on the card as far as there is room.
    for (PassPrediction& pass : placement.predictions) {
        if (!is_planned) pass.seconds = predict_pass(model, *best->profile, whole_layers(model, placement.device_layers), pass.width);
    }
    if (!is_planned && placement.device_layers < model.layers) {
        placement.explanation.push_back("The processor computes the other " + count(model.layers - placement.device_layers, "layer") +
                                        " from RAM.");
    }
    return placement;
}

void find_and_explain_shortfall(const ModelProfile& model, const PlacementRequest& request, Placement& placement) {
    if (!request.use_gpu || request.cards.empty()) return;
    std::vector<CardRoom> rooms;
    const auto add = [&](const CardMemory& card) { rooms.push_back({&card, budget_of(card, request), reserved_on(card, request)}); };
    for (const PlacedCard& placed : placement.cards) add(*std::ranges::find(request.cards, placed.device, &CardMemory::device));
    if (rooms.empty()) add(*roomiest(request, [&](const CardMemory& card) { return budget_of(card, request); }));
    const auto with_more = [&](uint64_t bytes) {
        PlacementRequest more = request;
        more.vram_limit = more.vram_reserved = 0;
        more.cards = {*rooms.front().card};
        CardMemory& card = more.cards.front();
        card.free = rooms.front().budget + bytes + vram_margin;
        card.used = 0;
        card.most = UINT64_MAX;
        return place(model, more);
    };
    placement.shortfall = find_shortfall(model, request, placement, rooms, with_more);
    if (!placement.shortfall) return;
    for (std::string& sentence : explain(*placement.shortfall, model, placement)) placement.explanation.push_back(std::move(sentence));
}

}  // namespace

Placement plan_placement(const ModelProfile& given, const PlacementRequest& request) {
    if (request.exact_passes) return plan_exact(given, request);
    const auto place_in = [&](KvType type) {
        const ModelProfile model = given.with_kv(type);
        Placement placement = place(model, request);
        check_ram(model, request, placement);
        return placement;
    };
    KvChoice chosen = request.kv_type ? KvChoice{place_in(*request.kv_type), ""} : choose_kv(given, request, place_in);
    Placement& placement = chosen.placement;
    const ModelProfile model = given.with_kv(placement.kv_type);
    find_and_explain_shortfall(model, request, placement);
    placement.explanation.push_back("Weights in RAM: " + mib(placement.host_bytes) + "; KV cache for " + std::to_string(request.context_length) +
                                    " tokens: " + mib(placement.kv_bytes) + (model.kv_type == KvType::Q8_0 ? " in Q8_0." : "."));
    if (request.kv_type && model.kv_type != *request.kv_type) placement.explanation.push_back("The KV cache of this model cannot be quantised.");
    if (!chosen.reason.empty()) placement.explanation.push_back(std::move(chosen.reason));
    return std::move(placement);
}

std::vector<std::string> cards_to_measure(const ModelProfile& given, const PlacementRequest& request, const Placement& placement) {
    const bool is_whole = placement.device_layers == placement.layers && !placement.units;
    if (!request.use_gpu || is_whole) return {};
    const ModelProfile model = given.with_kv(placement.kv_type);
    const uint64_t buffers = compute_buffer_bytes(model, request.context_length, request.batch_size);
    std::vector<uint64_t> attention;
    for (uint32_t layer = 0; layer < model.layers; ++layer) attention.push_back(model.layer_bytes[layer] - model.network_bytes[layer] + kv_bytes(model, request, layer, 1));
    const auto has_room = [&](const CardMemory& card, uint64_t bytes) { return !card.integrated && budget_of(card, request) >= buffers + bytes; };
    const uint64_t last_and_head = attention.back() + model.output_bytes;
    if (std::ranges::none_of(request.cards, [&](const CardMemory& card) { return has_room(card, last_and_head); })) return {};
    std::vector<std::string> cards;
    for (const CardMemory& card : request.cards) {
        if (!card.profile && has_room(card, std::ranges::min(attention))) cards.push_back(card.device);
    }
    return cards;
}

}  // namespace nmos
