// Records answers of a pair of real models, and replays them with models of other sizes on a simulated card.
//
//   speculative_decoding record LIBRARIES MAIN DRAFT THREADS CONTEXT TOKENS < PROMPTS > RECORDING
//   speculative_decoding replay LIBRARIES MAIN DRAFT THREADS CONTEXT CARD plain|text|draft|draft-chain|draft-unwrapped < RECORDING
//
// PROMPTS: one a line, with \n for line ends; text such as <|im_start|> is a special token. `record` has MAIN answer each
// greedily, and asks DRAFT at every place of the answer what it would have guessed there and how sure it is. RECORDING has
// three lines for each prompt: its tokens, those of the answer, and the guesses as TOKEN:PROBABILITY:SECOND:PROBABILITY.
//
// `replay` decodes the recorded answers with NMOS's generation, scheduling and placement. The logits of both models are
// overwritten with what was recorded, so that MAIN, synthetic and of any size, writes the recorded answer and DRAFT guesses it
// as often as it did. Prints what that took as JSON. `plain`: one token a pass; `text`: guesses from the text only;
// `draft-chain`: no second choices are verified beside the guesses; `draft-unwrapped`: uploads for the next pass begin with that
// pass, and not while the draft model guesses.
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "device/streaming_device.h"
#include "machine.h"
#include "runtime/generation.h"
#include "runtime/log.h"

using namespace nmos;
using namespace nmos::bench;

namespace {

using Tokens = std::vector<llama_token>;

constexpr uint32_t widest_pass = 512;

struct Guess {
    llama_token token = 0;
    double probability = 0;
    llama_token second = 0;
    double of_second = 0;  // its probability; 0: there is none
};

struct Recorded {
    Tokens prompt;
    Tokens answer;
    std::vector<Guess> guesses;  // (answer)
};

GenerationResult generate(std::shared_ptr<Session> session, const Tokens& prompt, DecodeOptions decode, Generation::OnText on_text = nullptr) {
    std::optional<Generation::Outcome> outcome;
    GenerationRequest request{prompt, Priority::Chat, std::make_shared<Cancellation>(), std::move(decode)};
    Generation generation(std::move(session), std::move(request), std::move(on_text), [&](Generation::Outcome done) { outcome = std::move(done); });
    while (!generation.step()) {}
    if (const auto failure = std::get_if<std::exception_ptr>(&*outcome)) std::rethrow_exception(*failure);
    return std::get<GenerationResult>(std::move(*outcome));
}

Guess guess_of(const float* logits, size_t count) {
    const auto token = static_cast<size_t>(std::max_element(logits, logits + count) - logits);
    size_t second = token == 0 ? 1 : 0;
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
        sum += std::exp(logits[i] - logits[token]);
        if (i != token && logits[i] > logits[second]) second = i;
    }
    return {static_cast<llama_token>(token), 1 / sum, static_cast<llama_token>(second), std::exp(logits[second] - logits[token]) / sum};
}

// What the model would have guessed at every place of the answer.
std::vector<Guess> guesses_of(Session& session, const Tokens& prompt, const Tokens& answer) {
    std::vector<Guess> guesses;
    session.acquire(std::make_shared<Cancellation>());
    session.keep_common_prefix({}, false);
    for (size_t begin = 0; begin < prompt.size(); begin += session.batch_size()) {
        const size_t count = std::min<size_t>(session.batch_size(), prompt.size() - begin);
        session.compute(std::span(prompt).subspan(begin, count), begin + count == prompt.size() ? 1 : 0);
    }
    guesses.push_back(guess_of(session.logits(), session.model().vocabulary().size()));
    for (size_t begin = 0; begin + 1 < answer.size();) {
        const size_t count = std::min<size_t>(widest_verification, answer.size() - 1 - begin);
        session.compute(std::span(answer).subspan(begin, count), count);
        for (size_t row = 0; row < count; ++row) guesses.push_back(guess_of(session.logits(row), session.model().vocabulary().size()));
        begin += count;
    }
    session.release();
    return guesses;
}

