#include "plan/placement.h"

#include <algorithm>
#include <functional>
#include <random>

#include "check.h"
#include "plan_models.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1ull << 20;
constexpr uint64_t gib = 1ull << 30;
constexpr uint64_t margin = vram_margin;

constexpr uint64_t head_and_buffers = 52 * mib;
constexpr uint64_t layer_and_kv = 101 * mib;
// Where the processor has layers, the KV cache of one of them is copied to the card at a time.
constexpr uint64_t copies = mib;
constexpr uint64_t all_but_layers = head_and_buffers + copies;

// What a card may be as fast as.
DeviceProfile some_speed() {
    DeviceProfile speed;
    speed.card = speed.processor = WidthCurve({{1, 1e-9}});
    speed.upload_bytes_per_second = speed.staged_bytes_per_second = 1e9;
    return speed;
}

struct Machine {
    std::vector<uint64_t> cards_free;
    uint64_t vram_limit = 0;
    bool use_gpu = true;
    uint64_t ram_total = 16 * gib;
    uint64_t ram_available = 8 * gib;
};

PlacementRequest request_for(const Machine& machine) {
    PlacementRequest request;
    request.context_length = 1024;
    request.batch_size = 512;
    request.use_gpu = machine.use_gpu;
    request.vram_limit = machine.vram_limit;
    for (size_t i = 0; i < machine.cards_free.size(); ++i) {
        request.cards.push_back({"Card" + std::to_string(i), "a card", machine.cards_free[i]});
    }
    request.ram_total = machine.ram_total;
    request.ram_available = machine.ram_available;
    return request;
}

void check(const Machine& machine, uint32_t device_layers, const std::string& device, Location at = Location::here()) {
    const ModelProfile model = ten_layers();
    const Placement placement = plan_placement(model, request_for(machine));
    expect_equal(placement.device_layers, device_layers, at);
    expect_equal(placement.device, device, at);
    expect_equal(placement.output_on_device, device_layers > 0, at);
    expect_equal(placement.layers, 10u, at);
    expect_equal(placement.context_length, 1024u, at);
    expect_equal(placement.kv_bytes, 10 * mib, at);
    const uint64_t copied = device_layers < 10 ? copies : 0;
    expect_equal(placement.device_bytes, device_layers > 0 ? head_and_buffers + copied + device_layers * layer_and_kv : 0, at);
    const uint64_t on_host = 60 * mib + (10 - device_layers) * 100 * mib + (device_layers > 0 ? 0 : 50 * mib);
    expect_equal(placement.host_bytes, on_host, at);
    expect(!placement.explanation.empty(), "an explanation", at);
    for (const std::string& sentence : placement.explanation) expect(sentence.ends_with("."), "a sentence, got " + show(sentence), at);
}

void check_refused(const Machine& machine, std::string_view part, Location at = Location::here()) {
    expect_error(ErrorCode::OutOfMemory, part, [&] { plan_placement(ten_layers(), request_for(machine)); }, at);
}

void check_explained(const Machine& machine, std::string_view part, Location at = Location::here()) {
    const Placement placement = plan_placement(ten_layers(), request_for(machine));
    std::string all;
    for (const std::string& sentence : placement.explanation) all += sentence + " ";
    expect(all.find(part) != std::string::npos, show(part) + " in " + show(all), at);
}

uint64_t between(std::mt19937_64& random, uint64_t least, uint64_t most) {
    return least + random() % (most - least + 1);
}

ModelProfile random_model(std::mt19937_64& random) {
    ModelProfile model;
    model.layers = static_cast<uint32_t>(between(random, 1, 80));
    for (uint32_t i = 0; i < model.layers; ++i) {
        model.layer_bytes.push_back(between(random, 1, 400 * mib));
        model.kv_bytes_per_token.push_back(between(random, 0, 1 << 16));
    }
    model.embedding = static_cast<uint32_t>(between(random, 64, 8192));
    model.feed_forward = static_cast<uint32_t>(between(random, 64, 32768));
    model.vocabulary = static_cast<uint32_t>(between(random, 100, 200000));
    model.embedding_bytes = between(random, 0, 500 * mib);
    model.output_bytes = between(random, 0, 500 * mib);
    model.largest_weight = between(random, 0, 200 * mib);
    return model;
}

