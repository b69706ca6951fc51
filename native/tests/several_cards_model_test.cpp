#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <string_view>
#include <thread>

#include "check.h"
#include "gguf_file.h"
#include "passes.h"
#include "plan/placement.h"
#include "random_device.h"
#include "runtime/backends.h"
#include "runtime/log.h"
#include "simulated_cards.h"
#include "small_model.h"
#include "synthetic_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1 << 20;
constexpr uint32_t context = placed_context;
constexpr uint32_t batch = placed_batch;

using Cards = std::array<sim::SimDevice*, 2>;

// Two of different kinds.
const Cards& cards() {
    static const Cards made{&exact_card("gtx1650-4gb"), &exact_card("rtx3050-laptop-4gb")};
    return made;
}

std::array<uint64_t, 2> free_bytes() {
    return {free_bytes_of(*cards()[0]), free_bytes_of(*cards()[1])};
}

PlacementRequest request_for(const std::array<uint64_t, 2>& budgets, const std::array<DeviceProfile, 2>& devices) {
    PlacementRequest request;
    request.context_length = context;
    request.batch_size = batch;
    request.ram_total = request.ram_available = 8000 * mib;
    for (size_t i = 0; i < budgets.size(); ++i) request.cards.push_back({name_of(*cards()[i]), "a card", budgets[i] + vram_margin, false, devices[i]});
    return request;
}

std::shared_ptr<Model> load(const ModelProfile& profile, const Placement& placement) {
    LoadOptions options;
    options.plan.path = profile.path;
    return Model::load(options, profile, placement);
}

// Bytes of what is the same in every layer.
uint64_t layers_bytes(const ModelProfile& profile) {
    return profile.weight_bytes() - profile.output_bytes - profile.embedding_bytes + profile.kv_bytes(context);
}

// Random plans over both cards, of which so many, at least, leave some of the networks in RAM.
void check_any_plan(const std::string& path, size_t least_cut) {
    std::mt19937_64 random(21);
    cards();
    SmallModel small(path);
    const ModelProfile profile = read_model_profile(path);
    const OneThread one;
    size_t over_both = 0;
    size_t cut = 0;
    for (int run = 0; run < 8; ++run) {
        std::array<DeviceProfile, 2> devices{random_device(random), random_device(random)};
        // For small models these would decide everything.
        for (DeviceProfile& device : devices) device.exchange_seconds = device.launch_seconds = device.upload_seconds = 0;
        const uint64_t least = profile.output_bytes + compute_buffer_bytes(profile, context, batch);
        const auto budget = [&] { return least + static_cast<uint64_t>(between(random, 0.1, 0.6) * static_cast<double>(layers_bytes(profile))); };
        PlacementRequest request = request_for({budget(), budget()}, devices);
        if (run % 2 == 1) request.ram_available = 600 * mib;
        for (sim::SimDevice* card : cards()) card->set_seed(random());
        const Placement placement = plan_placement(profile, request);
        over_both += placement.cards.size() == 2;
        cut += placement.units.has_value();
        const std::shared_ptr<Model> model = load(profile, placement);
        BesideProcessor both(Session::create(model, {context, batch}, one.threads()), small.session(context, batch),
                             small.tokens("The sea was calm that morning, and the captain of the little ship"));
        for (int step = 0; step < 16; ++step) both.check_pass("after " + show(step) + " steps of run " + show(run));
    }
    expect(over_both >= 4, "half of the plans, at least, to use both cards, got " + show(over_both));
    expect(cut >= least_cut, "at least " + show(least_cut) + " plans to leave some of the networks in RAM, got " + show(cut));
}

// The placement of all layers as a whole, the first `on_first` of them on the first card, or all on one where that is 0.
Placement whole_layers_over(const ModelProfile& profile, uint32_t on_first) {
    Placement placement;
    placement.layers = placement.device_layers = profile.layers;
    placement.output_on_device = true;
    placement.context_length = context;
    placement.host_bytes = profile.embedding_bytes;
    placement.device = name_of(*cards()[1]);
    if (on_first > 0) placement.cards.push_back({name_of(*cards()[0]), 0, on_first});
    placement.cards.push_back({name_of(*cards()[1]), on_first, profile.layers - on_first});
    return placement;
}

