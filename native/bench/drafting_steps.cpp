// How long it takes to draft from a text and to decide about drafts.
//
//   drafting_steps MODEL PROMPT_BYTES SAMPLES < TEXT
//
// The first bytes of TEXT are a prompt, the others an answer. At so many of its tokens prints the microseconds of three steps as
// JSON: adding the token to the text and drafting what comes next from that and from earlier answers; what the controller is asked about a pass; and what it is asked
// about one more token of a draft model. As in use the processor's caches have seen other memory before.
#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/log.h"
#include "runtime/vocabulary.h"
#include "speculative/draft_control.h"
#include "speculative/recent_answers.h"
#include "speculative/suffix_drafter.h"
#include "step_times.h"

using namespace nmos;
using namespace nmos::bench;

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t longest_draft = widest_verification - 1;

// Of a token of a draft model, in terms of a pass over the main one.
constexpr double price = 0.1;

// A pass over so many tokens takes so long, on a card that does not hold all of the model.
double seconds_of(uint32_t width) {
    return 0.05 * (1 + 0.06 * (width - 1));
}

// Costs of which as much is known as can be: all widths are predicted and were seen.
PassCosts known_costs() {
    PassCosts costs;
    for (uint32_t width = 1; width <= widest_verification; ++width) {
        costs.predict(width, seconds_of(width));
        for (int i = 0; i < 2; ++i) costs.observe(width, 1.1 * seconds_of(width));
    }
    return costs;
}

struct Steps {
    std::vector<double> draft_us;
    std::vector<double> pass_us;
    std::vector<double> draft_token_us;
    double check = 0;  // keeps the compiler from leaving the work out
};

// As many of the draft's tokens as the answer goes on with.
size_t right_ones(const Draft& draft, std::span<const llama_token> next) {
    return static_cast<size_t>(std::ranges::mismatch(draft.tokens, next).in1 - draft.tokens.begin());
}

// As many earlier answers as are remembered: the halves of the answer in turn, so that its words are everywhere among them.
RecentAnswers full_of(std::span<const llama_token> answer) {
    RecentAnswers recent;
    const size_t half = answer.size() / 2;
    if (half == 0) throw std::invalid_argument("Expected an answer of at least two tokens, got " + std::to_string(answer.size()) + ".");
    for (size_t added = 0; added < 2 * RecentAnswers::usual_half; added += half) recent.add(answer.subspan(added / half % 2 * half, half));
    return recent;
}

Steps measure(std::span<const llama_token> prompt, std::span<const llama_token> answer, size_t samples) {
    OtherMemory others;
    SuffixDrafter drafter(prompt);
    const RecentAnswers recent = full_of(answer);
    PassCosts costs = known_costs();
    DraftControl control;
    Draft of_model;
    Steps steps;
    const size_t every = std::max<size_t>(1, answer.size() / samples);
    for (size_t i = 0; i < answer.size(); ++i) {
        if (i % every != 0) {
            drafter.append(answer[i]);
            continue;
        }
        others.visit();
        auto begin = Clock::now();
        drafter.append(answer[i]);
        const Draft draft = drafter.draft(longest_draft);
        const Draft remembered = recent.draft(drafter.text(), drafter.matched(), longest_draft);
        steps.draft_us.push_back(microseconds_since(begin));
        const size_t right = right_ones(draft, answer.subspan(i + 1));

        others.visit();
        begin = Clock::now();
        DraftControl::Choice choice;
        for (const Draft* offered : {&draft, &remembered}) {
            if (offered->empty()) continue;
            const DraftControl::Choice one = control.best(*offered, costs);
            if (one.length == 0) control.decline(offered->certainties.front());
            if (one.gain > choice.gain) choice = one;
        }
        steps.check += control.forecast({}, longest_draft, price, costs);
        control.learn(draft, right);
        const auto width = static_cast<uint32_t>(1 + choice.length);
        costs.observe(width, seconds_of(width));
        steps.pass_us.push_back(microseconds_since(begin));

        if (of_model.size() == longest_draft) of_model.cut(0);
        of_model.push_back(answer[i], certainty_of_probability(0.6 + 0.4 * static_cast<double>(i % 7) / 7));
        others.visit();
        begin = Clock::now();
        const double spent = static_cast<double>(of_model.size()) * price;
        steps.check += control.best(of_model, costs, spent).gain;
        steps.check += control.forecast(of_model, longest_draft, price, costs);
        steps.draft_token_us.push_back(microseconds_since(begin));
    }
    steps.check += static_cast<double>(others.sum());
    return steps;
}

void run(const std::string& path, size_t prompt_bytes, size_t samples) {
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(llama_model_load_from_file(path.c_str(), params), &llama_model_free);
    if (!model) throw std::invalid_argument("Expected a model with a vocabulary, got " + path + ".");
    const Vocabulary vocabulary(llama_model_get_vocab(model.get()));
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    if (text.size() <= prompt_bytes || samples == 0) throw std::invalid_argument("Expected a text that goes on behind the prompt, and samples to be asked for.");
    const auto tokens_of = [&](std::string part) { return vocabulary.tokenize({{std::move(part), false}}, false); };
    const std::vector<llama_token> prompt = tokens_of(text.substr(0, prompt_bytes));
    const Steps steps = measure(prompt, tokens_of(text.substr(prompt_bytes)), samples);
    std::printf("{\"promptTokens\": %zu, ", prompt.size());
    print_times("draft", steps.draft_us, ", ");
    print_times("pass", steps.pass_us, ", ");
    print_times("draftToken", steps.draft_token_us, ", ");
    std::printf("\"check\": %g}\n", steps.check);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc != 4) throw std::invalid_argument("Usage: drafting_steps MODEL PROMPT_BYTES SAMPLES < TEXT");
        take_over_library_log();
        run(argv[1], std::stoul(argv[2]), std::stoul(argv[3]));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
