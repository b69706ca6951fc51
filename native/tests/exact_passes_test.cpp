// Answers that do not depend on how many of their tokens were guessed.
#include <array>
#include <string>
#include <utility>

#include "check.h"
#include "gguf_file.h"
#include "small_model.h"
#include "synthetic_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

struct Language {
    std::string name;
    std::string code;
};

const std::array<Language, 3> languages{{
    {"Python",
     "import csv\n\ndef read_rows(path):\n    with open(path, newline='') as file:\n        return list(csv.DictReader(file))\n\n"
     "def total(rows, column):\n    result = 0\n    for row in rows:\n        result += float(row[column])\n    return result\n"},
    {"TypeScript",
     "export interface Row {\n  name: string;\n  amount: number;\n}\n\nexport function total(rows: Row[]): number {\n  let result = 0;\n"
     "  for (const row of rows) {\n    result += row.amount;\n  }\n  return result;\n}\n"},
    {"C++",
     "#include <vector>\n\nstruct Row {\n    std::string name;\n    double amount = 0;\n};\n\ndouble total(const std::vector<Row>& rows) {\n"
     "    double result = 0;\n    for (const Row& row : rows) {\n        result += row.amount;\n    }\n    return result;\n}\n"},
}};

// Questions about code, rewriting of it, and code that is to be filled in: 207 prompts.
std::vector<std::string> prompts() {
    std::vector<std::string> prompts;
    const std::array<std::string, 8> questions{"Explain", "Find the error in", "What is the result of", "Who calls", "Shorten", "Test", "Compare", "Document"};
    const std::array<std::string, 8> changes{"Rename result to sum in", "Add types to", "Add error handling to", "Translate", "Simplify", "Log every step of", "Split", "Speed up"};
    for (const auto& [name, code] : languages) {
        for (const std::string& question : questions) prompts.push_back(question + " this " + name + " code:\n" + code + "\nAnswer:\n");
        for (const std::string& change : changes) prompts.push_back(change + " this " + name + " code:\n" + code + "\nNew code:\n" + code.substr(0, code.size() / 3));
        for (size_t i = 1; i <= 53; ++i) {
            const size_t cut = i * code.size() / 54;
            prompts.push_back("<|fim_prefix|><|fim_suffix|>" + code.substr(std::min(code.size(), cut + 12)) + "<|fim_middle|>" + code.substr(0, cut));
        }
    }
    return prompts;
}

void greedy(DecodeOptions&) {}

void drawn(DecodeOptions& decode) {
    decode.sampler.temperature = 0.8f;
    decode.sampler.top_k = 40;
    decode.sampler.top_p = 0.95f;
    decode.sampler.repeat_penalty = 1.1f;
    decode.sampler.seed = 5;
}

void of_grammar(DecodeOptions& decode) {
    decode.sampler.grammar = "root ::= [a-z ]*";
}

// Weights of K-quants at random, which leave many tokens almost equally likely.
class RandomModel {
  public:
    RandomModel() { synthetic::write_model(*synthetic::find_shape("tiny"), small_model_path(), file_.path()); }
    std::string path() const { return file_.path(); }

  private:
    TemporaryFile file_;
};

class Answers {
  public:
    explicit Answers(const std::string& path) : small_(path, true), draft_(small_.load(path, true)), session_(small_.session(1024)) {
        session_->edit_logits([this](size_t, std::span<float>) {
            small_.model->speculation().costs = same_costs(1);
            draft_->speculation().costs = same_costs(0.1);
        });
        draft_session_ = small_.engine.create_session(draft_, {1024, 0, small_.model}, 1);
    }

    const Model& model() const { return *small_.model; }

    // The same with and without guesses, of the draft model or else of the text, and in the latter case when it is asked for again,
    // of which the first answer is remembered. Returns the guesses that were right, the first time and then.
    std::pair<uint32_t, uint32_t> check(const std::string& prompt, const std::function<void(DecodeOptions&)>& change, bool with_draft_model, Location at = Location::here()) {
        const auto answer = [&](Speculate speculate) {
            auto request = generate_request(small_.tokens(prompt, true), 14);
            change(*request.decode);
            request.decode->speculate = speculate;
            if (with_draft_model) request.decode->draft = draft_session_;
            return run(small_, session_, request);
        };
        const GenerationResult plain = answer(Speculate::Off);
        const auto right = [&] {
            const GenerationResult guessed = answer(Speculate::Exact);
            expect_equal(guessed.tokens, plain.tokens, at);
            expect_equal(guessed.decode_passes + guessed.speculation.accepted_tokens, plain.decode_passes, at);
            return guessed.speculation.accepted_tokens;
        };
        const uint32_t first = right();
        return {first, with_draft_model ? 0 : right()};
    }

  private:
    SmallModel small_;
    std::shared_ptr<Model> draft_;
    std::shared_ptr<Session> session_;
    std::shared_ptr<Session> draft_session_;
};

}  // namespace

TEST(exact_passes, "answers to 200 prompts are the same to the token, whoever guessed and however tokens are chosen") {
    const RandomModel file;
    Answers answers(file.path());
    expect(answers.model().placement().exact_passes, "passes that are exact");
    expect_equal(answers.model().placement().kv_type == KvType::Q8_0, true);
    const std::vector<std::string> all = prompts();
    expect(all.size() >= 200, "at least 200 prompts, got " + show(all.size()));
    for (const bool with_draft_model : {false, true}) {
        uint32_t right = 0;
        uint32_t right_again = 0;
        // The draft model guesses beside the text: every prompt is one for both.
        const size_t step = with_draft_model ? 1 : 4;
        for (size_t i = 0; i < all.size(); i += step) {
            // A grammar tries every token of the vocabulary, which takes its time.
            const auto choice = i % 16 == 0 ? of_grammar : i % 2 == 0 ? greedy : drawn;
            const auto [first, again] = answers.check(all[i], choice, with_draft_model);
            right += first;
            right_again += again;
        }
        expect(right > all.size() / step / 2, "a right guess for every other prompt, got " + show(right));
        // From memory, whose guesses need a few tokens to go by.
        expect(with_draft_model || right_again > all.size() / step * 6, "most tokens to be guessed the second time, got " + show(right_again));
    }
}

TEST(exact_passes, "answers behind long prompts are the same, where kernels share the work in another way") {
    const RandomModel file;
    Answers answers(file.path());
    uint32_t right = 0;
    for (const auto& [name, code] : languages) {
        std::string prompt;
        while (prompt.size() < 2600) prompt += code;
        for (const auto& change : {greedy, drawn}) right += answers.check(prompt, change, true).first;
    }
    expect(right > 4, "guesses that are right, got " + show(right));
}

TEST(exact_passes, "nothing is guessed where passes are not exact and exact answers are asked for") {
    SmallModel small;
    expect(!small.model->placement().exact_passes, "passes that are not exact");
    auto request = generate_request(small.tokens("one two three one two three one two three one two"), 24);
    request.decode->speculate = Speculate::Exact;
    expect_equal(run(small, small.session(), request).speculation.drafted_tokens, 0u);
}
