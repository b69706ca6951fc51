#include "plan/shortfall.h"

#include <algorithm>
#include <functional>
#include <random>

#include "check.h"
#include "plan/placement.h"
#include "plan_models.h"
#include "random_device.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1ull << 20;
constexpr uint64_t gib = 1ull << 30;
constexpr uint64_t margin = vram_margin;

using Unit = Shortfall::Unit;
using Limit = Shortfall::Limit;

// Of layers that the processor has, the KV cache of one is copied to the card at a time.
constexpr uint64_t layer_and_kv = 101 * mib;
constexpr uint64_t all_but_layers = 53 * mib;

constexpr uint64_t room(uint64_t layers) {
    return all_but_layers + layers * layer_and_kv;
}

PlacementRequest request_for(uint64_t free) {
    PlacementRequest request;
    request.context_length = 1024;
    request.batch_size = 512;
    request.ram_total = request.ram_available = 64 * gib;
    request.cards.push_back({"Card", "a card", free});
    return request;
}

std::string text_of(const Placement& placement) {
    std::string all;
    for (const std::string& sentence : placement.explanation) all += sentence + " ";
    return all;
}

struct Expected {
    Unit unit;
    Limit limit;
    uint64_t needed;
    uint64_t free;
    std::string part;  // of what is said
};

void check(const PlacementRequest& request, const Expected& expected, Location at = Location::here()) {
    const Placement placement = plan_placement(ten_layers(), request);
    expect(placement.shortfall.has_value(), "why there is no more", at);
    expect_equal(placement.shortfall->device, std::string("Card"), at);
    expect_equal(placement.shortfall->unit, expected.unit, at);
    expect_equal(placement.shortfall->limit, expected.limit, at);
    expect_equal(placement.shortfall->bytes_needed, expected.needed, at);
    expect_equal(placement.shortfall->bytes_free, expected.free, at);
    const std::string text = text_of(placement);
    expect(text.find(expected.part) != std::string::npos, show(expected.part) + " in " + show(text), at);
}

PlacementRequest with(PlacementRequest request, const std::function<void(PlacementRequest&)>& change) {
    change(request);
    return request;
}

// As if the model might use just so many bytes more.
PlacementRequest with_more(const PlacementRequest& request, const Placement& placement, uint64_t bytes) {
    PlacementRequest more = request;
    more.vram_limit = more.vram_reserved = 0;
    more.cards = {request.cards.front()};
    more.cards[0].free = margin + placement.device_bytes + placement.shortfall->bytes_free + bytes;
    more.cards[0].used = 0;
    more.cards[0].most = UINT64_MAX;
    return more;
}

bool has_more(const Placement& placement, const Placement& other) {
    if (other.device_layers != placement.device_layers) return other.device_layers > placement.device_layers;
    return other.host_bytes < placement.host_bytes;
}

// Whole layers that differ, or networks that can be cut up, or mixtures.
ModelProfile random_model(std::mt19937_64& random) {
    ModelProfile model = alike_layers(1 + random() % 40);
    const bool mixture = random() % 4 == 0;
    const auto pieces = static_cast<uint32_t>(random() % 4 == 0 ? 1 : 2 + random() % 60);
    if (mixture) {
        model.experts = std::max(2u, pieces);
        model.experts_used = 1 + random() % 2;
    }
    model.is_mixture.assign(model.layers, mixture);
    draw_sizes(random, pieces, model);
    model.largest_weight = static_cast<uint64_t>(between(random, 1, 60) * mib);
    return model;
}

