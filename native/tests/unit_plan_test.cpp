#include "plan/unit_plan.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "check.h"
#include "plan/pass_time.h"
#include "plan/placement.h"
#include "plan_models.h"
#include "random_device.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1ull << 20;

// 10 ns a byte on the processor, 1 ns on the card, whatever the width; 2 ns to upload one; nothing else costs time.
DeviceProfile simple_device() {
    DeviceProfile device;
    device.card = WidthCurve({{1, 1e-9}});
    device.processor = WidthCurve({{1, 10e-9}});
    device.upload_bytes_per_second = 0.5e9;
    return device;
}

// A letter a step of a megabyte each: of the card, the processor, streamed, both at the same time, all three.
PassStep step_of(char letter) {
    constexpr uint64_t bytes = 1'000'000;
    switch (letter) {
        case 'c': return {bytes};
        case 'p': return {0, {}, bytes};
        case 's': return {0, {bytes}};
        case 'b': return {bytes, {}, bytes};
        case 'a': return {bytes, {bytes}, bytes};
        default: return {0, {bytes, bytes}};
    }
}

double seconds_over(const DeviceProfile& device, std::span<const PassStep> steps, uint32_t width, uint32_t slots) {
    const PassCard card{&device, slots};
    return pass_seconds(steps, width, {&card, 1});
}

void check_seconds(const std::string& letters, uint32_t slots, double expected, double exchange = 0, Location at = Location::here()) {
    std::vector<PassStep> steps;
    for (const char letter : letters) steps.push_back(step_of(letter));
    DeviceProfile device = simple_device();
    device.exchange_seconds = exchange;
    const double seconds = seconds_over(device, steps, 1, slots);
    expect(std::abs(seconds - expected) < 1e-9, show(expected) + " s for " + letters + ", got " + show(seconds), at);
}

void check_curve(const WidthCurve& curve, uint32_t width, double expected, Location at = Location::here()) {
    expect(std::abs(curve.at(width) - expected) < 1e-12, show(expected) + " at " + show(width) + ", got " + show(curve.at(width)), at);
}

ModelProfile random_model(std::mt19937_64& random) {
    ModelProfile model;
    model.layers = 1 + random() % 40;
    const double network = between(random, 1, 300);
    const double attention = between(random, 1, 60);
    auto pieces = static_cast<uint32_t>(random() % 3 == 0 ? 1 : 1 + random() % 80);
    const bool experts = random() % 2 == 0;
    model.experts = 8 + random() % 120;
    model.experts_used = 1 + random() % 8;
    const bool divided = random() % 3 == 0;
    if (divided) pieces = model.experts;
    for (uint32_t i = 0; i < model.layers; ++i) {
        // A little more for some of them, as quantisers do.
        const auto bytes = static_cast<uint64_t>(network * (random() % 3 == 0 ? 1.2 : 1.0) * mib);
        model.network_bytes.push_back(bytes);
        model.layer_bytes.push_back(bytes + static_cast<uint64_t>(attention * mib));
        model.is_mixture.push_back(divided || (pieces == 1 && experts));
        model.network_pieces.push_back(pieces);
        model.kv_bytes_per_token.push_back(random() % 8192);
    }
    model.embedding = 1024 + random() % 4096;
    model.feed_forward = model.embedding * 3;
    model.vocabulary = 32000;
    model.output_bytes = static_cast<uint64_t>(between(random, 1, 500) * mib);
    model.largest_weight = static_cast<uint64_t>(network * 0.4 * mib);
    return model;
}

PlanRequest random_request(std::mt19937_64& random) {
    return {static_cast<uint32_t>(128 + random() % 16384), 512, static_cast<uint64_t>(between(random, 0, 12000) * mib)};
}

