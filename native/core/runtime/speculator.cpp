#include "runtime/speculator.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "runtime/log.h"

namespace nmos {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

// What others use, or what was closed meanwhile, drafts nothing.
std::unique_ptr<ModelDrafter> hold(std::shared_ptr<Session> session, std::span<const llama_token> prompt, const CancellationPtr& request) {
    if (!session) return nullptr;
    try {
        return std::make_unique<ModelDrafter>(std::move(session), prompt, request);
    } catch (const std::exception&) {
        return nullptr;
    }
}

}  // namespace

Speculator::Speculator(const Session& main, std::vector<llama_token> given, std::shared_ptr<Session> draft_session, std::span<const llama_token> prompt,
                       const CancellationPtr& request)
    : main_(main),
      vocabulary_(main.model().vocabulary()),
      learned_(main.model().speculation()),
      given_(std::move(given)),
      from_text_(prompt),
      from_model_(hold(std::move(draft_session), prompt, request)) {}

Speculator::~Speculator() {
    try {
        learned_.recent.add(from_text_.text().last(answered_));
    } catch (const std::exception&) {
        // There is no memory for it.
        learned_.recent.forget();
    }
}

void Speculator::append(llama_token token) {
    given_.append(token);
    from_text_.append(token);
    if (from_model_) from_model_->append(token);
    ++answered_;
}

void Speculator::begin(size_t left, size_t before, const Sampler& sampler) {
    before_ = before;
    most_ = std::min(left, std::min(widest_verification, main_.batch_size()) - before);
    ready_ = true;
    const double gain = draft_from_texts();
    if (from_model_ && !from_model_->usable(most_)) drop_model();
    if (!from_model_ || most_ == 0 || !learned_.costs.known()) return;
    if (from_model_->costs().known() && !is_model_worth(gain, left)) return;
    draft_.cut(0);
    rehearsal_.emplace(sampler.copy(std::min(vocabulary_.size(), from_model_->vocabulary_size())));
    ready_ = false;
}

double Speculator::draft_from_texts() {
    draft_.cut(0);
    DraftControl::Choice best;
    const auto offer = [&](Draft draft) {
        if (draft.empty()) return;
        const DraftControl::Choice choice = learned_.control.best(draft, learned_.costs, 0, most_, before_);
        if (choice.length == 0) learned_.control.decline(draft.certainties.front());
        if (choice.gain <= best.gain) return;
        best = choice;
        draft.cut(choice.length);
        draft_ = std::move(draft);
    };
    offer(given_.draft(most_));
    // What is given for the answer comes before what is like it, unless it is not worth a pass.
    if (!draft_.empty()) return best.gain;
    offer(from_text_.draft(most_));
    offer(learned_.recent.draft(from_text_.text(), from_text_.matched(), most_));
    return best.gain;
}

double Speculator::price() const {
    return (from_model_->costs().seconds() + learned_.costs.choice_seconds()) / learned_.costs.seconds();
}

bool Speculator::is_model_worth(double gain, size_t left) const {
    const double promised = learned_.control.forecast({}, most_, price(), learned_.costs, before_);
    if (promised <= std::max(gain, least_gain)) {
        learned_.control.decline_model();
        return false;
    }
    const size_t missing = from_model_->missing();
    if (missing <= 1) return true;
    const double saved_per_token = learned_.costs.seconds() * (1 - 1 / promised);
    return saved_per_token * learned_.lengths.remaining(answered_, left) > from_model_->costs().prefill_seconds(missing);
}

bool Speculator::step() {
    if (ready_) return true;
    const auto begin = Clock::now();
    try {
        draft_from_model();
    } catch (const std::exception& error) {
        drop_model();
        log(LogLevel::Warn, std::string("The draft model is no longer used for this answer: ") + error.what());
    }
    result_.draft_seconds += seconds_since(begin);
    return false;
}

void Speculator::draft_from_model() {
    const bool known = from_model_->costs().known();
    const bool computed = from_model_->compute();
    ++result_.draft_passes;
    if (!computed) {
        // With the whole request, or because the session is wanted back.
        drop_model();
    } else if (!known) {
        // That was to find out what a pass costs, and says nothing of what it would have brought.
        end_model_draft();
    } else if (from_model_->ready()) {
        const auto begin = Clock::now();
        const auto drafted = from_model_->draft(*rehearsal_);
        learned_.costs.observe_choice(seconds_since(begin));
        // The pass over what comes before tells of an end, too.
        const bool ends = !drafted || llama_vocab_is_eog(vocabulary_.handle(), drafted->token);
        if (!ends) draft_.push_back(drafted->token, drafted->certainty, is_leaf(drafted->second.token) ? drafted->second : SecondChoice{});
        const double spent = static_cast<double>(draft_.size()) * price();
        const double as_it_is = learned_.control.best(draft_, learned_.costs, spent, most_, before_).gain;
        const bool goes_on = !ends && learned_.control.forecast(draft_, most_, price(), learned_.costs, before_) > as_it_is;
        if (!goes_on) finish_model_draft();
    }
}

// Behind an end there is nothing, so that it is not worth a place in a pass.
bool Speculator::is_leaf(llama_token token) const {
    return main_.takes_leaves() && token != LLAMA_TOKEN_NULL && static_cast<size_t>(token) < vocabulary_.size() && !llama_vocab_is_eog(vocabulary_.handle(), token);
}

void Speculator::finish_model_draft() {
    learned_.control.learn_made(draft_);
    DraftControl::Choice choice = learned_.control.best(draft_, learned_.costs, static_cast<double>(draft_.size()) * price(), most_, before_);
    draft_.cut(choice.length);
    draft_.leaves = std::move(choice.leaves);
    end_model_draft();
}

void Speculator::end_model_draft() {
    from_model_->forget_draft();
    rehearsal_.reset();
    ready_ = true;
}

void Speculator::drop_model() {
    from_model_.reset();
    rehearsal_.reset();
    if (!ready_) draft_.cut(0);
    ready_ = true;
}

void Speculator::learn(size_t right, size_t accepted, llama_token instead) {
    if (draft_.empty()) return;
    const auto drafted = static_cast<uint32_t>(draft_.size() + draft_.leaves.size());
    result_.drafted_tokens += drafted;
    result_.accepted_tokens += static_cast<uint32_t>(accepted);
    if (is_of_model(draft_.certainties.front())) {
        result_.model_drafted_tokens += drafted;
        result_.model_accepted_tokens += static_cast<uint32_t>(accepted);
    }
    learned_.control.learn(draft_, right, instead);
    draft_.cut(0);
}

SpeculationResult Speculator::end() {
    if (answered_ > 0) learned_.lengths.observe(answered_);
    from_model_.reset();
    return result_;
}

}  // namespace nmos