PlacementRequest random_request(std::mt19937_64& random, bool measured) {
    PlacementRequest request = request_for(static_cast<uint64_t>(between(random, 0, 4000) * mib));
    request.context_length = static_cast<uint32_t>(128 + random() % 8192);
    CardMemory& card = request.cards[0];
    if (measured) card.profile = random_device(random);
    if (random() % 4 == 0) request.vram_limit = static_cast<uint64_t>(between(random, 100, 3000) * mib);
    if (random() % 4 == 0) card.used = static_cast<uint64_t>(between(random, 0, 1000) * mib);
    if (random() % 4 == 0) request.vram_reserved = static_cast<uint64_t>(between(random, 0, 500) * mib);
    if (random() % 8 == 0) card.most = static_cast<uint64_t>(between(random, 0, 3000) * mib);
    return request;
}

struct Counts {
    size_t none = 0;
    size_t memory = 0;
    size_t speed = 0;
    size_t networks = 0;
    size_t attention = 0;
};

void check_true(const ModelProfile& model, const PlacementRequest& request, Counts& counts, Location at = Location::here()) {
    const Placement placement = plan_placement(model, request);
    const bool is_whole = placement.device_layers == placement.layers && !placement.units;
    expect_equal(placement.shortfall.has_value(), !is_whole, at);
    counts.none += is_whole;
    if (is_whole) return;
    const Shortfall& shortfall = *placement.shortfall;
    if (shortfall.limit == Limit::Speed) {
        ++counts.speed;
        const uint64_t layer = std::ranges::max(model.layer_bytes);
        expect(layer < shortfall.bytes_free || !has_more(placement, plan_placement(model, with_more(request, placement, layer - shortfall.bytes_free))), "no more with more memory", at);
        return;
    }
    expect(shortfall.bytes_needed > shortfall.bytes_free, "more than the " + show(shortfall.bytes_free) + " bytes that are free, got " + show(shortfall.bytes_needed), at);
    const Placement more = plan_placement(model, with_more(request, placement, shortfall.bytes_needed - shortfall.bytes_free));
    expect(has_more(placement, more), "more on the card with " + show(shortfall.bytes_needed - shortfall.bytes_free) + " bytes more than " + show(placement.device_bytes), at);
    const bool of_layer = shortfall.unit == Unit::Layer || shortfall.unit == Unit::Attention;
    expect_equal(more.device_layers > placement.device_layers, of_layer, at);
    ++counts.memory;
    counts.networks += !of_layer;
    counts.attention += shortfall.unit == Unit::Attention;
}

}  // namespace

TEST(shortfall, "says what one more layer would take, what is left for it, and what the limit is") {
    constexpr uint64_t left = 40 * mib;
    check(request_for(margin + room(3) + left), {Unit::Layer, Limit::Card, layer_and_kv, left, "One more layer with its KV cache would take 101 MiB, and 40 MiB of what this model may use of Card are left: the card has no more."});
    // Nothing is copied where the card has all layers.
    check(request_for(margin + room(9) + left), {Unit::Layer, Limit::Card, layer_and_kv - mib, left, "would take 100 MiB"});
    check(request_for(margin + room(4) - 1), {Unit::Layer, Limit::Card, layer_and_kv, layer_and_kv - 1, "would take 101 MiB, and 100 MiB of"});
    check(request_for(margin + left), {Unit::Layer, Limit::Card, all_but_layers + layer_and_kv, left, "The output head and one layer with its KV cache would take 154 MiB"});
    check(request_for(0), {Unit::Layer, Limit::Card, all_but_layers + layer_and_kv, 0, "and 0 MiB of"});
    check(with(request_for(80 * gib), [](auto& request) { request.vram_limit = room(2) + left; }), {Unit::Layer, Limit::Setting, layer_and_kv, left, "the VRAM limit of the settings is reached. More of it would find room with a higher limit"});
    // Without what is kept, or what others have, it would be there.
    check(with(request_for(margin + room(5)), [](auto& request) { request.vram_reserved = 2 * layer_and_kv; }), {Unit::Layer, Limit::OtherModel, layer_and_kv, 0, "the other model unloaded"});
    check(with(request_for(margin + room(5)), [](auto& request) { request.cards[0].used = 2 * layer_and_kv; }), {Unit::Layer, Limit::OtherModel, layer_and_kv, 0, "the rest is another model's"});
    check(with(request_for(80 * gib), [](auto& request) { request.vram_limit = room(7); request.cards[0].used = 3 * layer_and_kv; }), {Unit::Layer, Limit::OtherModel, layer_and_kv, 0, "another model's"});
    // It would not.
    check(with(request_for(margin + room(5)), [](auto& request) { request.cards[0].used = mib; }), {Unit::Layer, Limit::Card, layer_and_kv, 0, "the card has no more"});
    check(with(request_for(80 * gib), [](auto& request) { request.vram_limit = room(7) - mib; request.cards[0].used = mib; }), {Unit::Layer, Limit::Setting, layer_and_kv, layer_and_kv - 2 * mib, "limit"});
    check(with(request_for(80 * gib), [](auto& request) { request.cards[0].most = room(3) + left; }), {Unit::Layer, Limit::Card, layer_and_kv, left, "the card has no more"});
    // What the system has left of the card is no setting, and no other model's.
    const auto granted = [](auto& request) {
        request.vram_limit = room(7);
        request.cards[0].used = layer_and_kv;
        request.cards[0].most = room(3) + left;
    };
    check(with(request_for(80 * gib), granted), {Unit::Layer, Limit::Card, layer_and_kv, left, "the card has no more"});
}

