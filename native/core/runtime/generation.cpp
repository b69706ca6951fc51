#include "runtime/generation.h"

#include <algorithm>
#include <utility>

#include "runtime/engine_error.h"

namespace nmos {

namespace {

double milliseconds(std::chrono::steady_clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

// A step that is called off is lost. Computing ahead is called off by the next key, so its steps are short: as many tokens as
// take about so long. On two cores steps of 80 ms made it take half as long again, steps of 240 ms a sixth.
constexpr double longest_warm_step_ms = 240;
constexpr size_t shortest_warm_step = 16;

void validate(const Session& session, const GenerationRequest& request) {
    const auto refuse = [](const std::string& message) { throw EngineError(ErrorCode::InvalidArgument, message); };
    if (request.prompt.empty()) refuse("Expected a prompt of at least one token, got none.");
    const size_t vocabulary = session.model().vocabulary().size();
    const auto check_token = [&](llama_token token) {
        if (token >= 0 && static_cast<size_t>(token) < vocabulary) return;
        refuse("Expected tokens from 0 to " + std::to_string(vocabulary - 1) + ", got " + std::to_string(token) + ".");
    };
    std::ranges::for_each(request.prompt, check_token);
    const size_t room = session.context_length() - (request.decode ? 1 : 0);
    if (request.prompt.size() > room) {
        throw EngineError(ErrorCode::ContextTooLong, "The prompt has " + std::to_string(request.prompt.size()) + " tokens, but the context holds " +
                                                         std::to_string(session.context_length()) + ". Shorten the prompt or choose a longer context.");
    }
    if (!request.decode) return;
    std::ranges::for_each(request.decode->draft_tokens, check_token);
    validate(request.decode->sampler);
    std::ranges::for_each(request.decode->sampler.logit_bias, check_token, &llama_logit_bias::token);
    if (request.decode->max_tokens == 0) refuse("Expected maxTokens of at least 1, got 0.");
    if (request.decode->draft && !request.decode->draft->drafts_for(session.model())) {
        refuse("Expected a draft session that was created for this session's model, got one that was not.");
    }
    if (std::ranges::any_of(request.decode->stop, &std::string::empty)) refuse("Expected stop strings that are not empty.");
}

}  // namespace

Generation::Generation(std::shared_ptr<Session> session, GenerationRequest request, OnText on_text, OnDone on_done)
    : session_(std::move(session)), vocabulary_(session_->model().vocabulary()), request_(std::move(request)), on_text_(std::move(on_text)), on_done_(std::move(on_done)) {
    validate(*session_, request_);
    if (request_.decode) {
        stream_.emplace(request_.decode->begin_with.size(), request_.decode->stop);
        // Looking back further than a context costs memory and finds nothing.
        int32_t& last_n = request_.decode->sampler.repeat_last_n;
        last_n = static_cast<int32_t>(std::min(static_cast<uint32_t>(last_n), session_->context_length()));
        to_heal_ = request_.decode->begin_with;
    }
    result_.prompt_tokens = static_cast<uint32_t>(request_.prompt.size());
    session_->acquire(request_.cancellation);
}

bool Generation::step() {
    try {
        if (!advance()) return false;
    } catch (...) {
        settle(std::current_exception());
        return true;
    }
    settle(std::move(result_));
    return true;
}

bool Generation::advance() {
    if (phase_ == Phase::Queued) start_clock();
    // First of all, so that a request that lost its sense while it waited leaves the cache alone.
    if (cancelled()) return end(Finish::Cancelled);
    if (phase_ == Phase::Queued) begin();
    switch (phase_) {
        case Phase::Decode: return decode_step();
        case Phase::Draft: return draft_step();
        default: return prefill_step();
    }
}

void Generation::start_clock() {
    began_ = prefilled_ = Clock::now();
    result_.queued_ms = milliseconds(began_ - submitted_);
}

void Generation::begin() {
    if (request_.decode) sampler_.emplace(vocabulary_, request_.decode->sampler, request_.prompt);
    guess_healing();
    computed_ = session_->keep_common_prefix(request_.prompt, request_.decode.has_value());
    result_.reused_tokens = static_cast<uint32_t>(computed_);
    phase_ = Phase::Prefill;
}

// A token of its own is what the text to be healed mostly turns out to be where a word or an operator is complete. In the last
// pass over the prompt it costs little, and where it is right it needs no pass of its own. Blanks belong to the word that follows.
void Generation::guess_healing() {
    if (to_heal_.empty() || to_heal_.back() == ' ' || to_heal_.back() == '\t' || !speculates()) return;
    healing_ = vocabulary_.tokenize({{to_heal_, false}}, false);
    const size_t room = session_->context_length() - request_.prompt.size();
    healing_.resize(std::min({healing_.size(), room, size_t{request_.decode->max_tokens} - 1, size_t{widest_verification} - 1}));
}

bool Generation::prefill_step() {
    const std::span<const llama_token> left = std::span(request_.prompt).subspan(computed_);
    const auto batch = left.first(std::min<size_t>(left.size(), step_size()));
    const bool last = batch.size() == left.size();
    if (!batch.empty()) {
        std::vector<llama_token> pass(batch.begin(), batch.end());
        if (last) {
            healing_.resize(std::min(healing_.size(), session_->batch_size() - batch.size()));
            pass.insert(pass.end(), healing_.begin(), healing_.end());
        }
        const auto begin = Clock::now();
        const bool computed = session_->compute(pass, last && request_.decode ? 1 + healing_.size() : 0);
        const double took_ms = milliseconds(Clock::now() - begin);
        result_.compute_ms += took_ms;
        if (!computed) return end(Finish::Cancelled);
        adapt_step(batch.size(), took_ms);
        computed_ += batch.size();
        result_.computed_tokens += static_cast<uint32_t>(batch.size());
    }
    prefilled_ = Clock::now();
    if (!last) return false;
    if (!request_.decode) return end(Finish::Stop);
    end_prefill();
    return false;
}

void Generation::end_prefill() {
    phase_ = Phase::Decode;
    const auto begin = Clock::now();
    // Waits for a card that has not got to the end yet.
    session_->logits();
    result_.compute_ms += milliseconds(Clock::now() - begin);
    prefilled_ = Clock::now();
    if (result_.computed_tokens >= telling_prefill) {
        session_->model().speculation().costs.observe_prefill(result_.computed_tokens, result_.compute_ms / 1000);
    }
    // Not before: while a long prompt is computed others may use the draft model's session.
    if (speculates()) {
        speculator_.emplace(*session_, request_.decode->draft_tokens, request_.decode->draft, request_.prompt, request_.cancellation);
    } else {
        session_->model().speculation().recent.forget();
    }
}

bool Generation::speculates() const {
    const bool is_asked = request_.decode->speculate == Speculate::Auto ||
                          (request_.decode->speculate == Speculate::Exact && session_->model().placement().exact_passes);
    return is_asked && session_->model().info().takes_tokens_back;
}

size_t Generation::step_size() const {
    return request_.priority == Priority::Warm ? std::min<size_t>(warm_step_, session_->batch_size()) : session_->batch_size();
}

void Generation::adapt_step(size_t tokens, double took_ms) {
    if (tokens < warm_step_) return;
    if (took_ms < longest_warm_step_ms / 2) warm_step_ = std::min<size_t>(2 * warm_step_, session_->batch_size());
    if (took_ms > longest_warm_step_ms) warm_step_ = std::max(shortest_warm_step, warm_step_ / 2);
}

// Samples from the logits of the last pass as long as its draft is right, hands the text out and, when more is to come,
// computes the next pass.
bool Generation::decode_step() {
    const std::vector<llama_token> healing = std::exchange(healing_, {});
    const bool is_drafted = speculator_ && healing.empty();
    const Draft draft = is_drafted ? speculator_->draft() : Draft{healing, {}};
    const size_t before = result_.tokens.size();
    size_t right = 0;                        // tokens of the draft
    size_t accepted = 0;                     // with a leaf
    llama_token instead = LLAMA_TOKEN_NULL;  // of the first token of the draft that is wrong
    std::optional<Finish> finish;
    for (std::optional<size_t> row = 0; row && !finish;) {
        const llama_token token = choose_token(*row);
        const std::optional<size_t> next = draft.row_behind(*row, token);
        if (next == *row + 1) right = *next;
        else if (*row < draft.size()) instead = token;
        // That the answer ends here is no part of it.
        if (next && !llama_vocab_is_eog(vocabulary_.handle(), token)) ++accepted;
        finish = take(token);
        row = next;
    }
    if (is_drafted) {
        // Whether the rest was right nobody has asked.
        if (instead == LLAMA_TOKEN_NULL) speculator_->cut(right);
        speculator_->learn(right, accepted, instead);
    }
    // The draft's KV as far as it was right; that of a leaf is not kept.
    const size_t computed = std::min(before + right, result_.tokens.size());
    session_->keep(request_.prompt.size() + computed);
    if (finish) return end(*finish);
    uncomputed_ = result_.tokens.size() - computed;
    begin_draft();
    return draft_step();
}

void Generation::begin_draft() {
    phase_ = Phase::Draft;
    if (!speculator_) return;
    // The last token of an answer needs no pass of its own.
    const size_t length = request_.prompt.size() + result_.tokens.size();
    const size_t left = std::min<size_t>(request_.decode->max_tokens - result_.tokens.size(), session_->context_length() - length) - 1;
    speculator_->begin(to_heal_.empty() ? left : 0, uncomputed_, *sampler_);
}

bool Generation::draft_step() {
    if (speculator_ && !speculator_->step()) return false;
    phase_ = Phase::Decode;
    std::vector<llama_token> pass(result_.tokens.end() - static_cast<std::ptrdiff_t>(uncomputed_), result_.tokens.end());
    std::vector<Leaf> leaves;
    if (speculator_) {
        const Draft& draft = speculator_->draft();
        pass.insert(pass.end(), draft.tokens.begin(), draft.tokens.end());
        for (const size_t place : draft.leaves) leaves.push_back({place + uncomputed_, draft.seconds[place].token});
    }
    ++result_.decode_passes;
    const auto begin = Clock::now();
    const bool computed = session_->compute(pass, pass.size() - uncomputed_ + 1, leaves);
    decode_seconds_ += milliseconds(Clock::now() - begin) / 1000;
    return !computed && end(Finish::Cancelled);
}

const float* Generation::logits(size_t row) {
    const auto begin = Clock::now();
    const float* const logits = session_->logits(row);
    // Those of the prompt were waited for before.
    if (result_.decode_passes > 0) decode_seconds_ += milliseconds(Clock::now() - begin) / 1000;
    return logits;
}

double Generation::saved_ms() const {
    const double single = session_->model().speculation().costs.seconds();
    if (!speculator_ || single == 0 || result_.decode_passes == 0) return 0;
    // Every token but the last needs a pass.
    const auto passes = static_cast<double>(result_.decode_passes + result_.speculation.accepted_tokens);
    return (passes * single - decode_seconds_ - result_.speculation.draft_seconds) * 1000;
}

std::optional<Finish> Generation::take(llama_token token) {
    if (llama_vocab_is_eog(vocabulary_.handle(), token)) return Finish::Stop;
    sampler_->accept(token);
    result_.tokens.push_back(token);
    if (speculator_) speculator_->append(token);
    const std::string_view piece = vocabulary_.piece(token);
    to_heal_.erase(0, std::min(to_heal_.size(), piece.size()));
    hand_out(stream_->push(piece));
    if (stream_->stopped()) return Finish::Stop;
    const size_t length = request_.prompt.size() + result_.tokens.size();
    if (result_.tokens.size() >= request_.decode->max_tokens || length >= session_->context_length()) return Finish::Length;
    return cancelled() ? std::optional(Finish::Cancelled) : std::nullopt;
}

llama_token Generation::choose_token(size_t row) {
    const float* const logits = this->logits(row);
    std::span<const llama_token> allowed;
    std::vector<llama_token> buffer;
    if (!to_heal_.empty()) {
        allowed = vocabulary_.compatible_with(to_heal_, buffer);
        if (allowed.empty()) {
            throw EngineError(ErrorCode::InvalidArgument, "Expected beginWith to be text that the model's vocabulary can spell.");
        }
    }
    const llama_token token = sampler_->choose(logits, allowed);
    if (request_.decode->rate) rate(logits, token, allowed);
    return token;
}

void Generation::rate(const float* logits, llama_token token, std::span<const llama_token> allowed) {
    const size_t text = result_.text.find_first_not_of(" \t\r\n");
    if (text != std::string::npos && result_.text.find('\n', text) != std::string::npos) return;
    const double rating = log_probability({logits, vocabulary_.size()}, token, allowed);
    Confidence& confidence = result_.confidence;
    confidence.least = std::min(confidence.least, rating);
    confidence.mean += (rating - confidence.mean) / ++confidence.tokens;
}

void Generation::hand_out(std::string text) {
    if (text.empty()) return;
    result_.text += text;
    if (on_text_) on_text_(std::move(text));
}

bool Generation::end(Finish finish) {
    // What was drafted and is no part of the answer.
    if (phase_ == Phase::Decode || phase_ == Phase::Draft) session_->keep(request_.prompt.size() + result_.tokens.size());
    if (stream_) hand_out(stream_->finish());
    result_.finish = finish;
    const auto now = Clock::now();
    if (phase_ == Phase::Prefill) prefilled_ = now;
    result_.prefill_ms = milliseconds(prefilled_ - began_);
    result_.decode_ms = milliseconds(now - prefilled_);
    if (speculator_) result_.speculation = speculator_->end();
    result_.saved_ms = saved_ms();
    return true;
}

void Generation::settle(Outcome outcome) {
    speculator_.reset();
    session_->release();
    on_done_(std::move(outcome));
}

}  // namespace nmos