PlacementRequest random_request(std::mt19937_64& random) {
    PlacementRequest request;
    request.context_length = static_cast<uint32_t>(between(random, 1, 32768));
    request.batch_size = 512;
    request.ram_total = request.ram_available = 1024 * gib;
    for (uint64_t count = between(random, 0, 3); count > 0; --count) {
        request.cards.push_back({"Card" + std::to_string(count), "a card", between(random, 0, 48 * gib)});
    }
    if (between(random, 0, 2) == 0) request.vram_limit = between(random, 1, 48 * gib);
    return request;
}

void check_within_budget(const ModelProfile& model, const PlacementRequest& request, const Placement& placement) {
    const auto at = Location::here();
    uint64_t most = 0;
    for (const CardMemory& card : request.cards) most = std::max(most, card.free > margin ? card.free - margin : 0);
    if (request.vram_limit > 0) most = std::min(most, request.vram_limit);
    expect(placement.device_bytes <= most, "at most " + show(most) + " bytes of VRAM, got " + show(placement.device_bytes), at);
    expect(placement.device_layers <= model.layers, "no more layers than there are", at);
    // What is on the card, counted anew, and nothing that is counted twice or not at all.
    uint64_t weights = placement.output_on_device ? model.output_bytes : 0;
    uint64_t kv = 0;
    for (uint32_t i = model.layers - placement.device_layers; i < model.layers; ++i) {
        weights += model.layer_bytes[i];
        kv += model.kv_bytes_per_token[i] * request.context_length;
    }
    expect_equal(placement.host_bytes + weights, model.weight_bytes(), at);
    if (placement.device_layers == 0) {
        expect_equal(placement.device_bytes, uint64_t{0}, at);
        return;
    }
    const uint32_t below = model.layers - placement.device_layers;
    const uint64_t buffers = compute_buffer_bytes(model, request.context_length, request.batch_size);
    expect_equal(placement.device_bytes, weights + kv + buffers + offload_bytes(model, request.context_length, below), at);
    if (below == 0) return;
    const uint64_t one_more = model.layer_bytes[below - 1] + model.kv_bytes_per_token[below - 1] * request.context_length;
    expect(weights + kv + buffers + one_more + offload_bytes(model, request.context_length, below - 1) > most, "no room for one more layer", at);
}

}  // namespace

TEST(placement, "fills the card with whole layers") {
    check({}, 0, "CPU");
    check({{16 * gib}, 0, false}, 0, "CPU");
    check({{0}}, 0, "CPU");
    check({{margin}}, 0, "CPU");
    check({{margin + head_and_buffers}}, 0, "CPU");
    check({{margin + all_but_layers + layer_and_kv - 1}}, 0, "CPU");
    check({{margin + all_but_layers + layer_and_kv}}, 1, "Card0");
    check({{margin + all_but_layers + 3 * layer_and_kv}}, 3, "Card0");
    check({{margin + all_but_layers + 4 * layer_and_kv - 1}}, 3, "Card0");
    check({{margin + head_and_buffers + 10 * layer_and_kv}}, 10, "Card0");
    check({{80 * gib}}, 10, "Card0");
}

TEST(placement, "keeps to the limit of the settings and to what is free, whichever is less") {
    check({{80 * gib}, all_but_layers + 2 * layer_and_kv}, 2, "Card0");
    check({{80 * gib}, all_but_layers + 3 * layer_and_kv - 1}, 2, "Card0");
    check({{80 * gib}, 1}, 0, "CPU");
    check({{margin + all_but_layers + layer_and_kv}, 80 * gib}, 1, "Card0");
    check({{}, 80 * gib}, 0, "CPU");
}

TEST(placement, "leaves what another model needs") {
    const auto layers = [](uint64_t free, uint64_t limit, uint64_t reserved) {
        PlacementRequest request = request_for({{free}, limit});
        request.vram_reserved = reserved;
        return plan_placement(ten_layers(), request).device_layers;
    };
    expect_equal(layers(margin + all_but_layers + 5 * layer_and_kv, 0, 2 * layer_and_kv), 3u);
    expect_equal(layers(80 * gib, all_but_layers + 5 * layer_and_kv, layer_and_kv), 4u);
    expect_equal(layers(80 * gib, all_but_layers + 5 * layer_and_kv, gib), 0u);
}