TEST(shortfall, "is none where cards hold all of the model, and where none is used") {
    const auto none = [](const PlacementRequest& request, Location at = Location::here()) {
        const Placement placement = plan_placement(ten_layers(), request);
        expect(!placement.shortfall && text_of(placement).find("would take") == std::string::npos, "nothing said of more", at);
    };
    none(request_for(80 * gib));
    none(with(request_for(80 * gib), [](auto& request) { request.use_gpu = false; }));
    none(with(request_for(80 * gib), [](auto& request) { request.cards.clear(); }));
}

TEST(shortfall, "names a context and a KV cache with which more is there indeed") {
    ModelProfile model = ten_layers();
    model.kv_bytes_per_token.assign(10, 8 << 10);
    model.can_quantise_kv = true;
    PlacementRequest request = request_for(margin + 1100 * mib);
    request.context_length = 8192;
    const Placement placement = plan_placement(model, request);
    const std::string text = text_of(placement);
    const std::string words = "a context of at most ";
    const size_t begin = text.find(words);
    expect(begin != std::string::npos && text.find("a KV cache in Q8_0") != std::string::npos, "both to be named, got " + show(text));
    request.cards[0].reads_quantised_kv = false;
    const std::string other = text_of(plan_placement(model, request));
    expect(other.find(words) != std::string::npos && other.find("a KV cache in Q8_0") == std::string::npos, "no cache that the card does not read, got " + show(other));
    request.cards[0].reads_quantised_kv = true;
    request.context_length = static_cast<uint32_t>(std::stoul(text.substr(begin + words.size())));
    expect(request.context_length >= 1024 && request.context_length < 8192, "a shorter context, got " + show(request.context_length));
    expect(plan_placement(model, request).device_layers > placement.device_layers, "more layers with the context that was named");
    request.context_length = 8192;
    request.kv_type = KvType::Q8_0;
    const Placement quantised = plan_placement(model, request);
    expect(quantised.device_layers > placement.device_layers, "more layers with the cache that was named");
    expect(text_of(quantised).find("a KV cache in Q8_0") == std::string::npos, "not the cache that it has already");
    // A cache too small to make a difference.
    model.kv_bytes_per_token.assign(10, 64);
    request.kv_type = KvType::F16;
    request.cards[0].free = margin + 700 * mib;
    const std::string small = text_of(plan_placement(model, request));
    expect(small.find("a context") == std::string::npos && small.find("Q8_0") == std::string::npos && small.find("with a smaller model") != std::string::npos, "only what helps, got " + show(small));
}

