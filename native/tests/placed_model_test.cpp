#include <algorithm>
#include <array>
#include <numeric>
#include <thread>

#include "check.h"
#include "gguf_file.h"
#include "passes.h"
#include "plan/placement.h"
#include "platform/os.h"
#include "random_device.h"
#include "runtime/backends.h"
#include "runtime/session.h"
#include "simulated_cards.h"
#include "small_model.h"
#include "synthetic_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1 << 20;
constexpr uint32_t context = placed_context;
constexpr uint32_t batch = placed_batch;

sim::SimDevice& card() {
    return exact_card();
}

uint64_t free_bytes() {
    return free_bytes_of(card());
}

FastCards fast_card(const LoadOptions& options) {
    return FastCards(options, std::array{&card()});
}

LoadOptions tight_options() {
    card();
    return nmos::testing::tight_options(90 * mib);
}

// Random plans that put a part of the layers on the card.
void check_any_plan(const std::string& path) {
    std::mt19937_64 random(5);
    SmallModel small(path);
    const ModelProfile profile = read_model_profile(path);
    const OneThread one;
    size_t cut = 0;
    for (int run = 0; run < 8; ++run) {
        PlacementRequest request;
        request.context_length = context;
        request.batch_size = batch;
        request.kv_type = run % 3 == 0 ? KvType::Q8_0 : KvType::F16;
        const auto layers = static_cast<double>(profile.weight_bytes() - profile.output_bytes - profile.embedding_bytes + profile.kv_bytes(context));
        request.vram_limit = profile.output_bytes + compute_buffer_bytes(profile, context, batch) + static_cast<uint64_t>(between(random, 0.2, 1) * layers);
        DeviceProfile device = random_device(random);
        // For small models these would decide everything.
        device.exchange_seconds = device.launch_seconds = device.upload_seconds = 0;
        request.cards.push_back({ggml_backend_dev_name(card().handle()), "a card", 3000 * mib, false, device});
        request.ram_total = request.ram_available = run % 2 == 0 ? 8000 * mib : 600 * mib;
        const Placement placement = plan_placement(profile, request);
        const NetworkCut all = placement.units ? placement.units->networks_on_card() : NetworkCut{};
        const std::string plan = show(all.resident) + "+" + show(all.streamed) + "+" + show(all.early) + "+" + show(all.rest()) + " of " + show(all.pieces) + " pieces";
        cut += all.in_ram() > 0;
        LoadOptions options;
        options.plan.path = path;
        const std::shared_ptr<Model> model = Model::load(options, profile, placement);
        BesideProcessor both(Session::create(model, {context, batch}, one.threads()), small.session(context, batch),
                             small.tokens("The sea was calm that morning, and the captain of the little ship"));
        for (int step = 0; step < 24; ++step) both.check_pass("after " + show(step) + " steps with " + plan);
    }
    expect(cut >= 4, "half of the plans, at least, to leave some of the networks in RAM, got " + show(cut));
}