TEST(placement, "puts more layers on a card with a quantised KV cache") {
    ModelProfile model = ten_layers();
    model.kv_bytes_per_token.assign(10, 64 << 10);  // 64 MiB a layer
    PlacementRequest request = request_for({{margin + head_and_buffers + 64 * mib + 5 * 164 * mib}});
    request.kv_type = KvType::Q8_0;
    const Placement refused = plan_placement(model, request);
    expect_equal(refused.kv_type, KvType::F16);
    expect_equal(refused.device_layers, 5u);
    expect(refused.explanation.back() == "The KV cache of this model cannot be quantised.", "to be told so");
    model.can_quantise_kv = true;
    const Placement quantised = plan_placement(model, request);
    expect_equal(quantised.kv_type, KvType::Q8_0);
    expect_equal(quantised.kv_bytes, 340 * mib);
    expect_equal(quantised.device_layers, 6u);
}

TEST(placement, "computes exactly on the processor alone, with a quantised cache") {
    ModelProfile model = ten_layers();
    model.kv_bytes_per_token.assign(10, 64 << 10);
    const auto place = [&](std::vector<uint64_t> free, bool can_quantise) {
        model.can_quantise_kv = can_quantise;
        PlacementRequest request = request_for({std::move(free)});
        request.exact_passes = true;
        return plan_placement(model, request);
    };
    expect(place({}, true).exact_passes && place({}, true).kv_type == KvType::Q8_0, "exact passes without a card");
    expect(place({64 * mib}, true).exact_passes, "exact passes where nothing fits the card");
    const Placement on_card = place({80 * gib}, true);
    expect(!on_card.exact_passes && on_card.kv_type == KvType::F16 && on_card.device_layers == 10, "the card to be used as always");
    expect(!place({}, false).exact_passes && place({}, false).kv_type == KvType::F16, "no exact passes where the cache cannot be quantised");
}

TEST(placement, "takes the card with the most free memory") {
    check({{2 * gib, 80 * gib, 4 * gib}}, 10, "Card1");
    check({{0, 0, margin + all_but_layers + layer_and_kv}}, 1, "Card2");
}

TEST(placement, "takes the card on which the model may use the most memory") {
    const ModelProfile model = ten_layers();
    struct Given {
        uint64_t free, used, most;
    };
    const auto check_best = [&](const std::vector<Given>& cards, uint64_t limit, uint64_t reserved, const std::string& device, uint32_t layers, Location at = Location::here()) {
        PlacementRequest request = request_for({{}, limit});
        request.vram_reserved = reserved;
        for (const Given& card : cards) request.cards.push_back({"Card" + std::to_string(request.cards.size()), "a card", card.free, false, std::nullopt, card.used, card.most});
        const Placement placement = plan_placement(model, request);
        expect_equal(placement.device, device, at);
        expect_equal(placement.device_layers, layers, at);
    };
    constexpr uint64_t all = UINT64_MAX;
    const auto room = [](uint64_t layers) { return all_but_layers + layers * layer_and_kv; };
    // The limit holds for what other models have there, too.
    check_best({{80 * gib, 0, all}, {margin + room(5), 0, all}}, room(7), 0, "Card0", 7);
    check_best({{80 * gib, 3 * layer_and_kv, all}, {margin + room(5), 0, all}}, room(7), 0, "Card1", 5);
    check_best({{80 * gib, room(7), all}, {40 * gib, 0, all}}, room(7), 0, "Card1", 7);
    // A card that has refused memory.
    check_best({{80 * gib, 0, room(3)}, {40 * gib, 0, all}}, 0, 0, "Card1", 10);
    check_best({{80 * gib, 0, room(3)}, {40 * gib, 0, room(2)}}, 0, 0, "Card0", 3);
    // What is kept for another model is on the card that it will go to.
    check_best({{margin + room(8), 0, all}, {margin + room(6), 0, all}}, 0, layer_and_kv, "Card0", 7);
    check_best({{margin + room(8), 0, all}, {margin + room(6), 0, all}}, 0, 4 * layer_and_kv, "Card1", 6);
    check_best({{80 * gib, 4 * layer_and_kv, all}, {40 * gib, 0, all}}, room(8), 3 * layer_and_kv, "Card1", 5);
    // With as much of it on both, the one with more free.
    check_best({{40 * gib, 0, all}, {80 * gib, 0, all}}, room(8), 0, "Card1", 8);
}

