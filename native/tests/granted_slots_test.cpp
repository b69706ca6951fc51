#include "plan/granted_slots.h"

#include "check.h"
#include "passes.h"
#include "plan/several_cards.h"
#include "simulated_cards.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1 << 20;

// Beside a processor that is too slow for anything, so that much is uploaded.
DeviceProfile uploading_device() {
    DeviceProfile device;
    device.card = WidthCurve({{1, 0.02e-9}, {512, 0.2e-9}});
    device.processor = WidthCurve({{1, 1e-9}, {64, 60e-9}});
    device.upload_bytes_per_second = 12e9;
    device.staged_bytes_per_second = 6e9;
    return device;
}

// Of networks that differ in size, so that more slots hide more of the uploads.
ModelProfile uneven_model() {
    ModelProfile model;
    model.layers = 16;
    for (uint32_t layer = 0; layer < model.layers; ++layer) {
        model.network_bytes.push_back((layer % 4 == 0 ? 160 : 60) * mib);
        model.layer_bytes.push_back(model.network_bytes.back() + 20 * mib);
    }
    model.is_mixture.assign(16, false);
    model.network_pieces.assign(16, 40);
    model.kv_bytes_per_token.assign(16, 1024);
    model.embedding = 2048;
    model.output_bytes = 100 * mib;
    return model;
}

Placement place(const ModelProfile& model, std::vector<uint64_t> budgets, const std::vector<std::string>& names, uint32_t context, uint32_t batch, uint64_t ram = 16'000 * mib) {
    PlacementRequest request;
    request.context_length = context;
    request.batch_size = batch;
    for (size_t i = 0; i < budgets.size(); ++i) request.cards.push_back({names[i], "a card", budgets[i] + vram_margin, false, uploading_device()});
    request.ram_total = request.ram_available = ram;
    return plan_placement(model, request);
}

// What a pass takes with these slots, by the planner.
double seconds_with(const ModelProfile& model, const Placement& placement, const std::vector<uint32_t>& slots, uint32_t width) {
    std::vector<CardBudget> cards;
    SeveralCardsPlan plan;
    plan.units = *placement.units;
    for (size_t i = 0; i < slots.size(); ++i) {
        plan.cards.push_back({i, 0, 0, slots[i], 0, 0});
        cards.push_back({placement.cards[i].device, placement.cards[i].profile, 0});
    }
    return predict_pass_over(model, cards, plan, width);
}

std::vector<uint32_t> slots_of(const Placement& placement) {
    std::vector<uint32_t> slots;
    for (const PlacedCard& card : placement.cards) slots.push_back(card.slots);
    return slots;
}

std::string text_of(const std::vector<std::string>& sentences) {
    std::string all;
    for (const std::string& sentence : sentences) all += sentence + " ";
    return all;
}

// A sentence about the slots, and another one about what finds no room where that is on the same card.
void check_explained(const ModelProfile& model, const Placement& planned, const Placement& granted, size_t card, Location at) {
    expect(planned.shortfall && granted.shortfall, "why there is no more", at);
    const std::string before = text_of(explain(*planned.shortfall, model, planned));
    const std::string after = text_of(explain(*granted.shortfall, model, granted));
    std::string expected = text_of(planned.explanation);
    const size_t place = expected.find(before);
    expect(place != std::string::npos, show(before) + " in " + show(expected), at);
    expected.replace(place, before.size(), after);
    const bool is_meant = planned.shortfall->device == planned.cards[card].device;
    expect_equal(granted.shortfall->limit, is_meant ? Shortfall::Limit::Card : planned.shortfall->limit, at);
    expect_equal(granted.shortfall->bytes_free, is_meant ? 0 : planned.shortfall->bytes_free, at);
    const std::string text = text_of(granted.explanation);
    expect(text.starts_with(expected + planned.cards[card].device + " grants memory for "), show(expected) + " and a sentence about the slots, got " + show(text), at);
    expect(granted.explanation.back().starts_with(planned.cards[card].device + " grants"), "one sentence about the slots", at);
}

