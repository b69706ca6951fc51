#include "small_model.h"

#include <cstdlib>

#include "check.h"
#include "runtime/log.h"

namespace nmos::testing {

namespace {

std::string from_environment(const char* name, const char* what) {
    const char* value = std::getenv(name);
    expect(value && *value, std::string(name) + " to name " + what + "; \"npm test -- --only native\" sets it");
    return value;
}

}  // namespace

std::string small_model_path() {
    return from_environment("NMOS_TEST_MODEL", "the GGUF file of SmolLM2-135M");
}

std::string library_directory() {
    return from_environment("NMOS_TEST_LIBRARIES", "the folder of the engine libraries");
}

VocabularyOnly::VocabularyOnly(const std::string& path) : model_(nullptr, &llama_model_free) {
    take_over_library_log();
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    model_.reset(llama_model_load_from_file(path.c_str(), params));
    expect(model_ != nullptr, "the vocabulary of " + path);
    vocabulary_.emplace(llama_model_get_vocab(model_.get()));
}

SmallModel::SmallModel(const std::string& path, bool exact_passes) : engine(library_directory(), true), model(load(path, exact_passes)) {}

std::shared_ptr<Model> SmallModel::load(const std::string& path, bool exact_passes) {
    LoadOptions options;
    options.plan.path = path;
    options.plan.context_length = 1024;
    options.plan.use_gpu = false;
    options.plan.exact_passes = exact_passes;
    std::shared_ptr<Model> loaded = engine.load(options);
    expect(loaded != nullptr, "the model to load");
    return loaded;
}

std::shared_ptr<Session> SmallModel::session(uint32_t context_length, uint32_t batch_size) {
    return engine.create_session(model, {context_length, batch_size}, 1);
}

std::vector<llama_token> SmallModel::tokens(const std::string& text, bool special) const {
    return model->vocabulary().tokenize({{text, special}}, false);
}

PassCosts same_costs(double seconds) {
    PassCosts costs;
    for (const uint32_t width : {1u, 1u, 16u, 16u}) costs.observe(width, seconds);
    costs.observe_prefill(1, seconds / 10);
    return costs;
}

std::vector<llama_token> long_prompt(const SmallModel& small, size_t count, int seed) {
    std::string text;
    for (size_t line = 0; line * 8 < count; ++line) text += "Line " + std::to_string(line * 7 + static_cast<size_t>(seed)) + " of the story says hello.\n";
    std::vector<llama_token> tokens = small.tokens(text);
    tokens.resize(std::min(tokens.size(), count));
    return tokens;
}

Running::Running(SmallModel& small, std::shared_ptr<Session> session, GenerationRequest request, Generation::OnText on_text) {
    const auto outcome = std::make_shared<std::promise<Generation::Outcome>>();
    outcome_ = outcome->get_future();
    small.engine.submit(std::move(session), std::move(request), std::move(on_text),
                        [outcome](Generation::Outcome value) { outcome->set_value(std::move(value)); });
}

GenerationResult Running::result() {
    Generation::Outcome outcome = outcome_.get();
    if (const auto failure = std::get_if<std::exception_ptr>(&outcome)) std::rethrow_exception(*failure);
    return std::get<GenerationResult>(std::move(outcome));
}

GenerationRequest prefill_request(std::vector<llama_token> prompt, Priority priority) {
    return {std::move(prompt), priority, std::make_shared<Cancellation>(), std::nullopt};
}

GenerationRequest generate_request(std::vector<llama_token> prompt, uint32_t max_tokens, Priority priority) {
    DecodeOptions decode;
    decode.max_tokens = max_tokens;
    return {std::move(prompt), priority, std::make_shared<Cancellation>(), std::move(decode)};
}

GenerationResult run(SmallModel& small, const std::shared_ptr<Session>& session, GenerationRequest request) {
    return Running(small, session, std::move(request)).result();
}

}  // namespace nmos::testing
