#include <algorithm>
#include <fstream>
#include <numeric>
#include <thread>

#include "check.h"
#include "gguf_file.h"
#include "passes.h"
#include "plan/placement.h"
#include "platform/os.h"
#include "random_device.h"
#include "runtime/backends.h"
#include "runtime/profile_cache.h"
#include "runtime/session.h"
#include "sim_device.h"
#include "small_model.h"
#include "synthetic_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1 << 20;
constexpr uint32_t context = 256;
constexpr uint32_t batch = 32;

sim::SimDevice& card() {
    load_backends(library_directory(), true);
    static sim::SimDevice& made = sim::SimDevice::create(*sim::find_card_profile("gtx1650-4gb"), sim::Mode::Exact);
    return made;
}

uint64_t free_bytes() {
    size_t free = 0;
    size_t total = 0;
    ggml_backend_dev_memory(card().handle(), &free, &total);
    return free;
}

// A folder in which the card is said to be as fast as a real one; what is measured of it, it is only because the processor
// computes for it.
class FastCard {
  public:
    explicit FastCard(const LoadOptions& options) {
        std::string machine;
        {
            Engine measuring(library_directory(), false, folder_.path());
            measuring.load(options);
            std::ifstream file(folder_.only_file());
            std::getline(file, machine);
            std::getline(file, machine);
        }
        DeviceProfile fast;
        fast.card = WidthCurve({{1, 0.01e-9}, {512, 0.2e-9}});
        fast.processor = WidthCurve({{1, 0.05e-9}, {64, 3e-9}});
        fast.upload_bytes_per_second = fast.staged_bytes_per_second = 12e9;
        ProfileCache(folder_.path()).keep(ggml_backend_dev_name(card().handle()), machine, fast);
    }

    std::string path() const { return folder_.path(); }

  private:
    TemporaryFolder folder_;
};

LoadOptions tight_options() {
    card();
    LoadOptions options;
    options.plan.path = small_model_path();
    options.plan.context_length = context;
    options.plan.vram_limit = 90 * mib;
    return options;
}

// Random plans that put a part of the layers on the card.
void check_any_plan(const std::string& path) {
    std::mt19937_64 random(5);
    SmallModel small(path);
    const ModelProfile profile = read_model_profile(path);
    ggml_threadpool_params params = ggml_threadpool_params_default(1);
    const std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool_t)> pool(cpu_functions().threadpool_new(&params), cpu_functions().threadpool_free);
    const size_t vocabulary = small.model->vocabulary().size();
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
        Passes placed(Session::create(model, {context, batch}, {pool.get(), 1}));
        Passes reference(small.session(context, batch));

        std::vector<llama_token> next = small.tokens("The sea was calm that morning, and the captain of the little ship");
        for (int step = 0; step < 24; ++step) {
            const std::vector<float> expected = reference.behind(next, vocabulary);
            const size_t found = likeliest(placed.behind(next, vocabulary));
            const size_t likely = likeliest(expected);
            expect(expected[likely] - expected[found] < widest_tie, "the processor's token after " + show(step) + " steps with " + plan + ", got one that is less likely by " + show(expected[likely] - expected[found]));
            next = {static_cast<llama_token>(likely)};
        }
    }
    expect(cut >= 4, "half of the plans, at least, to leave some of the networks in RAM, got " + show(cut));
}

// Gives some and then all of the memory back that it can, and gets it again while passes run.
void check_comes_and_goes(Engine& engine, const LoadOptions& options) {
    const std::shared_ptr<Model> model = engine.load(options);
    const size_t vocabulary = model->vocabulary().size();
    Passes passes(engine.create_session(model, {context, batch}, 1));
    SmallModel small;
    Passes reference(small.session(context, batch));
    std::vector<llama_token> next{1, 2, 3};
    const auto check_pass = [&](const std::string& when) {
        const std::vector<float> expected = reference.behind(next, vocabulary);
        const size_t found = likeliest(passes.behind(next, vocabulary));
        const size_t likely = likeliest(expected);
        expect(expected[likely] - expected[found] < widest_tie, "the processor's token " + when);
        next = {static_cast<llama_token>(likely)};
    };
    check_pass("at first");
    const uint64_t before = free_bytes();
    const uint64_t some = model->release(1);
    expect(some > 0 && free_bytes() >= before + some, "some memory to come back");
    check_pass("when some is released");
    const uint64_t all = some + model->release(UINT64_MAX);
    expect(all > some, "more memory to come back");
    expect_equal(model->activity().released_bytes(), all);
    check_pass("when all is released");

    const auto cancelled = std::make_shared<Cancellation>();
    cancelled->cancel();
    expect_equal(engine.prefetch(*model, cancelled), uint64_t{0});
    uint64_t restored = 0;
    std::thread prefetching([&] { restored = engine.prefetch(*model, std::make_shared<Cancellation>()); });
    for (int pass = 0; pass < 8; ++pass) check_pass("while it is restored");
    prefetching.join();
    expect_equal(restored, all);
    expect_equal(model->activity().released_bytes(), uint64_t{0});
    expect_equal(free_bytes(), before);
    check_pass("when it is restored");
    expect_equal(model->activity().passes, uint64_t{12});
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
    const FastCard cache(options);
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

TEST(placed_model, "gives all memory back when it is closed, whoever still knows it") {
    const LoadOptions options = tight_options();
    const FastCard cache(options);
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
    const FastCard cache(options);
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