std::string with_line_ends(const std::string& line) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
        const bool is_escape = line[i] == '\\' && i + 1 < line.size();
        if (!is_escape) text += line[i];
        else text += line[++i] == 'n' ? '\n' : line[i];
    }
    return text;
}

void record(const std::vector<std::string>& words) {
    const Machine machine(words[1], "none", std::stoi(words[4]), widest_pass, {});
    const auto context = static_cast<uint32_t>(std::stoul(words[5]));
    const auto main = machine.load(read_model_profile(words[2]), context);
    const auto draft = machine.load(read_model_profile(words[3]), context);
    const auto main_session = Session::create(main, {context, 0}, machine.threads());
    const auto draft_session = Session::create(draft, {context, 0}, machine.threads());
    DecodeOptions decode;
    decode.max_tokens = static_cast<uint32_t>(std::stoul(words[6]));
    for (std::string line; std::getline(std::cin, line);) {
        const Tokens prompt = main->vocabulary().tokenize({{with_line_ends(line), true}}, true);
        const Tokens answer = generate(main_session, prompt, decode).tokens;
        for (const llama_token token : prompt) std::cout << token << ' ';
        std::cout << '\n';
        for (const llama_token token : answer) std::cout << token << ' ';
        std::cout << '\n';
        for (const Guess& guess : guesses_of(*draft_session, prompt, answer)) {
            std::cout << guess.token << ':' << guess.probability << ':' << guess.second << ':' << guess.of_second << ' ';
        }
        std::cout << '\n';
    }
}

Tokens tokens_of(const std::string& line) {
    std::istringstream words(line);
    Tokens tokens;
    for (llama_token token = 0; words >> token;) tokens.push_back(token);
    return tokens;
}

std::vector<Recorded> read_recording() {
    std::vector<Recorded> all;
    std::string prompt;
    std::string answer;
    std::string guesses;
    while (std::getline(std::cin, prompt) && std::getline(std::cin, answer) && std::getline(std::cin, guesses)) {
        Recorded one{tokens_of(prompt), tokens_of(answer), {}};
        std::istringstream words(guesses);
        char colon = 0;
        for (Guess guess; words >> guess.token >> colon >> guess.probability >> colon >> guess.second >> colon >> guess.of_second;) one.guesses.push_back(guess);
        if (one.guesses.size() != one.answer.size() || one.prompt.empty()) throw std::invalid_argument("Expected a recording with one guess for every token.");
        all.push_back(std::move(one));
    }
    return all;
}

// Makes the token the most likely one, and another one the second, with these probabilities.
void write_guess(const Guess& guess, std::span<float> logits) {
    constexpr float impossible = -1000;
    std::ranges::fill(logits, impossible);
    // The others share the rest, each a little less likely.
    const double left = std::max(0.0, 1 - guess.probability - guess.of_second);
    const auto others = std::min(logits.size(), static_cast<size_t>(left / (guess.of_second > 0 ? guess.of_second : guess.probability)) + 1);
    const double rest = left / static_cast<double>(others);
    for (size_t i = 1; i <= others; ++i) logits[(static_cast<size_t>(guess.token) + i) % logits.size()] = static_cast<float>(std::log(std::max(rest, 1e-12) * 0.999));
    if (guess.of_second > 0) logits[static_cast<size_t>(guess.second)] = static_cast<float>(std::log(guess.of_second));
    logits[static_cast<size_t>(guess.token)] = static_cast<float>(std::log(guess.probability));
}

Session::LogitsEdit writing(const std::vector<Guess>& guesses, size_t prompt) {
    return [&guesses, prompt](size_t place, std::span<float> logits) {
        // Behind the end of the answer nobody looks.
        if (place >= prompt && place - prompt < guesses.size()) write_guess(guesses[place - prompt], logits);
    };
}