std::vector<std::vector<float>> logits_of(const std::shared_ptr<Model>& model, const OneThread& one) {
    Passes passes(Session::create(model, {context, batch}, one.threads()));
    std::vector<std::vector<float>> all;
    for (const std::vector<llama_token>& tokens : {std::vector<llama_token>{11, 22, 33, 44, 55, 66, 77}, {88}, {99}, {5, 4, 3}}) {
        all.push_back(passes.behind(tokens, model->vocabulary().size()));
    }
    return all;
}

LoadOptions tight_options() {
    cards();
    return nmos::testing::tight_options(70 * mib);
}

}  // namespace

TEST(several_cards_model, "goes on with the processor's text, whatever the plan over two cards") {
    check_any_plan(small_model_path(), 4);
}

TEST(several_cards_model, "goes on with the processor's text, whatever the plan of a mixture of experts over two cards") {
    const TemporaryFile file;
    synthetic::write_model(*synthetic::find_shape("tiny-moe"), small_model_path(), file.path());
    check_any_plan(file.path(), 1);
}

TEST(several_cards_model, "computes over two cards what it computes on one, bit for bit, wherever the border is") {
    cards();
    const ModelProfile profile = read_model_profile(small_model_path());
    const OneThread one;
    const auto expected = logits_of(load(profile, whole_layers_over(profile, 0)), one);
    for (const uint32_t border : {1u, 13u, 15u, 29u}) {
        const auto before = free_bytes();
        const std::shared_ptr<Model> model = load(profile, whole_layers_over(profile, border));
        expect(free_bytes()[0] < before[0] && free_bytes()[1] < before[1], "memory of both cards to be used");
        expect(logits_of(model, one) == expected, "the logits of one card with " + show(border) + " layers on the other");
    }
}

TEST(several_cards_model, "has every layer on the card that the plan says") {
    take_over_library_log();
    cards();
    const ModelProfile profile = read_model_profile(small_model_path());
    std::mt19937_64 random(23);
    for (int run = 0; run < 6; ++run) {
        // Layers of the processor, of the first card and of the second one.
        const uint32_t processor = run % 3 == 0 ? 0 : static_cast<uint32_t>(random() % 20);
        const uint32_t first = 1 + static_cast<uint32_t>(random() % (profile.layers - processor - 1));
        Placement placement = whole_layers_over(profile, first);
        placement.device_layers = profile.layers - processor;
        for (PlacedCard& card : placement.cards) card.first_layer += processor;
        placement.cards.back().layers -= processor;
        std::map<int, std::string> assigned;
        const auto sink = add_log_sink([&](LogLevel, std::string_view text) {
            int layer = 0;
            std::array<char, 64> device{};
            if (std::sscanf(std::string(text).c_str(), "load_tensors: layer %d assigned to device %63[^,]", &layer, device.data()) == 2) assigned[layer] = device.data();
        });
        load(profile, placement);
        expect_equal(assigned.size(), size_t{profile.layers} + 1);
        for (const auto& [layer, device] : assigned) {
            const auto at = static_cast<uint32_t>(layer);
            const std::string expected = at < processor ? "CPU" : name_of(*cards()[at < processor + first ? 0 : 1]);
            expect(device == expected, "layer " + show(layer) + " on " + expected + ", got " + device);
        }
    }
}

TEST(several_cards_model, "refuses a plan whose card is gone, and one that llama.cpp cannot follow") {
    cards();
    const ModelProfile profile = read_model_profile(small_model_path());
    const auto before = free_bytes();
    Placement placement = whole_layers_over(profile, 10);
    placement.cards[1].device = "SIM77";
    expect_error(ErrorCode::BackendUnavailable, "SIM77", [&] { load(profile, placement); });
    placement = whole_layers_over(profile, 10);
    placement.cards[1].first_layer = 11;
    expect_error(ErrorCode::Internal, "one card after the other", [&] { load(profile, placement); });
    placement = whole_layers_over(profile, 10);
    placement.output_on_device = false;
    expect_error(ErrorCode::Internal, "one card after the other", [&] { load(profile, placement); });
    expect(free_bytes() == before, "all memory to be free");
}