uint64_t vram_of(const ModelProfile& model, const DeviceProfile& device, const PlanRequest& request, const UnitPlan& plan) {
    if (plan.layers_on_card() == 0) return 0;
    const bool offloads = device.offload_from_width != never_streamed;
    uint64_t bytes = offloads ? offload_bytes(model, request.context_length, model.layers - plan.layers_on_card()) : 0;
    bytes += model.output_bytes + compute_buffer_bytes(model, request.context_length, request.widest_pass) + plan.slots * plan.slot_bytes;
    if (plan.networks_on_card().in_ram() > 0) bytes += share_result_bytes(model, request.widest_pass);
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        if (plan.layers[i].on_card) bytes += model.layer_bytes[i] - model.network_bytes[i] + model.kv_bytes_per_token[i] * request.context_length;
        const NetworkCut& network = plan.layers[i].network;
        if (network.pieces > 0) bytes += model.network_bytes[i] * network.resident / network.pieces;
    }
    return bytes;
}

void check_plan(const ModelProfile& model, const DeviceProfile& device, const PlanRequest& request) {
    const UnitPlan plan = plan_units(model, device, request);
    expect_equal(plan.vram_bytes, vram_of(model, device, request, plan));
    expect(plan.vram_bytes <= request.vram_bytes || plan.layers_on_card() == 0, "no more than " + show(request.vram_bytes) + " bytes, got " + show(plan.vram_bytes));
    expect(plan.request_seconds <= plan.static_split_request_seconds, "no slower than the best static split");
    bool below = true;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const LayerPlan& layer = plan.layers[i];
        expect(layer.on_card || below, "the last layers on the card, and no others");
        below &= !layer.on_card;
        const NetworkCut& network = layer.network;
        expect_equal(network.pieces, model.network_pieces[i]);
        expect(network.resident + network.streamed + network.early <= network.pieces, "no more shares than pieces");
        if (!layer.on_card) {
            expect(network.resident + network.streamed + network.early == 0 && network.stream_rest_from_width == never_streamed, "nothing of a network on the card below it");
            if (layer.stream_from_width == never_streamed) continue;
            expect(layer.stream_from_width == device.offload_from_width && !model.is_mixture[i], "wide passes to upload what the card wants");
            const uint64_t largest = std::max(model.network_bytes[i], model.layer_bytes[i] - model.network_bytes[i]);
            expect(plan.slots > 0 && plan.slot_bytes >= largest, "a slot that a layer below the card fits in");
            continue;
        }
        if (model.is_mixture[i] && network.pieces > 1) expect(network.streamed + network.early == 0, "no experts that are uploaded whether they are chosen or not");
        expect_equal(layer.stream_from_width, never_streamed);
        const uint64_t piece = model.network_bytes[i] / network.pieces;
        if (network.streamed > 0) expect(plan.slots > 0 && plan.slot_bytes >= piece * network.streamed, "a slot that the streamed share fits in");
        expect(network.early > 0 || network.stream_early_from_width == never_streamed, "no width for a share that is not there");
        expect(network.early == 0 || network.stream_early_from_width <= network.stream_rest_from_width, "what is early to be uploaded first");
        if (network.stream_early_from_width != never_streamed) expect(plan.slots > 0 && plan.slot_bytes >= piece * network.early, "a slot that the early share fits in");
        if (network.stream_rest_from_width != never_streamed) expect(network.rest() > 0 && plan.slot_bytes >= piece * network.rest(), "a slot that the rest fits in");
    }
    for (const std::string& sentence : plan.explanation) expect(sentence.ends_with("."), "a sentence, got " + show(sentence));
}

}  // namespace

TEST(unit_plan, "interpolates between measured widths and lets no wider pass be faster") {
    const WidthCurve curve({{1, 2.0}, {4, 8.0}, {8, 6.0}, {16, 16.0}});
    check_curve(curve, 1, 2.0);
    check_curve(curve, 2, 4.0);
    check_curve(curve, 4, 8.0);
    check_curve(curve, 6, 8.0);
    check_curve(curve, 8, 8.0);
    check_curve(curve, 12, 12.0);
    check_curve(curve, 32, 32.0);
    check_curve(WidthCurve(), 7, 0.0);
}

