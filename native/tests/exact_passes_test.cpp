// Answers that do not depend on how many of their tokens were guessed.
#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <string>

#include "check.h"
#include "random_model.h"
#include "small_model.h"

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
    // Most tokens obey it, so that guesses do, too.
    decode.sampler.grammar = "root ::= [^t]*";
}

// So many tokens are ruled out, and so many made likelier, that hardly a token would come without.
void biased(DecodeOptions& decode) {
    decode.sampler.temperature = 0.3f;
    decode.sampler.seed = 5;
    for (llama_token token = 300; decode.sampler.logit_bias.size() < 500; token += 50) {
        decode.sampler.logit_bias.push_back({token, ruled_out});
        decode.sampler.logit_bias.push_back({token + 1, 3.0f});
    }
}

using Change = void (*)(DecodeOptions&);

enum class Drafter { Text, Model, Given, Memory };

// What a request may bring for an answer: mostly right.
std::vector<llama_token> spoiled(std::vector<llama_token> answer) {
    for (size_t i = 4; i < answer.size(); i += 5) answer[i] = answer[i] == 300 ? 301 : 300;
    return answer;
}

class Answers {
  public:
    explicit Answers(const std::string& path, int32_t threads = 1)
        : small_(path, true), draft_(small_.load(path, true)), session_(small_.engine.create_session(small_.model, {1024, 0}, threads)) {
        session_->edit_logits([this](size_t place, std::span<float> logits) {
            if (at_) at_(place - prompt_.size());
            if (copies_) logits[static_cast<size_t>(prompt_[place % prompt_.size()])] = *std::ranges::max_element(logits) + 4;
            small_.model->speculation().costs = same_costs(1);
            draft_->speculation().costs = same_costs(0.1);
        });
        draft_session_ = small_.engine.create_session(draft_, {1024, 0, small_.model}, threads);
    }

    const Model& model() const { return *small_.model; }

    // A token a pass. `copies`: it is mostly the prompt once more, whose text guesses it then; weights at random repeat little.
    const GenerationResult& plain(const std::string& prompt, Change change, bool copies = false) {
        prompt_ = small_.tokens(prompt, true);
        copies_ = copies;
        change_ = change;
        return plain_ = run(small_, session_, request(Speculate::Off));
    }

    // The same answer once more; adds what came of the guesses.
    void check(Drafter drafter, SpeculationResult& sum, Location at = Location::here()) {
        const GenerationResult guessed = run(small_, session_, guessed_by(drafter));
        expect_equal(guessed.tokens, plain_.tokens, at);
        expect_equal(guessed.decode_passes + guessed.speculation.accepted_tokens, plain_.decode_passes, at);
        const SpeculationResult& guesses = guessed.speculation;
        sum.drafted_tokens += drafter == Drafter::Model ? guesses.model_drafted_tokens : guesses.drafted_tokens;
        sum.accepted_tokens += drafter == Drafter::Model ? guesses.model_accepted_tokens : guesses.accepted_tokens;
    }

    // The same answer, cancelled while this token of it is chosen, and then once more. Whether it was not at its end there.
    bool cancel(Drafter drafter, size_t token, SpeculationResult& sum, Location at = Location::here()) {
        const auto asked = guessed_by(drafter);
        at_ = [&](size_t place) {
            if (place == token) asked.cancellation->cancel();
        };
        const GenerationResult cancelled = run(small_, session_, asked);
        at_ = nullptr;
        const auto& tokens = cancelled.tokens;
        expect(std::ranges::mismatch(tokens, plain_.tokens).in1 == tokens.end(), "the beginning of the same answer", at);
        std::vector<llama_token> text = prompt_;
        text.insert(text.end(), tokens.begin(), tokens.end());
        const std::vector<llama_token> cached = session_->cached_tokens();
        expect(cached.size() >= prompt_.size() && std::ranges::mismatch(cached, text).in1 == cached.end(), "nothing but the answer in the cache", at);
        sum.accepted_tokens += cancelled.speculation.accepted_tokens;
        check(drafter, sum, at);
        return cancelled.finish == Finish::Cancelled;
    }

  private:
    GenerationRequest guessed_by(Drafter drafter) const {
        // Only one of them has what was answered before.
        if (drafter != Drafter::Memory) small_.model->speculation().recent.forget();
        auto asked = request(Speculate::Exact);
        if (drafter == Drafter::Model) asked.decode->draft = draft_session_;
        if (drafter == Drafter::Given) asked.decode->draft_tokens = spoiled(plain_.tokens);
        return asked;
    }

    GenerationRequest request(Speculate speculate) const {
        auto asked = generate_request(prompt_, 9);
        change_(*asked.decode);
        asked.decode->speculate = speculate;
        return asked;
    }

    SmallModel small_;
    std::function<void(size_t)> at_;  // called with the place in the answer whose token is chosen
    std::vector<llama_token> prompt_;
    Change change_ = greedy;
    bool copies_ = false;
    GenerationResult plain_;
    std::shared_ptr<Model> draft_;
    std::shared_ptr<Session> session_;
    std::shared_ptr<Session> draft_session_;
};

constexpr size_t ways = 3;

