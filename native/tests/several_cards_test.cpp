#include "plan/several_cards.h"

#include <algorithm>
#include <functional>
#include <random>

#include "check.h"
#include "plan/placement.h"
#include "plan/tensor_split.h"
#include "plan_models.h"
#include "random_device.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1ull << 20;
constexpr uint64_t margin = vram_margin;

ModelProfile random_model(std::mt19937_64& random) {
    ModelProfile model = alike_layers(2 + random() % 30);
    const auto pieces = static_cast<uint32_t>(1 + random() % 60);
    draw_sizes(random, pieces, model);
    return model;
}

DeviceProfile slower(DeviceProfile device, double times) {
    std::vector<WidthCurve::Point> points = device.card.points();
    for (WidthCurve::Point& point : points) point.seconds_per_byte *= times;
    device.card = WidthCurve(points);
    device.upload_bytes_per_second /= times;
    return device;
}

CardMemory card_of(const std::string& name, uint64_t budget, const DeviceProfile& device) {
    return {name, "a card", budget + margin, false, device};
}

PlacementRequest request_for(std::vector<CardMemory> cards) {
    PlacementRequest request;
    request.context_length = 2048;
    request.batch_size = 512;
    request.ram_total = request.ram_available = 64'000 * mib;
    request.cards = std::move(cards);
    return request;
}

PlacementRequest random_request(std::mt19937_64& random, size_t cards) {
    std::vector<CardMemory> all;
    // One machine has one processor.
    const DeviceProfile first = random_device(random);
    for (size_t i = 0; i < cards; ++i) {
        DeviceProfile device = i == 0 ? first : random_device(random);
        device.processor = first.processor;
        all.push_back(card_of("Card" + std::to_string(i), static_cast<uint64_t>(between(random, 100, 3000) * mib), device));
    }
    PlacementRequest request = request_for(std::move(all));
    request.context_length = static_cast<uint32_t>(128 + random() % 8192);
    if (random() % 4 == 0) request.vram_reserved = static_cast<uint64_t>(between(random, 0, 200) * mib);
    if (random() % 4 == 0) request.vram_limit = static_cast<uint64_t>(between(random, 500, 2500) * mib);
    return request;
}

double typical(const Placement& placement) {
    return typical_request_seconds(512, [&](uint32_t width) { return predicted_seconds(placement.predictions, width); });
}

// What is on the i-th card, counted anew.
uint64_t bytes_on(const ModelProfile& model, const PlacementRequest& request, const Placement& placement, size_t i) {
    const PlacedCard& card = placement.cards[i];
    uint64_t bytes = compute_buffer_bytes(model, request.context_length, request.batch_size) + card.slots * card.slot_bytes;
    if (i + 1 == placement.cards.size()) bytes += model.output_bytes;
    const DeviceProfile& profile = *std::ranges::find(request.cards, card.device, &CardMemory::device)->profile;
    if (i == 0 && profile.offload_from_width != never_streamed) bytes += offload_bytes(model, request.context_length, card.first_layer);
    bool exchanges = false;
    for (uint32_t layer = card.first_layer; layer < card.first_layer + card.layers; ++layer) {
        const uint32_t pieces = model.network_pieces[layer];
        const NetworkCut cut = placement.units ? placement.units->layers[layer].network : NetworkCut{pieces, pieces};
        bytes += model.layer_bytes[layer] - model.network_bytes[layer] + model.kv_bytes_per_token[layer] * request.context_length;
        bytes += model.network_bytes[layer] * cut.resident / pieces;
        exchanges |= cut.in_ram() > 0;
    }
    return exchanges ? bytes + share_result_bytes(model, request.batch_size) : bytes;
}

// What is kept for another model is on the card with the most memory.
uint64_t budget_on(const CardMemory& card, const PlacementRequest& request) {
    const uint64_t allowed = request.vram_limit > 0 ? std::min(card.free - margin, request.vram_limit) : card.free - margin;
    const bool is_roomiest = &card == &*std::ranges::max_element(request.cards, {}, &CardMemory::free);
    return is_roomiest ? allowed - std::min(allowed, request.vram_reserved) : allowed;
}

