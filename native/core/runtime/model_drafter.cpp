#include "runtime/model_drafter.h"

#include <algorithm>
#include <cmath>

namespace nmos {

namespace {

// What a model thinks of a token. Logits that are so far below the best one add nothing that could be seen.
double probability_of(llama_token token, const float* logits, size_t count) {
    constexpr float negligible = 16;
    const float best = *std::max_element(logits, logits + count);
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
        if (logits[i] > best - negligible) sum += std::exp(logits[i] - best);
    }
    return std::exp(logits[token] - best) / sum;
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
    return Drafted{*token, certainty_of_probability(probability_of(*token, logits, vocabulary_size()))};
}

}  // namespace nmos