// Gives some and then all of the memory back that it can, and gets it again while passes run.
void check_comes_and_goes(Engine& engine, const LoadOptions& options) {
    const std::shared_ptr<Model> model = engine.load(options);
    SmallModel small;
    BesideProcessor both(engine.create_session(model, {context, batch}, 1), small.session(context, batch), {1, 2, 3});
    both.check_pass("at first");
    const uint64_t before = free_bytes();
    const uint64_t some = model->release(1);
    expect(some > 0 && free_bytes() >= before + some, "some memory to come back");
    both.check_pass("when some is released");
    const uint64_t all = some + model->release(UINT64_MAX);
    expect(all > some, "more memory to come back");
    expect_equal(model->activity().released_bytes(), all);
    both.check_pass("when all is released");

    const auto cancelled = std::make_shared<Cancellation>();
    cancelled->cancel();
    expect_equal(engine.prefetch(*model, cancelled), uint64_t{0});
    // Where a driver throws meanwhile, what is there by then is used and counts.
    card().break_allocations(4);
    const uint64_t part = engine.prefetch(*model, std::make_shared<Cancellation>());
    card().break_allocations(-1);
    expect(part > 0 && part < all, "some of it to be restored, got " + show(part) + " of " + show(all));
    expect_equal(model->activity().released_bytes(), all - part);
    expect_equal(free_bytes(), before + all - part);
    both.check_pass("when some is restored");

    uint64_t restored = 0;
    std::thread prefetching([&] { restored = engine.prefetch(*model, std::make_shared<Cancellation>()); });
    for (int pass = 0; pass < 8; ++pass) both.check_pass("while it is restored");
    prefetching.join();
    expect_equal(restored, all - part);
    expect_equal(model->activity().released_bytes(), uint64_t{0});
    expect_equal(free_bytes(), before);
    both.check_pass("when it is restored");
    expect_equal(model->activity().passes, uint64_t{13});
}

}  // namespace

TEST(placed_model, "goes on with the processor's text, whatever the plan") {
    check_any_plan(small_model_path());
}

TEST(placed_model, "goes on with the processor's text, whatever the plan of a model with wide networks") {
    const TemporaryFile file;
    synthetic::write_model(*synthetic::find_shape("tiny"), small_model_path(), file.path());
    check_any_plan(file.path());
}

TEST(placed_model, "goes on with the processor's text, whatever the plan of a model with narrow networks") {
    synthetic::Shape narrow = *synthetic::find_shape("tiny");
    narrow.embedding = 512;
    narrow.heads = 8;
    narrow.feed_forward = 512;
    const TemporaryFile file;
    synthetic::write_model(narrow, small_model_path(), file.path());
    check_any_plan(file.path());
}

TEST(placed_model, "goes on with the processor's text, whatever the plan of a mixture of experts") {
    const TemporaryFile file;
    synthetic::write_model(*synthetic::find_shape("tiny-moe"), small_model_path(), file.path());
    check_any_plan(file.path());
}

TEST(placed_model, "survives a refusal of memory at any time with a smaller plan or an error that says so") {
    const LoadOptions options = tight_options();
    const FastCards cache = fast_card(options);
    Engine engine(library_directory(), false, cache.path());
    const auto load = [&] { return engine.load(options); };
    { expect(load()->placement().units.has_value(), "a plan that cuts the model up"); }
    const uint64_t before = free_bytes();
    int survived = 0;
    int refused = 0;
    for (const int after : {0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 64, 66, 68, 70, 72, 74, 76, 78, 90, 120}) {
        card().fail_allocation(after);
        try {
            const std::shared_ptr<Model> model = load();
            Passes passes(engine.create_session(model, {context, batch}, 1));
            expect_equal(passes.behind({1, 2, 3}, model->vocabulary().size()).size(), model->vocabulary().size());
            expect_equal(passes.behind({4}, model->vocabulary().size()).size(), model->vocabulary().size());
            ++survived;
        } catch (const EngineError& error) {
            expect_equal(error.code(), ErrorCode::OutOfMemory);
            ++refused;
        }
        card().fail_allocation(-1);
        expect_equal(free_bytes(), before);
    }
    expect(survived >= 15 && survived + refused == 20, "most refusals to be survived");
}

TEST(placed_model, "is cut up by the measured speed of a card that refuses to hold all of it") {
    const FastCards cache = fast_card(tight_options());
    LoadOptions options = tight_options();
    options.plan.vram_limit = 0;
    int refused = 0;
    for (const int after : {0, 1, 2, 3, 4, 6, 8, 12, 16}) {
        // One that knows no speed yet.
        Engine engine(library_directory(), false, cache.path());
        card().fail_allocation(after);
        const std::shared_ptr<Model> model = engine.load(options);
        card().fail_allocation(-1);
        const Placement& placement = model->placement();
        // Ordinary memory in place of pinned one is no refusal.
        if (placement.networks_can_leave) continue;
        ++refused;
        expect(placement.units.has_value() && !placement.predictions.empty(), "the networks to be divided after " + show(after) + " allocations");
        Passes passes(engine.create_session(model, {context, batch}, 1));
        expect_equal(passes.behind({1, 2, 3}, model->vocabulary().size()).size(), model->vocabulary().size());
    }
    expect(refused >= 3, "some of the allocations to be of graphics memory, got " + show(refused));
}