void check_granted(const ModelProfile& model, const Placement& planned, size_t card, uint32_t slots, Location at = Location::here()) {
    for (const auto& [width, seconds] : planned.predictions) expect_equal(seconds_with(model, planned, slots_of(planned), width), seconds, at);
    Placement granted = planned;
    grant_slots(model, granted, card, slots);
    const uint64_t refused = (planned.cards[card].slots - slots) * planned.cards[card].slot_bytes;
    std::vector<uint32_t> all = slots_of(planned);
    all[card] = slots;
    expect_equal(slots_of(granted), all, at);
    for (size_t i = 0; i < planned.cards.size(); ++i) {
        expect_equal(granted.cards[i].bytes, planned.cards[i].bytes - (i == card ? refused : 0), at);
    }
    expect_equal(granted.device_bytes, planned.device_bytes - refused, at);
    expect_equal(granted.units->vram_bytes, planned.units->vram_bytes - refused, at);
    expect_equal(granted.predictions.size(), planned.predictions.size(), at);
    bool slower = false;
    for (size_t i = 0; i < granted.predictions.size(); ++i) {
        const auto [width, seconds] = granted.predictions[i];
        expect_equal(seconds, seconds_with(model, planned, all, width), at);
        slower = slower || seconds > planned.predictions[i].seconds;
    }
    expect(slower, "some passes to take longer with " + show(slots) + " slots", at);
    check_explained(model, planned, granted, card, at);
}

}  // namespace

TEST(granted_slots, "are what passes are predicted with, on one card and on several") {
    const ModelProfile model = uneven_model();
    const Placement one = place(model, {900 * mib}, {"Card0"}, 1024, 512);
    expect(one.units && one.cards.size() == 1 && one.cards[0].slots >= 2, "a plan with upload slots");
    for (uint32_t slots = 1; slots < one.cards[0].slots; ++slots) check_granted(model, one, 0, slots);
    const Placement two = place(model, {700 * mib, 600 * mib}, {"Card0", "Card1"}, 1024, 512);
    expect(two.units && two.cards.size() == 2, "a plan over two cards");
    for (size_t card = 0; card < 2; ++card) {
        expect(two.cards[card].slots >= 2, "upload slots on both cards");
        check_granted(model, two, card, 1);
    }
    expect_equal(one.cards[0].profile.upload_bytes_per_second, 12e9);
    // With weights that stay in the file, which come by way of a little pinned memory.
    const Placement mapped = place(model, {900 * mib}, {"Card0"}, 1024, 512, 1600 * mib);
    expect(!mapped.copies_host_weights && mapped.cards.at(0).slots >= 2, "a plan with upload slots for weights that are mapped");
    expect_equal(mapped.cards[0].profile.upload_bytes_per_second, 6e9);
    for (uint32_t slots = 1; slots < mapped.cards[0].slots; ++slots) check_granted(model, mapped, 0, slots);
}

TEST(granted_slots, "are what a loaded model says it has, and computes with") {
    sim::SimDevice& card = exact_card();
    LoadOptions options = tight_options(0);
    const ModelProfile profile = read_model_profile(options.plan.path);
    const Placement planned = place(profile, {80 * mib}, {name_of(card)}, placed_context, placed_batch);
    expect(planned.units && planned.cards.at(0).slots >= 2, "a plan with upload slots");
    const uint64_t before = free_bytes_of(card);
    const auto load = [&](int granted) {
        // All that is resident is there then.
        options.on_progress = [&, granted](float fraction) {
            if (fraction > 0.9999f) card.fail_allocation(granted);
        };
        return Model::load(options, profile, planned);
    };
    for (int granted = 1; granted <= static_cast<int>(planned.cards[0].slots); ++granted) {
        const std::shared_ptr<Model> model = load(granted);
        card.fail_allocation(-1);
        expect_equal(model->placement().cards.at(0).slots, static_cast<uint32_t>(granted));
        const PassPrediction& first = model->placement().predictions.front();
        expect_equal(first.seconds, seconds_with(profile, planned, {static_cast<uint32_t>(granted)}, first.width));
        expect_equal(model->count_pass(first.width, 1), first.seconds);
        const OneThread one;
        Passes passes(Session::create(model, {placed_context, placed_batch}, one.threads()));
        expect_equal(passes.behind({1, 2, 3}, model->vocabulary().size()).size(), model->vocabulary().size());
    }
    expect_error(ErrorCode::OutOfMemory, "upload slot", [&] { load(0); });
    card.fail_allocation(-1);
    expect_equal(free_bytes_of(card), before);
}
