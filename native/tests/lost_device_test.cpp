#include "check.h"
#include "runtime/engine.h"
#include "sim_device.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

// Throws what the generation ended with.
GenerationResult generate(Engine& engine, const std::shared_ptr<Session>& session, std::vector<llama_token> prompt) {
    std::promise<Generation::Outcome> outcome;
    engine.submit(session, generate_request(std::move(prompt), 4), nullptr, [&](Generation::Outcome ended) { outcome.set_value(std::move(ended)); });
    Generation::Outcome ended = outcome.get_future().get();
    if (const auto* const failure = std::get_if<std::exception_ptr>(&ended)) std::rethrow_exception(*failure);
    return std::get<GenerationResult>(std::move(ended));
}

}  // namespace

TEST(lost_device, "fails what it computes and nothing else, and the model can be closed") {
    load_backends(library_directory(), true);
    // The largest one, so that it is chosen beside those of other tests.
    sim::SimDevice& card = sim::SimDevice::create(*sim::find_card_profile("rtx4060-laptop-8gb"), sim::Mode::Exact);
    Engine engine(library_directory(), false);
    LoadOptions options;
    options.plan.path = small_model_path();
    options.plan.context_length = 128;
    const auto on_card = engine.load(options);
    expect_equal(on_card->placement().device, std::string(ggml_backend_dev_name(card.handle())));
    options.plan.use_gpu = false;
    const auto on_processor = engine.load(options);
    const auto session = engine.create_session(on_card, {.context_length = 128}, 1);
    const auto other = engine.create_session(on_processor, {.context_length = 128}, 1);
    const std::vector<llama_token> prompt{1, 2, 3, 4, 5, 6, 7, 8};

    expect_equal(generate(engine, session, prompt).tokens.size(), size_t{4});
    card.lose();
    for (int i = 0; i < 2; ++i) {
        expect_error(ErrorCode::DeviceFailed, on_card->placement().device, [&] { generate(engine, session, {9, 8, 7, 6}); });
        expect(session->cached_tokens().empty(), "nothing in the cache of what was not computed");
    }
    expect_equal(generate(engine, other, prompt).tokens.size(), size_t{4});
    on_card->close();
    expect_error(ErrorCode::Closed, "", [&] { generate(engine, session, prompt); });
    // No card for the tests behind this one.
    card.set_foreign_bytes(UINT64_MAX >> 1);
}