TEST(placed_model, "gives all memory back when it is closed, whoever still knows it") {
    const LoadOptions options = tight_options();
    const FastCards cache = fast_card(options);
    Engine engine(library_directory(), false, cache.path());
    const uint64_t before = free_bytes();
    const std::shared_ptr<Model> model = engine.load(options);
    const std::shared_ptr<Session> session = engine.create_session(model, {context, batch}, 1);
    { expect_equal(Passes(session).behind({1, 2, 3}, model->vocabulary().size()).size(), model->vocabulary().size()); }
    expect(free_bytes() < before, "memory of the card to be used");
    model->close();
    expect_equal(free_bytes(), before);
    expect_equal(model->activity().passes, uint64_t{1});
    expect_error(ErrorCode::Closed, "was closed", [&] { model->release(UINT64_MAX); });
}

TEST(placed_model, "gives graphics memory back and gets it again while passes run") {
    const LoadOptions options = tight_options();
    const FastCards cache = fast_card(options);
    Engine engine(library_directory(), false, cache.path());
    check_comes_and_goes(engine, options);
}

TEST(placed_model, "gives graphics memory back and gets it again also when the card holds all of it") {
    LoadOptions options = tight_options();
    options.plan.vram_limit = 0;
    Engine engine(library_directory(), false);
    check_comes_and_goes(engine, options);
}

TEST(placed_model, "computes the same where its networks can leave the card, bit for bit, also when they were away") {
    LoadOptions options = tight_options();
    options.plan.vram_limit = 0;
    Engine engine(library_directory(), false);
    const std::shared_ptr<Model> model = engine.load(options);
    Placement placement = model->placement();
    expect(placement.networks_can_leave && !placement.units, "networks that can leave the card");
    placement.networks_can_leave = false;
    const std::shared_ptr<Model> fixed = Model::load(options, model->profile(), placement);
    const size_t vocabulary = model->vocabulary().size();
    Passes reference(engine.create_session(fixed, {context, batch}, 1));
    std::vector<std::vector<float>> expected;
    const std::vector<std::vector<llama_token>> passes{{1, 2, 3, 4, 5, 6, 7}, {8}, {9}, {10, 11}, {12}};
    for (const auto& tokens : passes) expected.push_back(reference.behind(tokens, vocabulary));
    const uint64_t networks = std::accumulate(model->profile().network_bytes.begin(), model->profile().network_bytes.end(), uint64_t{0});
    const auto session = engine.create_session(model, {context, batch}, 1);
    Passes placed(session);
    for (int run = 0; run < 3; ++run) {
        session->keep_common_prefix({}, false);
        for (size_t i = 0; i < passes.size(); ++i) expect(placed.behind(passes[i], vocabulary) == expected[i], "the same logits in pass " + show(i) + " of run " + show(run));
        // The same pass again, over the same graph, while the weights are elsewhere and when they are back.
        const auto again = [&] {
            session->keep_common_prefix(std::vector<llama_token>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, false);
            return placed.behind(passes.back(), vocabulary);
        };
        expect_equal(model->release(UINT64_MAX), networks);
        expect_equal(likeliest(again()), likeliest(expected.back()));
        expect_equal(engine.prefetch(*model, std::make_shared<Cancellation>()), networks);
        expect(again() == expected.back(), "the same logits when the weights are back in run " + show(run));
    }
    expect_equal(fixed->release(UINT64_MAX), uint64_t{0});
}