TEST(unit_plan, "adds up what happens one after the other and hides uploads behind it") {
    check_seconds("", 2, 0);
    check_seconds("ccc", 0, 0.003);
    check_seconds("cpc", 0, 0.012);
    check_seconds("pp", 0, 0.020);
    // One that stays in its slot from pass to pass would need no upload, but the ring does not count on that.
    check_seconds("s", 1, 0.003);
    check_seconds("ss", 1, 0.006);
    check_seconds("ssss", 2, 0.008);
    check_seconds("psps", 2, 0.022);
    check_seconds("cscs", 2, 0.004);
    check_seconds("cccccccs", 1, 0.008);
    check_seconds("cs", 1, 0.003);
    check_seconds("cccccccs", 2, 0.008);
    check_seconds("2", 2, 0.004);
    check_seconds("b", 0, 0.010);
    check_seconds("cb", 0, 0.011);
    check_seconds("ba", 2, 0.020);
    check_seconds("b", 0, 0.0105, 0.0005);
    check_seconds("bb", 0, 0.021, 0.0005);
    check_seconds("ppp", 0, 0.0305, 0.0005);
    check_seconds("pcp", 0, 0.022, 0.0005);
}

TEST(unit_plan, "takes the mean over where the chosen experts are") {
    constexpr uint64_t mb = 1'000'000;
    const auto check = [](uint64_t card, uint64_t processor, uint32_t experts, uint32_t drawn, double expected, Location at = Location::here()) {
        PassStep step{card * mb, {}, processor * mb};
        step.read = static_cast<double>(drawn) / experts;
        step.experts = experts;
        step.drawn = drawn;
        const double seconds = seconds_over(simple_device(), std::vector{step}, 1, 0);
        expect(std::abs(seconds - expected) < 1e-9, show(expected) + " s, got " + show(seconds), at);
    };
    // One of two, which are on the card and not: it takes 1 ms or 10.
    check(1, 1, 2, 1, 0.0055);
    // Two of four, of which two are on the card: both, one or none of them.
    check(2, 2, 4, 2, (1 * 0.002 + 4 * 0.010 + 1 * 0.020) / 6);
    // All of them, and so nothing is left to chance.
    check(2, 2, 4, 4, 0.020);
    check(3, 1, 4, 1, 0.75 * 0.001 + 0.25 * 0.010);
    // All of the processor's, and all of the card's, without chance.
    check(0, 4, 4, 2, 0.020);
    check(4, 0, 4, 2, 0.002);
}

TEST(unit_plan, "never exceeds the budget and is never slower than the best static split") {
    std::mt19937_64 random(1);
    for (int i = 0; i < 60; ++i) check_plan(random_model(random), random_device(random), random_request(random));
}

TEST(unit_plan, "is not slower with more memory or a faster bus") {
    std::mt19937_64 random(2);
    for (int i = 0; i < 20; ++i) {
        const ModelProfile model = random_model(random);
        DeviceProfile device = random_device(random);
        PlanRequest request = random_request(random);
        double before = plan_units(model, device, request).request_seconds;
        for (int step = 0; step < 4; ++step) {
            if (step % 2 == 0) request.vram_bytes += static_cast<uint64_t>(between(random, 0, 1000) * mib);
            else device.upload_bytes_per_second *= between(random, 1, 2);
            const double after = plan_units(model, device, request).request_seconds;
            // Networks are spread evenly over the layers, which is not always the very best order of them.
            expect(after <= before * 1.05, "at most " + show(before) + " s, got " + show(after));
            before = std::min(before, after);
        }
    }
}

TEST(unit_plan, "counts what is exchanged with the processor by the width of a pass") {
    const std::vector<PassStep> steps{{1'000, {}, 1'000'000, 0, 0, 5'000}};
    for (const uint32_t width : {1u, 8u}) {
        const double seconds = seconds_over(simple_device(), steps, width, 0);
        DeviceProfile device = simple_device();
        device.upload_bytes_per_second *= 2;
        const double faster = seconds_over(device, steps, width, 0);
        // Twice 5000 bytes a token at 2 ns a byte, or at 1 ns.
        expect(std::abs(seconds - faster - width * 10e-6) < 1e-9, show(width * 10) + " us more over the slower bus, got " + show((seconds - faster) * 1e6));
    }
}