void replay(const std::vector<std::string>& words) {
    const ModelProfile model = read_model_profile(words[2]);
    const Machine machine(words[1], words[6], std::stoi(words[4]), widest_pass, main_types(model));
    const auto context = static_cast<uint32_t>(std::stoul(words[5]));
    const std::string& mode = words[7];
    const bool drafts = mode.starts_with("draft");
    // The fast model has its place on the card in any case.
    const auto draft = machine.load(read_model_profile(words[3]), context);
    const auto fast_session = Session::create(draft, {context, 0}, machine.threads());
    const auto main = machine.load(model, context);
    SessionOptions options{context, 0};
    if (mode == "draft-chain") options.leaves = false;
    const auto main_session = Session::create(main, options, machine.threads());
    const auto draft_session = Session::create(draft, {context, 0, main}, machine.threads());
    std::fprintf(stderr, "%s\n", main->placement().explanation.back().c_str());
    if (mode == "draft-unwrapped") {
        for (const Card& card : machine.cards()) StreamingDevice::over(card.handle).set_wraps(false);
    }

    std::printf("{\"answers\":[");
    bool first = true;
    const std::vector<Recorded> recording = read_recording();
    // The first one twice: what passes cost is learned then.
    for (size_t i = 0; i <= recording.size(); ++i) {
        const Recorded& one = recording[i == 0 ? 0 : i - 1];
        std::vector<Guess> answer;
        for (const llama_token token : one.answer) answer.push_back({token, 1, 0, 0});
        main_session->edit_logits(writing(answer, one.prompt.size()));
        draft_session->edit_logits(writing(one.guesses, one.prompt.size()));
        DecodeOptions decode;
        decode.max_tokens = static_cast<uint32_t>(one.answer.size());
        decode.speculate = mode == "plain" ? Speculate::Off : Speculate::Auto;
        if (drafts) decode.draft = draft_session;
        // Behind the prompt.
        std::optional<double> stalled_before;
        const auto stalled = [&] {
            double seconds = 0;
            for (const Card& card : machine.cards()) seconds += card.simulated ? card.simulated->traffic().stalled_seconds : 0;
            return seconds;
        };
        const GenerationResult result = generate(main_session, one.prompt, decode, [&](const std::string&) {
            if (!stalled_before) stalled_before = stalled();
        });
        if (result.tokens != one.answer) throw std::runtime_error("The answer is not the one that was recorded.");
        if (i == 0) {
            // No answer is written from the memory of the same one.
            main->speculation().recent.forget();
            continue;
        }
        const SpeculationResult& speculation = result.speculation;
        std::printf("%s{\"tokens\":%zu,\"decodeMs\":%g,\"decodePasses\":%u,\"draftedTokens\":%u,\"acceptedTokens\":%u,\"draftModelTokens\":%u,"
                    "\"acceptedDraftModelTokens\":%u,\"draftModelPasses\":%u,\"draftModelMs\":%g,\"savedMs\":%g,\"stalledMs\":%g}",
                    first ? "" : ",", result.tokens.size(), result.decode_ms, result.decode_passes, speculation.drafted_tokens, speculation.accepted_tokens,
                    speculation.model_drafted_tokens, speculation.model_accepted_tokens, speculation.draft_passes, speculation.draft_seconds * 1000, result.saved_ms,
                    (stalled() - stalled_before.value_or(stalled())) * 1000);
        first = false;
    }
    const PassCosts& costs = main->speculation().costs;
    std::printf("],\"passMs\":%g,\"relativeCosts\":{", costs.seconds() * 1000);
    for (uint32_t width = 1; width <= widest_verification; ++width) std::printf("%s\"%u\":%g", width > 1 ? "," : "", width, costs.relative(width));
    std::printf("},\"draftPassMs\":%g}\n", draft->speculation().costs.seconds() * 1000);
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> words(arguments + 1, arguments + count);
    try {
        take_over_library_log();
        if (words.size() == 7 && words[0] == "record") record(words);
        else if (words.size() == 8 && words[0] == "replay") replay(words);
        else throw std::invalid_argument("Expected the arguments that the head of speculative_decoding.cpp describes.");
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    std::fflush(stdout);
    std::cout.flush();
    // Devices are never destroyed; their destructors have nothing to say here.
    std::_Exit(0);
}