void check_placement(const ModelProfile& model, const PlacementRequest& request, const Placement& placement) {
    uint32_t next = model.layers - placement.device_layers;
    uint64_t all = 0;
    std::vector<std::string> names;
    for (size_t i = 0; i < placement.cards.size(); ++i) {
        const PlacedCard& card = placement.cards[i];
        const auto given = std::ranges::find(request.cards, card.device, &CardMemory::device);
        expect(given != request.cards.end() && std::ranges::find(names, card.device) == names.end(), "cards that are there, each once");
        names.push_back(card.device);
        const uint64_t budget = budget_on(*given, request);
        expect(card.bytes <= budget, "at most " + show(budget) + " bytes on " + card.device + ", got " + show(card.bytes));
        expect_equal(card.bytes, bytes_on(model, request, placement, i));
        expect_equal(card.first_layer, next);
        expect(card.layers > 0, "layers on every card");
        for (uint32_t layer = next; placement.units && layer < next + card.layers; ++layer) {
            expect(placement.units->layers[layer].on_card && placement.units->layers[layer].card == i, "every layer to be on the card that has it");
        }
        next += card.layers;
        all += card.bytes;
    }
    expect_equal(next, model.layers);
    expect_equal(placement.device_bytes, all);
    for (const std::string& sentence : placement.explanation) expect(sentence.ends_with("."), "a sentence, got " + show(sentence));
}

// The device of each layer and, last, of the output head, as llama.cpp finds it.
std::vector<uint32_t> devices_of_layers(std::span<const float> split, uint32_t layers_and_head) {
    std::vector<float> ends(split.begin(), split.end());
    float sum = 0;
    for (float& end : ends) end = sum += end;
    for (float& end : ends) end /= sum;
    std::vector<uint32_t> devices;
    for (uint32_t position = 0; position < layers_and_head; ++position) {
        const float share = static_cast<float>(position) / static_cast<float>(layers_and_head);
        devices.push_back(static_cast<uint32_t>(std::ranges::upper_bound(ends, share) - ends.begin()));
    }
    return devices;
}

void check_assigned(const std::vector<uint32_t>& layers, Location at = Location::here()) {
    std::vector<uint32_t> expected;
    for (uint32_t device = 0; device < layers.size(); ++device) expected.insert(expected.end(), layers[device], device);
    expected.push_back(static_cast<uint32_t>(layers.size()) - 1);
    expect_equal(devices_of_layers(tensor_split(layers), static_cast<uint32_t>(expected.size())), expected, at);
}

}  // namespace

TEST(several_cards, "never exceeds the budget of any card and is never predicted slower than one card alone") {
    std::mt19937_64 random(11);
    size_t over_several = 0;
    for (int run = 0; run < 60; ++run) {
        const ModelProfile model = random_model(random);
        const PlacementRequest request = random_request(random, 2 + random() % 2);
        const Placement placement = plan_placement(model, request);
        check_placement(model, request, placement);
        over_several += placement.cards.size() > 1;
        for (const CardMemory& card : request.cards) {
            PlacementRequest alone = request;
            alone.cards = {card};
            const auto best = std::ranges::max_element(request.cards, {}, [&](const CardMemory& one) { return std::pair(budget_on(one, request), one.free); });
            const bool is_best = card.device == best->device;
            alone.vram_limit = std::max<uint64_t>(1, budget_on(card, request));
            alone.vram_reserved = 0;
            const Placement single = plan_placement(model, alone);
            if (single.predictions.empty() || placement.predictions.empty()) continue;
            // Of another card than the one with the most memory for the model, borders are searched for step by step.
            expect(typical(placement) <= typical(single) * (is_best ? 1 : 1.05), "at most the " + show(typical(single)) + " s of " + card.device + " alone, got " + show(typical(placement)));
        }
    }
    expect(over_several >= 20, "a third of the plans, at least, to use several cards, got " + show(over_several));
}

TEST(several_cards, "is not slower with more memory on any card") {
    std::mt19937_64 random(12);
    for (int run = 0; run < 15; ++run) {
        const ModelProfile model = random_model(random);
        PlacementRequest request = random_request(random, 2);
        request.vram_limit = 0;
        double before = 1e9;
        for (int step = 0; step < 4; ++step) {
            const Placement placement = plan_placement(model, request);
            const bool fits = placement.predictions.empty() && placement.device_layers == model.layers;
            if (fits) break;
            const double after = placement.predictions.empty() ? before : typical(placement);
            expect(after <= before * 1.05, "at most " + show(before) + " s, got " + show(after));
            before = std::min(before, after);
            request.cards[random() % 2].free += static_cast<uint64_t>(between(random, 0, 600) * mib);
        }
    }
}

