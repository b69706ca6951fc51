#include "runtime/slow_passes.h"

#include <algorithm>

namespace nmos {

namespace {

// Memory behind a bus of 4 to 16 GB/s takes the place of one of 100 GB/s and more. What else makes passes longer stays below: a
// full context doubles the time of a small model, another program that computes on the card as well takes half of it.
constexpr double slow_times = 4;

// Predictions were never held against a card like the user's own: only what is far beyond them counts.
constexpr double slow_times_predicted = 10;

// So many slow passes in so long a time are none by chance.
constexpr uint32_t telling_passes = 8;
constexpr double telling_seconds = 1;

// After so long without a pass the card has lowered its clocks; the first passes wake it up and tell nothing.
constexpr double pause_seconds = 2;
constexpr uint32_t waking_passes = 3;

// Slow for so long without a verdict: it is how things are now.
constexpr uint32_t accepted_passes = 200;

// Processors that other programs may use meanwhile: threads of a pass wait for the slowest of them.
constexpr double most_others = 0.5;
// Share of all of them, where the card computes everything and one thread only gives it commands.
constexpr double most_others_share = 0.75;

}  // namespace

double SlowPasses::Usual::median() const {
    std::array<double, kept> sorted = seconds;
    std::ranges::nth_element(sorted, sorted.begin() + kept / 2);
    return sorted[kept / 2];
}

double SlowPasses::times(const TimedPass& pass) const {
    const auto usual = usual_.find(pass.width);
    if (usual != usual_.end() && usual->second.known()) return pass.seconds / usual->second.median();
    // In the measure of a learned time, so that both are slow from the same value on.
    if (as_planned_ && pass.predicted > 0) return pass.seconds / pass.predicted * (slow_times / slow_times_predicted);
    return 0;
}

bool SlowPasses::is_slow(double times) {
    return times >= slow_times;
}

bool SlowPasses::suspects(const TimedPass& pass) const {
    return times_as_long_ == 0 && is_slow(times(pass));
}

void SlowPasses::observe(const TimedPass& pass, const std::optional<Surroundings>& around) {
    const double began = pass.ended - pass.seconds;
    const bool after_pause = last_ended_ < 0 || began - last_ended_ > pause_seconds;
    last_ended_ = pass.ended;
    since_pause_ = after_pause ? 1 : since_pause_ + 1;
    if (after_pause) streak_.reset();
    if (since_pause_ <= waking_passes || times_as_long_ > 0) return;
    const double times = this->times(pass);
    if (!is_slow(times)) {
        usual_[pass.width].add(pass.seconds);
        // Of a width that nothing is known of it says nothing of the others.
        if (times > 0) streak_.reset();
        return;
    }
    if (!around || around->saves_energy) {
        streak_.reset();
        return;
    }
    if (!streak_) {
        streak_ = Streak{1, began, times, around->processors};
        return;
    }
    ++streak_->passes;
    streak_->least_times = std::min(streak_->least_times, times);
    if (streak_->passes > accepted_passes) {
        forget(on_processor_, as_planned_);
    } else if (streak_->passes >= telling_passes && pass.ended - streak_->began >= telling_seconds && are_processors_free(around->processors)) {
        times_as_long_ = streak_->least_times;
    }
}

bool SlowPasses::are_processors_free(const os::ProcessorTimes& now) const {
    const double all = now.all - streak_->processors.all;
    const double others = now.others - streak_->processors.others;
    // What the system does not tell is no excuse, but no proof either.
    if (all <= 0 || now.count <= 0) return false;
    return others / all <= (on_processor_ ? most_others / now.count : most_others_share);
}

void SlowPasses::forget(bool on_processor, bool as_planned) {
    on_processor_ = on_processor;
    as_planned_ = as_planned;
    usual_.clear();
    streak_.reset();
    times_as_long_ = 0;
}

}  // namespace nmos