TEST(several_cards_model, "survives a refusal of memory on either card with a smaller plan or an error that says so") {
    const LoadOptions options = tight_options();
    const FastCards cache(options, cards());
    Engine engine(library_directory(), false, cache.path());
    { expect_equal(engine.load(options)->placement().cards.size(), size_t{2}); }
    const auto before = free_bytes();
    int survived = 0;
    int refused = 0;
    for (const size_t card : {size_t{0}, size_t{1}}) {
        for (const int after : {0, 5, 30}) {
            cards()[card]->fail_allocation(after);
            try {
                const std::shared_ptr<Model> model = engine.load(options);
                for (const PlacedCard& placed : model->placement().cards) expect(placed.bytes <= options.plan.vram_limit, "no more than the limit on " + placed.device);
                Passes passes(engine.create_session(model, {context, batch}, 1));
                expect_equal(passes.behind({1, 2, 3}, model->vocabulary().size()).size(), model->vocabulary().size());
                ++survived;
            } catch (const EngineError& error) {
                expect_equal(error.code(), ErrorCode::OutOfMemory);
                ++refused;
            }
            cards()[card]->fail_allocation(-1);
            expect(free_bytes() == before, "all memory to be free");
        }
    }
    expect(survived >= 4 && survived + refused == 6, "most refusals to be survived, got " + show(survived));
}

TEST(several_cards_model, "is placed without the one of two cards that fails meanwhile") {
    LoadOptions options = tight_options();
    const FastCards cache(options, cards());
    Engine engine(library_directory(), false, cache.path());
    const auto before = free_bytes();
    const auto check_without = [&](size_t card, const std::string& how) {
        const std::shared_ptr<Model> model = engine.load(options);
        const std::vector<PlacedCard>& placed = model->placement().cards;
        expect_equal(placed.size(), size_t{1});
        expect_equal(placed.front().device, name_of(*cards()[1 - card]));
        expect(placed.front().bytes > options.plan.vram_limit * 7 / 8, "all that the other card may give " + how + ", got " + show(placed.front().bytes));
        Passes passes(engine.create_session(model, {context, batch}, 1));
        expect_equal(passes.behind({1, 2, 3}, model->vocabulary().size()).size(), model->vocabulary().size());
    };
    for (const size_t card : {size_t{0}, size_t{1}}) {
        for (const int after : {0, 1, 3, 8}) {
            cards()[card]->break_allocations(after);
            check_without(card, "when allocations throw after " + show(after));
            cards()[card]->break_allocations(-1);
            expect(free_bytes() == before, "all memory to be free");
        }
        options.on_progress = [&](float) { cards()[card]->set_foreign_bytes(UINT64_MAX >> 1); };
        check_without(card, "when no memory at all is granted any more");
        options.on_progress = nullptr;
        cards()[card]->set_foreign_bytes(0);
        expect(free_bytes() == before, "all memory to be free");
    }
    { expect_equal(engine.load(options)->placement().cards.size(), size_t{2}); }
    // Nothing is left to go on with but an engine that is started anew.
    for (sim::SimDevice* card : cards()) card->break_allocations(1);
    bool is_told = false;
    try {
        engine.load(options);
    } catch (const std::exception& error) {
        is_told = std::string_view(error.what()).find("the device was lost") != std::string_view::npos;
    }
    for (sim::SimDevice* card : cards()) card->break_allocations(-1);
    expect(is_told, "to be told what happened when all cards fail");
    expect(free_bytes() == before, "all memory to be free");
}

TEST(several_cards_model, "gives memory back card by card and gets it again also when two cards hold all of it") {
    cards();
    const ModelProfile profile = read_model_profile(small_model_path());
    const OneThread one;
    Placement placement = whole_layers_over(profile, 13);
    const auto expected = logits_of(load(profile, placement), one);
    placement.networks_can_leave = true;
    const std::shared_ptr<Model> model = load(profile, placement);
    const auto networks_on = [&](const PlacedCard& card) {
        const auto first = profile.network_bytes.begin() + card.first_layer;
        return std::accumulate(first, first + card.layers, uint64_t{0});
    };
    const std::vector<uint64_t> networks{networks_on(placement.cards[0]), networks_on(placement.cards[1])};
    struct Case {
        std::string device;
        std::vector<uint64_t> released;
    };
    for (const auto& [device, released] : {Case{placement.cards[0].device, {networks[0], 0}}, Case{placement.cards[1].device, {0, networks[1]}}, Case{"", networks}}) {
        expect(logits_of(model, one) == expected, "the logits of weights that stay, before " + show(device) + " gives some back");
        const auto before = free_bytes();
        const uint64_t all = released[0] + released[1];
        expect_equal(model->release(UINT64_MAX, device), all);
        expect_equal(model->activity().released, released);
        for (size_t card = 0; card < before.size(); ++card) expect_equal(free_bytes()[card], before[card] + released[card]);
        const auto away = logits_of(model, one);
        for (size_t i = 0; i < expected.size(); ++i) {
            const float worse = expected[i][likeliest(expected[i])] - expected[i][likeliest(away[i])];
            expect(worse < widest_tie, "about the same logits without the networks, got a token less likely by " + show(worse));
        }
        expect_equal(model->prefetch(std::make_shared<Cancellation>(), UINT64_MAX, device), all);
        expect(free_bytes() == before, "as much memory in use as before");
    }
    expect(logits_of(model, one) == expected, "the same logits when all weights are back");
}

