#include "runtime/generation.h"

#include <algorithm>

#include "runtime/engine_error.h"
#include "speculative/draft_length.h"

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
    for (const llama_token token : request.prompt) {
        if (token >= 0 && static_cast<size_t>(token) < vocabulary) continue;
        refuse("Expected tokens from 0 to " + std::to_string(vocabulary - 1) + ", got " + std::to_string(token) + ".");
    }
    const size_t room = session.context_length() - (request.decode ? 1 : 0);
    if (request.prompt.size() > room) {
        throw EngineError(ErrorCode::ContextTooLong, "The prompt has " + std::to_string(request.prompt.size()) + " tokens, but the context holds " +
                                                         std::to_string(session.context_length()) + ". Shorten the prompt or choose a longer context.");
    }
    if (!request.decode) return;
    validate(request.decode->sampler);
    if (request.decode->max_tokens == 0) refuse("Expected maxTokens of at least 1, got 0.");
    if (std::ranges::any_of(request.decode->stop, &std::string::empty)) refuse("Expected stop strings that are not empty.");
    if (!request.decode->begin_with.empty() && !request.decode->sampler.grammar.empty()) {
        refuse("Expected either beginWith or a grammar, got both.");
    }
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
    return phase_ == Phase::Prefill ? prefill_step() : decode_step();
}

void Generation::start_clock() {
    began_ = prefilled_ = Clock::now();
    result_.queued_ms = milliseconds(began_ - submitted_);
}

void Generation::begin() {
    if (request_.decode) sampler_.emplace(vocabulary_, request_.decode->sampler, request_.prompt);
    if (request_.decode && request_.decode->speculate && session_->forgets_exactly()) drafter_.emplace(request_.prompt);
    computed_ = session_->keep_common_prefix(request_.prompt, request_.decode.has_value());
    result_.reused_tokens = static_cast<uint32_t>(computed_);
    phase_ = Phase::Prefill;
}

bool Generation::prefill_step() {
    const std::span<const llama_token> left = std::span(request_.prompt).subspan(computed_);
    const auto batch = left.first(std::min<size_t>(left.size(), step_size()));
    const bool last = batch.size() == left.size();
    if (!batch.empty()) {
        const auto begin = Clock::now();
        const bool computed = session_->compute(batch, last && request_.decode);
        const double took_ms = milliseconds(Clock::now() - begin);
        result_.compute_ms += took_ms;
        if (!computed) return end(Finish::Cancelled);
        adapt_step(batch.size(), took_ms);
        computed_ += batch.size();
        result_.computed_tokens += static_cast<uint32_t>(batch.size());
    }
    prefilled_ = Clock::now();
    if (!last) return false;
    phase_ = Phase::Decode;
    return !request_.decode && end(Finish::Stop);
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
    const size_t drafted = draft_.tokens.size();
    llama_token token = 0;
    for (size_t row = 0;; ++row) {
        token = choose_token(row);
        const bool as_drafted = row < drafted && draft_.tokens[row] == token;
        if (row == drafted || !as_drafted) learn(row);
        if (const auto finish = take(token)) {
            // Nobody asked whether the rest of the draft was right.
            if (as_drafted) draft_.tokens.resize(row + 1);
            if (as_drafted) learn(row + 1);
            return end(*finish);
        }
        if (!as_drafted) break;
    }
    session_->keep(request_.prompt.size() + result_.tokens.size() - 1);
    draft_next();
    std::vector<llama_token> pass{token};
    pass.insert(pass.end(), draft_.tokens.begin(), draft_.tokens.end());
    ++result_.decode_passes;
    return !session_->compute(pass, pass.size()) && end(Finish::Cancelled);
}

std::optional<Finish> Generation::take(llama_token token) {
    if (llama_vocab_is_eog(vocabulary_.handle(), token)) return Finish::Stop;
    sampler_->accept(token);
    result_.tokens.push_back(token);
    if (drafter_) drafter_->append(token);
    const std::string_view piece = vocabulary_.piece(token);
    to_heal_.erase(0, std::min(to_heal_.size(), piece.size()));
    hand_out(stream_->push(piece));
    if (stream_->stopped()) return Finish::Stop;
    const size_t length = request_.prompt.size() + result_.tokens.size();
    if (result_.tokens.size() >= request_.decode->max_tokens || length >= session_->context_length()) return Finish::Length;
    return cancelled() ? std::optional(Finish::Cancelled) : std::nullopt;
}

void Generation::draft_next() {
    draft_ = {};
    if (!drafter_ || !to_heal_.empty()) return;
    // The last token of an answer needs no pass of its own.
    const size_t length = request_.prompt.size() + result_.tokens.size();
    const size_t left = std::min<size_t>(request_.decode->max_tokens - result_.tokens.size(), session_->context_length() - length) - 1;
    Draft draft = drafter_->draft(std::min<size_t>({left, widest_verification - 1, session_->batch_size() - 1}));
    if (draft.tokens.empty()) return;
    Speculation& speculation = session_->model().speculation();
    const size_t count = speculation.length.best(draft, speculation.costs);
    if (count == 0) speculation.length.decline(draft);
    draft.tokens.resize(count);
    draft_ = std::move(draft);
    result_.drafted_tokens += static_cast<uint32_t>(count);
}

void Generation::learn(size_t accepted) {
    if (draft_.tokens.empty()) return;
    result_.accepted_tokens += static_cast<uint32_t>(accepted);
    session_->model().speculation().length.learn(draft_, accepted);
    draft_ = {};
}

llama_token Generation::choose_token(size_t row) {
    const float* const logits = session_->logits(row);
    if (to_heal_.empty()) return sampler_->choose(logits);
    const std::vector<llama_token> allowed = vocabulary_.compatible_with(to_heal_);
    if (allowed.empty()) {
        throw EngineError(ErrorCode::InvalidArgument, "Expected beginWith to be text that the model's vocabulary can spell.");
    }
    return sampler_->choose(logits, allowed);
}

void Generation::hand_out(std::string text) {
    if (text.empty()) return;
    result_.text += text;
    if (on_text_) on_text_(std::move(text));
}

bool Generation::end(Finish finish) {
    // What was drafted and is no part of the answer.
    if (phase_ == Phase::Decode) session_->keep(request_.prompt.size() + result_.tokens.size());
    if (stream_) hand_out(stream_->finish());
    result_.finish = finish;
    const auto now = Clock::now();
    if (phase_ == Phase::Prefill) prefilled_ = now;
    result_.prefill_ms = milliseconds(prefilled_ - began_);
    result_.decode_ms = milliseconds(now - prefilled_);
    return true;
}

void Generation::settle(Outcome outcome) {
    session_->release();
    on_done_(std::move(outcome));
}

}  // namespace nmos