TEST(several_cards, "uses a second card as far as it helps") {
    const ModelProfile model = alike_layers(20);
    const auto layers_on = [&](const Placement& placement, const std::string& device) {
        const auto card = std::ranges::find(placement.cards, device, &PlacedCard::device);
        return card == placement.cards.end() ? 0 : card->layers;
    };
    const Placement alone = plan_placement(model, request_for({card_of("A", 1200 * mib, usual_device())}));
    const Placement equal = plan_placement(model, request_for({card_of("A", 1200 * mib, usual_device()), card_of("B", 1200 * mib, usual_device())}));
    expect_equal(layers_on(equal, "A") + layers_on(equal, "B"), 20u);
    expect(layers_on(equal, "A") >= 7 && layers_on(equal, "B") >= 7, "about as many layers on each of two equal cards");
    expect(typical(equal) < 0.75 * typical(alone), "two cards to be much faster than one");
    const Placement unequal = plan_placement(model, request_for({card_of("A", 1200 * mib, usual_device()), card_of("B", 500 * mib, usual_device())}));
    expect(layers_on(unequal, "B") > 0 && layers_on(unequal, "B") < layers_on(equal, "B"), "fewer layers on a card with less memory");
    const Placement useless = plan_placement(model, request_for({card_of("A", 1200 * mib, usual_device()), card_of("B", 1100 * mib, slower(usual_device(), 200))}));
    expect_equal(layers_on(useless, "B"), 0u);
    const Placement faster = plan_placement(model, request_for({card_of("A", 1200 * mib, slower(usual_device(), 200)), card_of("B", 1100 * mib, usual_device())}));
    expect_equal(layers_on(faster, "A"), 0u);
    expect(layers_on(faster, "B") > 0, "the faster one of two cards to be used, not the larger one");
}

TEST(several_cards, "holds a model that fits two cards as a whole there, and one that fits a single card on it alone") {
    const ModelProfile model = alike_layers(20);
    // With a processor that can be of no help.
    DeviceProfile device = usual_device();
    device.processor = WidthCurve({{1, 1e-9}});
    const auto place = [&](uint64_t a, uint64_t b) { return plan_placement(model, request_for({card_of("A", a * mib, device), card_of("B", b * mib, device)})); };
    const Placement two = place(1600, 1500);
    expect_equal(two.cards.size(), size_t{2});
    expect(two.device_layers == 20 && !two.units, "all layers as a whole on the cards");
    expect(two.networks_can_leave, "networks to leave the cards when the memory is needed");
    expect_equal(two.host_bytes, model.embedding_bytes);
    const Placement one = place(2700, 2600);
    expect_equal(one.cards.size(), size_t{1});
    expect_equal(one.device, std::string("A"));
    expect_equal(one.device_layers, 20u);
}

TEST(several_cards, "goes beyond a card that has room for no layer to one that has") {
    const ModelProfile model = alike_layers(20);
    const auto layers_on_second = [&](const std::function<void(PlacementRequest&)>& change) {
        PlacementRequest request = request_for({card_of("A", 4000 * mib, usual_device()), card_of("B", 1200 * mib, usual_device())});
        change(request);
        const Placement placement = plan_placement(model, request);
        expect_equal(placement.cards.size(), size_t{1});
        expect_equal(placement.cards[0].device, std::string("B"));
        expect(placement.explanation.front().starts_with("B "), "to be told of the card that is used, got " + show(placement.explanation.front()));
        return placement.cards[0].layers;
    };
    PlacementRequest second = request_for({card_of("B", 1200 * mib, usual_device())});
    const uint32_t expected = plan_placement(model, second).device_layers;
    expect(expected > 0, "layers on the second card");
    // Other models have all of the limit there, it has refused all, or it is kept for another model.
    expect_equal(layers_on_second([](PlacementRequest& request) { request.vram_limit = request.cards[0].used = 1200 * mib; }), expected);
    expect_equal(layers_on_second([](PlacementRequest& request) { request.cards[0].most = 0; }), expected);
    expect_equal(layers_on_second([](PlacementRequest& request) { request.vram_reserved = 4000 * mib; }), expected);
}

TEST(several_cards, "mixes no integrated graphics with cards, and uses no card whose speed is not known") {
    const ModelProfile model = alike_layers(20);
    PlacementRequest request = request_for({card_of("A", 1200 * mib, usual_device()), card_of("B", 1100 * mib, usual_device())});
    expect_equal(plan_placement(model, request).cards.size(), size_t{2});
    request.cards[1].integrated = true;
    expect_equal(plan_placement(model, request).cards.size(), size_t{1});
    request.cards[1].integrated = false;
    request.cards[1].profile.reset();
    expect_equal(plan_placement(model, request).cards.size(), size_t{1});
}

