#include "runtime/model_drafter.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "runtime/first_largest.h"

namespace nmos {

namespace {

// What a model thinks of a token, and which other one is the likeliest. Logits that are so far below the best one add nothing that
// could be seen.
ModelDrafter::Drafted judge(llama_token token, std::span<const float> logits) {
    constexpr float negligible = 16;
    const auto place = static_cast<size_t>(token);
    const auto largest = [](std::span<const float> some) { return some.empty() ? nullptr : &some[first_largest(some.size(), [&](size_t i) { return some[i]; })]; };
    const float* const before = largest(logits.first(place));
    const float* const behind = largest(logits.subspan(place + 1));
    const float* const second = !before || (behind && *behind > *before) ? behind : before;
    const float best = second ? std::max(*second, logits[place]) : logits[place];
    double sum = 0;
    for (const float logit : logits) {
        if (logit > best - negligible) sum += std::exp(logit - best);
    }
    const double first = std::exp(logits[place] - best);
    const Certainty certainty = certainty_of_probability(first / sum);
    if (!second) return {token, certainty, {}};
    // Where the first one is as good as certain, rounding leaves nothing for the others.
    const double others = std::max(sum - first, 1e-12);
    return {token, certainty, second_choice(static_cast<llama_token>(second - logits.data()), std::exp(*second - best) / others)};
}

}  // namespace

ModelDrafter::ModelDrafter(std::shared_ptr<Session> session, std::span<const llama_token> text, const CancellationPtr& request)
    : session_(std::move(session)), cancellation_(std::make_shared<Cancellation>(request)), vocabulary_size_(session_->model().vocabulary().size()), text_(text.begin(), text.end()), length_(text.size()) {
    session_->acquire(cancellation_);
}

ModelDrafter::~ModelDrafter() {
    session_->release();
}

bool ModelDrafter::usable(size_t most) const {
    return !cancellation_->cancelled() && length_ + most <= session_->context_length();
}

void ModelDrafter::append(llama_token token) {
    forget_draft();
    text_.push_back(token);
    ++length_;
}

void ModelDrafter::forget_draft() {
    text_.resize(length_);
    // The logits belong to the last pass: if they are wanted again, that is made again.
    computed_ = std::min(computed_, length_ - 1);
}

size_t ModelDrafter::missing() const {
    return text_.size() - std::min(session_->common_prefix(text_), text_.size() - 1);
}

bool ModelDrafter::compute() {
    computed_ = session_->keep_common_prefix(text_, true);
    const size_t left = text_.size() - computed_;
    const size_t width = costs().known() ? std::min<size_t>(left, session_->batch_size()) : 1;
    const bool last = width == left;
    const auto begin = Clock::now();
    if (!session_->compute(std::span(text_).subspan(computed_, width), last || width == 1)) return false;
    if (last || width == 1) session_->logits();
    catching_up_ += std::chrono::duration<double>(Clock::now() - begin).count();
    caught_up_ += width;
    computed_ += width;
    if (!last) return true;
    if (caught_up_ >= telling_prefill) session_->model().speculation().costs.observe_prefill(caught_up_, catching_up_);
    catching_up_ = 0;
    caught_up_ = 0;
    return true;
}

std::optional<ModelDrafter::Drafted> ModelDrafter::draft(Sampler& sampler) {
    const float* const logits = session_->logits();
    const std::optional<llama_token> token = sampler.choose_if_allowed(logits);
    if (!token) return std::nullopt;
    sampler.accept(*token);
    text_.push_back(*token);
    return judge(*token, {logits, vocabulary_size()});
}

}  // namespace nmos