TEST(shortfall, "is true: with just so much more memory, there is more on the card") {
    std::mt19937_64 random(21);
    Counts whole;
    for (int run = 0; run < 600; ++run) {
        const ModelProfile model = random_model(random);
        check_true(model, random_request(random, false), whole);
    }
    expect(whole.none > 30 && whole.memory > 300 && whole.speed == 0, "models that fit and such that do not, got " + show(whole.none) + " and " + show(whole.memory));
    Counts units;
    for (int run = 0; run < 120; ++run) {
        const ModelProfile model = random_model(random);
        check_true(model, random_request(random, true), units);
    }
    expect(units.memory > 60 && units.networks > 20 && units.attention > 3, "networks and attention to be short of memory, got " + show(units.networks) + " and " + show(units.attention) + " of " + show(units.memory));
}

TEST(shortfall, "is speed where the card has room that is not used") {
    // A card that is as fast as the processor, and a bus that is too slow to bring it anything.
    DeviceProfile even;
    even.card = even.processor = WidthCurve({{1, 0.05e-9}, {512, 1e-9}});
    even.upload_bytes_per_second = even.staged_bytes_per_second = 0.1e9;
    const ModelProfile model = alike_layers(10);
    // All but a little of it would find room, but half is best computed by each.
    PlacementRequest request = request_for(margin + 1250 * mib);
    request.cards[0].profile = even;
    const Placement placement = plan_placement(model, request);
    expect(placement.units && placement.shortfall, "a model that is cut up");
    expect_equal(placement.shortfall->limit, Limit::Speed);
    expect(placement.shortfall->bytes_free >= placement.shortfall->bytes_needed, "room that is left, got " + show(placement.shortfall->bytes_free));
    expect(text_of(placement).find("would not make it faster") != std::string::npos, "to be told so");
}

TEST(shortfall, "of several cards is that of the one with the least to go") {
    std::mt19937_64 random(22);
    size_t several = 0;
    for (int run = 0; run < 40; ++run) {
        const ModelProfile model = random_model(random);
        PlacementRequest request = random_request(random, true);
        request.vram_limit = request.vram_reserved = 0;
        request.cards[0] = {"A", "a card", static_cast<uint64_t>(between(random, 500, 2500) * mib), false, request.cards[0].profile};
        request.cards.push_back({"B", "a card", static_cast<uint64_t>(between(random, 500, 2500) * mib), false, request.cards[0].profile});
        const Placement placement = plan_placement(model, request);
        if (placement.cards.size() < 2 || !placement.shortfall) continue;
        ++several;
        const Shortfall& shortfall = *placement.shortfall;
        const auto placed = std::ranges::find(placement.cards, shortfall.device, &PlacedCard::device);
        const auto card = std::ranges::find(request.cards, shortfall.device, &CardMemory::device);
        expect(placed != placement.cards.end(), "one of the cards, got " + shortfall.device);
        expect_equal(shortfall.bytes_free, card->free - margin - placed->bytes);
        expect_equal(shortfall.limit == Limit::Speed, shortfall.bytes_needed <= shortfall.bytes_free);
        for (const PlacedCard& other : placement.cards) {
            if (!placement.units || other.device == shortfall.device) continue;
            const uint64_t free = std::ranges::find(request.cards, other.device, &CardMemory::device)->free - margin - other.bytes;
            for (uint32_t layer = other.first_layer; layer < other.first_layer + other.layers; ++layer) {
                const NetworkCut& cut = placement.units->layers[layer].network;
                if (cut.in_ram() == 0) continue;
                const auto missing = static_cast<int64_t>(model.network_bytes[layer] / cut.pieces) - static_cast<int64_t>(free);
                expect(missing + 1 >= static_cast<int64_t>(shortfall.bytes_needed) - static_cast<int64_t>(shortfall.bytes_free) || shortfall.limit == Limit::Speed, "no card with less to go");
            }
        }
    }
    expect(several > 10, "plans over two cards, got " + show(several));
}