TEST(placement, "predicts what it places where the card is slower than the processor") {
    const ModelProfile model = alike_layers(10);
    DeviceProfile slow;
    slow.card = WidthCurve({{1, 10e-9}, {512, 1000e-9}});
    slow.processor = WidthCurve({{1, 0.1e-9}, {512, 10e-9}});
    slow.upload_bytes_per_second = slow.staged_bytes_per_second = 5e9;
    for (const uint64_t budget : {400 * mib, 800 * mib}) {
        PlacementRequest request = request_for({{budget + margin}});
        request.cards[0].profile = slow;
        const Placement placement = plan_placement(model, request);
        expect(!placement.units && placement.device_layers > 0 && !placement.predictions.empty(), "whole layers on the card, got " + show(placement.device_layers));
        for (const auto& [width, seconds] : placement.predictions) expect_equal(seconds, predict_pass(model, slow, whole_layers(model, placement.device_layers), width));
    }
}

TEST(placement, "asks for the speed of cards that have room for a part of a model that does not fit as a whole") {
    ModelProfile model = ten_layers();
    model.network_bytes.assign(10, 90 * mib);
    model.network_pieces.assign(10, 9);
    model.is_mixture.assign(10, false);
    const auto check_asked = [&](std::vector<uint64_t> budgets, std::vector<std::string> expected, const std::function<void(PlacementRequest&)>& change = {}, Location at = Location::here()) {
        for (uint64_t& budget : budgets) budget += margin;
        PlacementRequest request = request_for({std::move(budgets)});
        if (change) change(request);
        expect_equal(cards_to_measure(model, request, plan_placement(model, request)), expected, at);
    };
    constexpr uint64_t buffers = 2 * mib;
    constexpr uint64_t attention = 11 * mib;
    const uint64_t whole = head_and_buffers + 10 * layer_and_kv;
    check_asked({}, {});
    check_asked({whole}, {});
    check_asked({whole - 1}, {"Card0"});
    check_asked({head_and_buffers + layer_and_kv}, {"Card0"});
    // Not one whole layer fits.
    check_asked({head_and_buffers + attention}, {"Card0"});
    check_asked({head_and_buffers + attention - 1}, {});
    // Of several cards, one has to take the output head.
    check_asked({head_and_buffers + attention, buffers + attention}, {"Card0", "Card1"});
    check_asked({buffers + attention, head_and_buffers + attention}, {"Card0", "Card1"});
    check_asked({head_and_buffers + attention, buffers + attention - 1}, {"Card0"});
    check_asked({buffers + attention, buffers + attention}, {});
    check_asked({whole, whole - 1}, {});
    check_asked({whole - 1, whole - 1}, {"Card1"}, [](PlacementRequest& request) { request.cards[0].profile = some_speed(); });
    check_asked({whole - 1, whole - 2}, {"Card1"}, [](PlacementRequest& request) { request.cards[0].integrated = true; });
    check_asked({whole - 1, 0}, {}, [](PlacementRequest& request) { request.use_gpu = false; });
    // What the card may be used for counts, not what is free.
    check_asked({whole, whole}, {"Card1"}, [](PlacementRequest& request) {
        request.vram_limit = head_and_buffers + layer_and_kv;
        request.cards[0].used = request.vram_limit;
    });
    check_asked({whole, whole}, {"Card0"}, [](PlacementRequest& request) {
        request.cards[0].most = head_and_buffers + 9 * layer_and_kv;
        request.cards[1].most = 0;
    });
}

TEST(placement, "refuses what the machine cannot hold") {
    const uint64_t weights = 1110 * mib;
    const uint64_t ram_margin = 256 * mib;
    check({{}, 0, true, weights + ram_margin}, 0, "CPU");
    check_refused({{}, 0, true, weights + ram_margin - 1}, "Choose a smaller model");
    check({{}, 0, true, 16 * gib, ram_margin + 12 * mib}, 0, "CPU");
    check_refused({{}, 0, true, 16 * gib, ram_margin + 12 * mib - 1}, "Choose a shorter context");
    check_refused({{}, 0, true, 0, 0}, "1110 MiB");
    // A card takes its share off the RAM.
    check({{80 * gib}, 0, true, ram_margin + 60 * mib, ram_margin + 2 * mib}, 10, "Card0");
}