// For a third of the prompts, and every drafter. At least so many guesses of each are verified, and so many right.
void check_prompts(size_t first, Change change, uint32_t least_drafted, uint32_t least_right, Location at = Location::here()) {
    const RandomModel file;
    Answers answers(file.path());
    expect(answers.model().placement().exact_passes, "passes that are exact", at);
    expect_equal(answers.model().placement().kv_type == KvType::Q8_0, true, at);
    const std::vector<std::string> all = prompts();
    expect(all.size() >= 200, "at least 200 prompts, got " + show(all.size()), at);
    std::array<SpeculationResult, 4> sums;
    for (size_t i = first; i < all.size(); i += ways) {
        answers.plain(all[i], change);
        // The last one remembers what the others answered.
        for (const Drafter drafter : {Drafter::Model, Drafter::Given, Drafter::Memory}) answers.check(drafter, sums[static_cast<size_t>(drafter)], at);
        answers.plain(all[i], change, true);
        answers.check(Drafter::Text, sums[static_cast<size_t>(Drafter::Text)], at);
    }
    std::string counts;
    for (const SpeculationResult& sum : sums) counts += " " + show(sum.accepted_tokens) + " of " + show(sum.drafted_tokens);
    for (const SpeculationResult& sum : sums) {
        expect(sum.drafted_tokens >= least_drafted && sum.accepted_tokens >= least_right, "more guesses of each drafter to be right, got" + counts, at);
    }
}

}  // namespace

// Every prompt for every drafter, without a grammar and with one; a third of them in each test, which can run beside each other.
TEST(exact_passes, "greedy answers are the same to the token, whoever guessed") {
    check_prompts(0, greedy, 300, 150);
}

TEST(exact_passes, "greedy answers are the same to the token, whoever guessed, to the second third of the prompts") {
    check_prompts(1, greedy, 300, 150);
}

TEST(exact_passes, "greedy answers are the same to the token, whoever guessed, to the last third of the prompts") {
    check_prompts(2, greedy, 300, 150);
}

TEST(exact_passes, "answers that obey a grammar are the same to the token, whoever guessed") {
    check_prompts(0, of_grammar, 200, 100);
}

TEST(exact_passes, "answers that obey a grammar are the same to the token, whoever guessed, to the second third of the prompts") {
    check_prompts(1, of_grammar, 200, 100);
}

TEST(exact_passes, "answers that obey a grammar are the same to the token, whoever guessed, to the last third of the prompts") {
    check_prompts(2, of_grammar, 200, 100);
}

// Of these a third tells enough: what chooses a token is the same for all prompts.
TEST(exact_passes, "drawn answers are the same to the token, whoever guessed") {
    check_prompts(1, drawn, 40, 30);
}

TEST(exact_passes, "answers with a bias are the same to the token, whoever guessed") {
    check_prompts(2, biased, 40, 30);
}

TEST(exact_passes, "an answer can be cancelled at every token, whoever guessed, and goes on from there") {
    const RandomModel file;
    Answers answers(file.path());
    const std::vector<std::string> all = prompts();
    for (const Drafter drafter : {Drafter::Text, Drafter::Model, Drafter::Given, Drafter::Memory}) {
        SpeculationResult sum;
        int cancelled = 0;
        for (size_t i = 0; i < all.size(); i += all.size() / languages.size()) {
            answers.plain(all[i], greedy, drafter == Drafter::Text);
            for (size_t token = 0; answers.cancel(drafter, token, sum); ++token) ++cancelled;
        }
        expect(cancelled >= 20, "to be cancelled at nearly every token, got " + show(cancelled));
        expect(sum.accepted_tokens > 20, "guesses that are right, got " + show(sum.accepted_tokens));
    }
}

TEST(exact_passes, "answers that two threads compute are the same") {
    const RandomModel file;
    Answers answers(file.path(), 2);
    const std::vector<std::string> all = prompts();
    SpeculationResult sum;
    for (size_t i = 0; i < all.size(); i += 100) {
        answers.plain(all[i], greedy);
        for (const Drafter drafter : {Drafter::Model, Drafter::Given}) answers.check(drafter, sum);
    }
    expect(sum.accepted_tokens > 8, "guesses that are right, got " + show(sum.accepted_tokens));
}

TEST(exact_passes, "answers behind long prompts are the same, where kernels share the work in another way") {
    const RandomModel file;
    Answers answers(file.path());
    SpeculationResult sum;
    for (const auto& [name, code] : languages) {
        std::string prompt;
        while (prompt.size() < 2600) prompt += code;
        for (const auto& change : {greedy, drawn}) {
            answers.plain(prompt, change);
            answers.check(Drafter::Given, sum);
        }
    }
    expect(sum.accepted_tokens > 4, "guesses that are right, got " + show(sum.accepted_tokens));
}

TEST(exact_passes, "nothing is guessed where passes are not exact and exact answers are asked for") {
    SmallModel small;
    expect(!small.model->placement().exact_passes, "passes that are not exact");
    auto request = generate_request(small.tokens("one two three one two three one two three one two"), 24);
    request.decode->speculate = Speculate::Exact;
    expect_equal(run(small, small.session(), request).speculation.drafted_tokens, 0u);
}