TEST(several_cards, "keeps to the limit on every card, beside what other models have there") {
    const ModelProfile model = alike_layers(20);
    PlacementRequest request = request_for({card_of("A", 3000 * mib, usual_device()), card_of("B", 2900 * mib, usual_device())});
    request.vram_limit = 1000 * mib;
    request.cards[1].used = 400 * mib;
    const Placement placement = plan_placement(model, request);
    expect_equal(placement.cards.size(), size_t{2});
    for (const PlacedCard& card : placement.cards) expect(card.bytes <= (card.device == "A" ? 1000 : 600) * mib, "no more than the limit on " + card.device);
    request.cards[1].used = 1000 * mib;
    expect_equal(plan_placement(model, request).cards.size(), size_t{1});
}

TEST(several_cards, "is planned with the speed of uploads from memory that the weights find room in") {
    const ModelProfile model = alike_layers(20);
    const uint64_t weights = model.weight_bytes();
    const auto place = [&](double slowness_of_second, uint64_t in_ram_and_margins) {
        PlacementRequest request = request_for({card_of("A", 1000 * mib, usual_device()), card_of("B", 900 * mib, slower(usual_device(), slowness_of_second))});
        request.ram_available = in_ram_and_margins;
        return plan_placement(model, request);
    };
    struct Case {
        double slowness;
        uint64_t ram;
        bool copies;
    };
    // The second card takes its part of the weights off RAM only if it is worth having.
    for (const auto& [slowness, ram, copies] : {Case{1, weights - 1900 * mib + 1100 * mib, true}, Case{200, weights - 1900 * mib + 1100 * mib, false},
                                                Case{200, weights + 1100 * mib, true}, Case{1, weights - 1900 * mib, false}}) {
        const Placement placement = place(slowness, ram);
        expect_equal(placement.cards.size(), size_t{slowness > 1 ? 1u : 2u});
        expect_equal(placement.copies_host_weights, copies);
        // What is mapped is uploaded in pieces by way of pinned memory: as if there were no other speed.
        PlacementRequest mapped = request_for({card_of("A", 1000 * mib, usual_device()), card_of("B", 900 * mib, slower(usual_device(), slowness))});
        for (CardMemory& card : mapped.cards) card.profile->upload_bytes_per_second = std::min(card.profile->upload_bytes_per_second, card.profile->staged_bytes_per_second);
        const double staged = typical(plan_placement(model, mapped));
        if (copies) expect(typical(placement) < staged, "less than the " + show(staged) + " s from mapped memory, got " + show(typical(placement)));
        else expect_equal(typical(placement), staged);
    }
    // On one card the KV cache takes the place of weights, of which more stay in RAM than was assumed.
    PlacementRequest request = request_for({card_of("A", 1000 * mib, usual_device())});
    request.context_length = 100'000;
    request.ram_available = weights - 1000 * mib + 1024 * mib;
    const Placement placement = plan_placement(model, request);
    expect(placement.cards.size() == 1 && !placement.copies_host_weights, "weights that stay in the file");
    request.cards[0].profile->upload_bytes_per_second = request.cards[0].profile->staged_bytes_per_second;
    expect_equal(typical(placement), typical(plan_placement(model, request)));
}

TEST(several_cards, "says which layers are where, and why") {
    const ModelProfile model = alike_layers(20);
    const Placement placement = plan_placement(model, request_for({card_of("A", 1200 * mib, usual_device()), card_of("B", 1000 * mib, usual_device())}));
    std::string all;
    for (const std::string& sentence : placement.explanation) all += sentence + " ";
    const PlacedCard& first = placement.cards.front();
    const PlacedCard& last = placement.cards.back();
    for (const std::string& part : {"The first " + std::to_string(first.layers) + " layers are on " + first.device + ", the other " + std::to_string(last.layers) +
                                        " layers and the output head on " + last.device,
                                    std::string("A (a card) has "), std::string("B (a card) has "), std::string("faster than A alone")}) {
        expect(all.find(part) != std::string::npos, show(part) + " in " + show(all));
    }
}

TEST(several_cards, "gives llama.cpp a split by which each layer is on its card") {
    check_assigned({1, 1});
    check_assigned({12, 16});
    check_assigned({1, 79});
    check_assigned({79, 1});
    check_assigned({9, 10, 13});
    std::mt19937_64 random(13);
    for (int run = 0; run < 2000; ++run) {
        std::vector<uint32_t> layers;
        for (size_t devices = 2 + random() % 6; devices > 0; --devices) layers.push_back(1 + random() % 60);
        check_assigned(layers);
    }
}
