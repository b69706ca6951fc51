// The real small model that tests of the runtime share: SmolLM2-135M, 30 layers, 49152 tokens.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "runtime/engine.h"

namespace nmos::testing {

// From the environment; a test that asks for one that is not there fails and says how to run it.
std::string small_model_path();
std::string library_directory();

// The model's vocabulary without its weights.
class VocabularyOnly {
  public:
    explicit VocabularyOnly(const std::string& path = small_model_path());
    const Vocabulary& operator*() const { return *vocabulary_; }
    const Vocabulary* operator->() const { return &*vocabulary_; }

  private:
    std::unique_ptr<llama_model, decltype(&llama_model_free)> model_;
    std::optional<Vocabulary> vocabulary_;
};

// An engine with the model, or with another one, loaded on the processor. Passes take one thread, so that tests do not depend
// on cores.
struct SmallModel {
    explicit SmallModel(const std::string& path = small_model_path(), bool exact_passes = false);

    std::shared_ptr<Session> session(uint32_t context_length = 512, uint32_t batch_size = 0);
    // Of another model, or of a second copy of this one.
    std::shared_ptr<Model> load(const std::string& path, bool exact_passes = false);
    std::vector<llama_token> tokens(const std::string& text, bool special = false) const;

    Engine engine;
    std::shared_ptr<Model> model;
};

// Of passes that take so long whatever their width, so that every guess pays; a token of a prompt takes a tenth of one.
PassCosts same_costs(double seconds);

// About `count` tokens of text, which depends on `seed`.
std::vector<llama_token> long_prompt(const SmallModel& small, size_t count, int seed = 0);

// A generation under way.
class Running {
  public:
    Running(SmallModel& small, std::shared_ptr<Session> session, GenerationRequest request, Generation::OnText on_text = nullptr);

    // Waits for the end; throws what ended it.
    GenerationResult result();
    bool ended() const { return outcome_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

  private:
    std::future<Generation::Outcome> outcome_;
};

GenerationRequest prefill_request(std::vector<llama_token> prompt, Priority priority = Priority::Chat);
// Greedy.
GenerationRequest generate_request(std::vector<llama_token> prompt, uint32_t max_tokens, Priority priority = Priority::Chat);

GenerationResult run(SmallModel& small, const std::shared_ptr<Session>& session, GenerationRequest request);

}  // namespace nmos::testing