TEST(unit_plan, "copies for a wide pass what the scheduler offers the card, one behind the other") {
    DeviceProfile device = simple_device();
    device.staged_bytes_per_second = 0.25e9;
    device.upload_seconds = 0.0001;
    PassStep step;
    step.copied = 1'000'000;
    step.copies = 3;
    const double alone = seconds_over(device, std::vector{step}, 1, 0);
    // 4 ns a byte for the copies and 1 for the card, and the beginning of each copy.
    expect(std::abs(alone - 0.0053) < 1e-9, "5.3 ms, got " + show(alone));
    const double both = seconds_over(device, std::vector{step, PassStep{1'000'000}}, 1, 0);
    expect(std::abs(both - 0.0063) < 1e-9, "6.3 ms, got " + show(both));
    // Half of the experts: half of the bytes.
    step.read = 0.5;
    const double half = seconds_over(device, std::vector{step}, 1, 0);
    expect(std::abs(half - 0.0028) < 1e-9, "2.8 ms, got " + show(half));
}

TEST(unit_plan, "lets small copies to the card wait for what is being uploaded before them") {
    const auto seconds = [](uint32_t copies) {
        PassStep behind{1'000'000};
        behind.copies = copies;
        return seconds_over(simple_device(), std::vector{PassStep{0, {1'000'000}}, behind}, 1, 2);
    };
    // The slot is filled again, in 2 ms, from when the card has computed with it for 1 ms.
    expect(std::abs(seconds(0) - 2e-3) < 1e-9, "2 ms, got " + show(seconds(0) * 1e3));
    expect(std::abs(seconds(1) - 4e-3) < 1e-9, "4 ms, got " + show(seconds(1) * 1e3));
}

TEST(unit_plan, "predicts passes over layers below the card from the width where the card wants their weights") {
    ModelProfile model = alike_layers(10);
    model.kv_bytes_per_token.assign(10, 64 * 1024);
    model.largest_weight = 40 * mib;
    DeviceProfile device;
    device.card = WidthCurve({{1, 0.01e-9}, {512, 0.2e-9}});
    device.processor = WidthCurve({{1, 0.03e-9}, {512, 15e-9}});
    device.upload_bytes_per_second = device.staged_bytes_per_second = 5e9;
    device.offload_from_width = 32;
    // Room for the attention of half of the layers.
    const PlanRequest request{4096, 512, 1900 * mib};
    const UnitPlan plan = plan_units(model, device, request);
    expect(plan.layers_on_card() > 0 && plan.layers_on_card() < 10, "layers below the card, got " + show(10 - plan.layers_on_card()));
    const double before = predict_pass(model, device, plan, 31);
    const double from = predict_pass(model, device, plan, 32);
    const auto below = static_cast<double>((10 - plan.layers_on_card()) * 120 * mib);
    expect(from < before, "a pass that is offered to be faster than one that is not");
    expect(from >= below / 5e9, "at least the time of the uploads");
    // As upstream does: whole layers, and one weight copied after the other.
    const UnitPlan whole = whole_layers(model, 3);
    const double copied = 7.0 * 120 * mib / 5e9;
    const double wide = predict_pass(model, device, whole, 64);
    expect(wide > copied && wide < copied + 0.1, "about the time of the copies, " + show(copied) + " s, got " + show(wide));
    device.offload_from_width = never_streamed;
    expect(predict_pass(model, device, whole, 64) > 5 * wide, "the processor to take much longer");
    expect(plan.request_seconds < plan_units(model, device, request).request_seconds, "a request that takes less time than without");
}