TEST(placement, "says what decided") {
    check_explained({}, "No usable graphics card was found");
    check_explained({{16 * gib}, 0, false}, "switched off");
    check_explained({{margin}}, "Not even one layer fits");
    check_explained({{margin + all_but_layers + 3 * layer_and_kv}}, "3 layers of 10");
    check_explained({{margin + all_but_layers + layer_and_kv}}, "1 layer of 10");
    check_explained({{margin + all_but_layers + 9 * layer_and_kv}}, "the other 1 layer from RAM");
    check_explained({{80 * gib}, 500 * mib}, "this model may use 500 MiB");
    check_explained({{1 * gib}, 80 * gib}, "640 MiB are used at most");
    check_explained({}, "KV cache for 1024 tokens: 10 MiB");
}

TEST(placement, "never exceeds the budget and wastes no room for a layer") {
    std::mt19937_64 random(1);
    for (int i = 0; i < 3000; ++i) {
        const ModelProfile model = random_model(random);
        const PlacementRequest request = random_request(random);
        check_within_budget(model, request, plan_placement(model, request));
    }
}

TEST(placement, "prefers a card of its own to an integrated one, however much of RAM that one offers") {
    PlacementRequest request = request_for({.cards_free = {2 * gib, 1 * gib}});
    request.cards[0].integrated = true;
    expect_equal(plan_placement(ten_layers(), request).device, std::string("Card1"));
    request.cards.pop_back();
    expect_equal(plan_placement(ten_layers(), request).device, std::string("Card0"));
}

TEST(placement, "counts what an integrated card holds as RAM") {
    PlacementRequest request = request_for({.cards_free = {4 * gib}});
    request.cards[0].integrated = true;
    const Placement placement = plan_placement(ten_layers(), request);
    expect_equal(placement.device_layers, 10u);
    expect_equal(placement.host_bytes, ten_layers().weight_bytes());
}

TEST(placement, "lets networks leave a card of its own that holds all of the model") {
    ModelProfile model = ten_layers();
    const auto can_leave = [&](uint64_t free, bool integrated) {
        PlacementRequest request = request_for({{free}});
        request.cards[0].integrated = integrated;
        return plan_placement(model, request).networks_can_leave;
    };
    expect(!can_leave(80 * gib, false), "networks that are not gate, up and down to stay");
    model.network_pieces.assign(10, 1);
    model.is_mixture.assign(10, false);
    expect(!can_leave(80 * gib, false), "networks that cannot be divided to stay");
    model.network_pieces[4] = 8;
    expect(can_leave(80 * gib, false), "one that can be divided to leave");
    expect(!can_leave(80 * gib, true), "nothing to be gained where graphics memory is RAM");
    expect(!can_leave(margin + all_but_layers + 9 * layer_and_kv, false), "nothing to leave a card that holds a part");
    model.is_mixture[4] = true;
    expect(!can_leave(80 * gib, false), "experts to stay");
}

TEST(placement, "puts no fewer layers on a card that has more free") {
    std::mt19937_64 random(2);
    for (int i = 0; i < 300; ++i) {
        const ModelProfile model = random_model(random);
        PlacementRequest request = random_request(random);
        request.cards = {{"Card", "a card", 0}};
        uint32_t before = 0;
        for (uint64_t free = 0; free <= 40 * gib; free += between(random, 1, gib)) {
            request.cards[0].free = free;
            const uint32_t layers = plan_placement(model, request).device_layers;
            expect(layers >= before, "at least " + show(before) + " layers with " + show(free) + " bytes, got " + show(layers));
            before = layers;
        }
    }
}

TEST(placement, "estimates larger buffers for wider passes, longer contexts and larger models") {
    ModelProfile model = ten_layers();
    model.embedding = 896;
    model.feed_forward = 4864;
    model.vocabulary = 151936;
    const auto bytes = [&](uint32_t context, uint32_t batch) { return compute_buffer_bytes(model, context, batch); };
    expect(bytes(1024, 512) < bytes(2048, 512), "more for a longer context");
    expect(bytes(1024, 256) < bytes(1024, 512), "more for a wider pass");
    const uint64_t small = bytes(1024, 512);
    model.feed_forward *= 2;
    expect(small < bytes(1024, 512), "more for a wider model");
    expect(bytes(1u << 24, 1u << 16) > (1ull << 42), "no overflow for the largest arguments");
}
