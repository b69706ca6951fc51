// A request for tokens: prefill of a prompt and, unless only warming, the decoding of an answer.
//
// A job of the scheduler: one batch of the prompt or one pass of the answer a step. Callbacks come on the compute
// thread; `on_done` exactly once, after the last text and after the session is free again.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "runtime/cancellation.h"
#include "runtime/sampler.h"
#include "runtime/scheduler.h"
#include "runtime/session.h"
#include "runtime/speculator.h"
#include "runtime/text_stream.h"

namespace nmos {

// Whether passes may verify several tokens that are guessed.
enum class Speculate : uint8_t {
    Auto,   // where that is faster; an answer may differ where passes of several tokens round in another way
    Exact,  // where it is faster and passes compute the same, bit for bit: Placement::exact_passes
    Off,    // and the model forgets what it has answered lately
};

struct DecodeOptions {
    uint32_t max_tokens = 0;
    SamplerOptions sampler;
    std::vector<std::string> stop;
    // Token healing: the answer is forced to begin with these bytes, which are not handed out. A grammar governs
    // them, too.
    std::string begin_with;
    Speculate speculate = Speculate::Auto;
    // What the whole answer may be, begin_with included: verified before anything else is drafted. None: nobody knows.
    std::vector<llama_token> draft_tokens;
    // Of a smaller model, created to draft for this one; null: guesses come from the text only. One that others use, or that
    // was closed, counts as none.
    std::shared_ptr<Session> draft;
    // Whether the result says how confident the model was.
    bool rate = false;
};

struct GenerationRequest {
    std::vector<llama_token> prompt;
    Priority priority = Priority::Chat;
    CancellationPtr cancellation;
    std::optional<DecodeOptions> decode;  // none: prefill only
};

// How probable the tokens of an answer's first line with text were to the model, up to the one that ends it, as natural
// logarithms. Of those that heal a prompt: among the ones that can.
struct Confidence {
    uint32_t tokens = 0;
    double mean = 0;
    double least = 0;
};

enum class Finish { Stop, Length, Cancelled };

struct GenerationResult {
    uint32_t prompt_tokens = 0;
    uint32_t reused_tokens = 0;    // of the prompt, whose KV was still there
    uint32_t computed_tokens = 0;  // of the prompt
    double queued_ms = 0;          // until the first step
    double prefill_ms = 0;         // first step to the end of the prompt, pauses for more urgent jobs included
    double compute_ms = 0;         // of that, in the passes over the prompt
    double decode_ms = 0;          // from there to the end
    uint32_t decode_passes = 0;
    double saved_ms = 0;           // of decoding a token a pass; negative: that would have been faster
    SpeculationResult speculation;
    Confidence confidence;  // without tokens unless asked for
    std::string text;
    std::vector<llama_token> tokens;
    Finish finish = Finish::Stop;
};

class Generation final : public Job {
  public:
    using OnText = std::function<void(std::string)>;
    using Outcome = std::variant<GenerationResult, std::exception_ptr>;
    using OnDone = std::function<void(Outcome)>;

    // Takes hold of the session; `cancellation` must not be null. Throws INVALID_ARGUMENT, CONTEXT_TOO_LONG, SESSION_BUSY, CLOSED.
    Generation(std::shared_ptr<Session> session, GenerationRequest request, OnText on_text, OnDone on_done);

    bool step() override;
    bool cancelled() const override { return request_.cancellation->cancelled(); }

  private:
    using Clock = std::chrono::steady_clock;
    enum class Phase { Queued, Prefill, Decode, Draft };

    // True when the generation has ended; the result says how.
    bool advance();
    void start_clock();
    void begin();
    void guess_healing();
    bool prefill_step();
    // Tokens of the prompt that the next step computes at most.
    size_t step_size() const;
    void adapt_step(size_t tokens, double took_ms);
    void end_prefill();
    bool speculates() const;
    bool decode_step();
    bool draft_step();
    llama_token choose_token(size_t row);
    void rate(const float* logits, llama_token token, std::span<const llama_token> allowed);
    // Adds the token to the answer; how that ends, if it does.
    std::optional<Finish> take(llama_token token);
    void begin_draft();
    const float* logits(size_t row);
    // What plain decoding takes for the same answer, less what this took.
    double saved_ms() const;
    void hand_out(std::string text);
    bool end(Finish finish);
    void settle(Outcome outcome);

    std::shared_ptr<Session> session_;
    // Stays usable while the session is held, also after the model began to close: that waits for the session.
    const Vocabulary& vocabulary_;
    GenerationRequest request_;
    OnText on_text_;
    OnDone on_done_;
    std::optional<Sampler> sampler_;
    std::optional<TextStream> stream_;
    std::string to_heal_;  // what is left of begin_with
    std::vector<llama_token> healing_;  // guessed for begin_with, until the first tokens are chosen
    std::optional<Speculator> speculator_;  // there from the end of the prefill; none: not to be speculated
    double decode_seconds_ = 0;             // in passes over the answer
    size_t computed_ = 0;  // tokens of the prompt whose KV is there
    size_t uncomputed_ = 1;  // tokens at the end of the answer so far without KV, which the next pass computes
    size_t warm_step_ = 16;  // tokens of a step that computes ahead
    Phase phase_ = Phase::Queued;
    Clock::time_point submitted_ = Clock::now();
    Clock::time_point began_;
    Clock::time_point prefilled_;
    GenerationResult result_;
};

}  // namespace nmos