TEST(unit_plan, "lets the processor's result wait for what is being uploaded before it") {
    // A little of both, the card, a unit whose upload begins at the end of a pass and takes 2 ms.
    const auto seconds = [](uint64_t processor) { return seconds_over(simple_device(), std::vector<PassStep>{{0, {100'000}, processor}, {1'000'000}, {0, {1'000'000}}}, 1, 2); };
    expect(std::abs(seconds(100'000) - 4e-3) < 1e-9, "4 ms, got " + show(seconds(100'000) * 1e3));
    expect(std::abs(seconds(300'000) - 5e-3) < 1e-9, "5 ms, got " + show(seconds(300'000) * 1e3));
}

TEST(unit_plan, "uploads in wide passes what the processor computes in narrow ones") {
    const ModelProfile model = alike_layers(10);
    DeviceProfile device;
    device.card = WidthCurve({{1, 0.01e-9}, {512, 0.2e-9}});
    device.processor = WidthCurve({{1, 0.03e-9}, {512, 15e-9}});
    device.upload_bytes_per_second = 5e9;
    const UnitPlan plan = plan_units(model, device, {1024, 512, 800 * mib});
    const NetworkCut all = plan.networks_on_card();
    const uint32_t from = all.stream_rest_from_width;
    expect(from > 1 && from <= 64, "a width between 1 and 64, got " + show(from));
    expect(all.resident > 0 && all.resident + all.streamed < all.pieces, "networks of three shares");
    for (uint32_t width = 2; width < 32; ++width) {
        const double seconds = predict_pass(model, device, plan, width);
        const double wider = predict_pass(model, device, plan, width + 1);
        expect(seconds <= wider * 1.15, "a pass of " + show(width) + " tokens not to be much dearer than one more token, got " + show(seconds / wider));
    }
}

TEST(unit_plan, "divides a mixture between card and processor, expert by expert, and uploads the rest for prompts") {
    ModelProfile model;
    model.layers = 10;
    model.experts = 64;
    model.experts_used = 8;
    model.layer_bytes.assign(10, 120 * mib);
    model.network_bytes.assign(10, 100 * mib);
    model.is_mixture.assign(10, true);
    model.network_pieces.assign(10, 64);
    model.kv_bytes_per_token.assign(10, 1024);
    model.output_bytes = 100 * mib;
    DeviceProfile device;
    device.card = WidthCurve({{1, 0.01e-9}, {512, 0.2e-9}});
    device.processor = WidthCurve({{1, 0.03e-9}, {512, 15e-9}});
    device.upload_bytes_per_second = 5e9;
    const UnitPlan plan = plan_units(model, device, {1024, 512, 1000 * mib});
    for (const LayerPlan& layer : plan.layers) {
        expect(layer.on_card && layer.network.resident > 0 && layer.network.rest() > 0, "experts of every layer on both sides, got " + show(layer.network.resident));
        expect(layer.network.stream_rest_from_width > 8 && layer.network.stream_rest_from_width <= 512, "a width for prompts, got " + show(layer.network.stream_rest_from_width));
    }
    model.network_pieces.assign(10, 1);
    const UnitPlan whole = plan_units(model, device, {1024, 512, 1000 * mib});
    expect(plan.request_seconds < whole.request_seconds, "less than with whole layers, " + show(whole.request_seconds) + " s, got " + show(plan.request_seconds));
}

TEST(unit_plan, "a placement by whole layers takes the time of those on the card and those of the processor") {
    ModelProfile model;
    model.layers = 4;
    model.layer_bytes.assign(4, 30 * mib);
    model.network_bytes.assign(4, 20 * mib);
    model.network_pieces.assign(4, 1);
    model.is_mixture.assign(4, false);
    model.output_bytes = 10 * mib;
    const DeviceProfile device = simple_device();
    const auto check = [&](uint32_t on_card, double card_mib, double processor_mib, Location at = Location::here()) {
        const UnitPlan plan = whole_layers(model, on_card);
        const double expected = (card_mib * 1e-9 + processor_mib * 10e-9) * mib;
        const double seconds = predict_pass(model, device, plan, 1);
        expect(std::abs(seconds - expected) < 1e-9, show(expected) + " s, got " + show(seconds), at);
        expect_equal(plan.layers_on_card(), on_card, at);
    };
    check(0, 0, 130);
    check(1, 40, 90);
    check(4, 130, 0);
}