TEST(several_cards_model, "gives memory of one card or of both back and gets it again while passes run") {
    const LoadOptions options = tight_options();
    const FastCards cache(options, cards());
    Engine engine(library_directory(), false, cache.path());
    const std::shared_ptr<Model> model = engine.load(options);
    expect_equal(model->placement().cards.size(), size_t{2});
    SmallModel small;
    BesideProcessor both(engine.create_session(model, {context, batch}, 1), small.session(context, batch), {1, 2, 3});
    both.check_pass("at first");
    const auto before = free_bytes();
    const auto on_first = static_cast<size_t>(model->placement().cards[0].device == name_of(*cards()[1]));
    const std::string first = name_of(*cards()[on_first]);
    const uint64_t some = model->release(UINT64_MAX, first);
    expect(some > 0, "some memory to come back");
    expect_equal(free_bytes()[on_first], before[on_first] + some);
    expect_equal(free_bytes()[1 - on_first], before[1 - on_first]);
    expect_equal(model->activity().released, std::vector<uint64_t>({some, 0}));
    both.check_pass("when one card has given memory back");
    const uint64_t more = model->release(UINT64_MAX);
    expect(more > 0, "the other card to give memory back, too");
    expect_equal(model->activity().released, std::vector<uint64_t>({some, more}));
    expect_equal(model->activity().released_bytes(), some + more);
    both.check_pass("when both have");
    expect_equal(engine.prefetch(*model, std::make_shared<Cancellation>(), UINT64_MAX, first), some);
    expect_equal(model->activity().released, std::vector<uint64_t>({0, more}));
    uint64_t restored = 0;
    std::thread prefetching([&] { restored = engine.prefetch(*model, std::make_shared<Cancellation>()); });
    for (int pass = 0; pass < 6; ++pass) both.check_pass("while it is restored");
    prefetching.join();
    expect_equal(restored, more);
    expect(free_bytes() == before, "as much memory in use as before");
    both.check_pass("when it is restored");
}

TEST(several_cards_model, "counts the uploads to both cards, and is as it was after a cancelled pass") {
    cards();
    const ModelProfile profile = read_model_profile(small_model_path());
    const OneThread one;
    // Layers 0 to 14 and 15 to 29, every network half resident and half uploaded.
    Placement placement = whole_layers_over(profile, 15);
    UnitPlan units = whole_layers(profile, profile.layers);
    for (uint32_t layer = 0; layer < profile.layers; ++layer) {
        const uint32_t pieces = units.layers[layer].network.pieces;
        units.layers[layer].network.resident = pieces / 2;
        units.layers[layer].network.streamed = pieces - pieces / 2;
        units.layers[layer].card = layer < 15 ? 0 : 1;
    }
    placement.units = units;
    for (PlacedCard& card : placement.cards) card.slots = 2;
    const std::shared_ptr<Model> model = load(profile, placement);
    const auto session = Session::create(model, {context, batch}, one.threads());
    const auto cancellation = std::make_shared<Cancellation>();
    session->acquire(cancellation);
    const std::array<sim::Traffic, 2> before{cards()[0]->traffic(), cards()[1]->traffic()};
    const std::vector<llama_token> tokens{1, 2, 3, 4, 5};
    expect(session->compute(tokens, true), "the pass to be computed");
    const std::vector<float> expected(session->logits(), session->logits() + model->vocabulary().size());
    for (size_t i = 0; i < before.size(); ++i) expect(cards()[i]->traffic().uploaded > before[i].uploaded, "uploads to " + name_of(*cards()[i]));
    expect(model->activity().uploads.bytes > 0, "uploads to be counted");
    session->keep_common_prefix({}, false);
    cancellation->cancel();
    expect(!session->compute(tokens, true), "the pass to be cancelled");
    session->release();
    session->acquire(std::make_shared<Cancellation>());
    session->keep_common_prefix({}, false);
    expect(session->compute(tokens, true), "the pass to be computed again");
    const std::vector<float> again(session->logits(), session->logits() + model->vocabulary().size());
    expect(again == expected, "the logits of before");
    session->release();
}
