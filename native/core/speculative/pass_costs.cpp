#include "speculative/pass_costs.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace nmos {

namespace {

// Share of the last pass in the average.
constexpr double weight_of_latest = 0.2;

// What a further token is thought to add to a pass, in terms of the first one, until passes tell.
constexpr double assumed_slope = 0.5;

// The first pass of a width also builds what the later ones reuse, so that it tells nothing by itself.
constexpr uint32_t telling_passes = 2;

// A pass counts as so many average ones at most: what holds one up, such as a laptop that sleeps, does not come again. Where
// passes really have become slower, a few of them tell.
constexpr double most_surprising = 3;

// A width that looks too dear is not tried, and so nothing tells that it has become cheaper, or always was: other programs may
// have held up all of its passes. So what was seen of a width is believed for so many passes of other ones, and then ever less
// until after so many nothing is left of it.
constexpr uint32_t believed_passes = 64;
constexpr uint32_t forgetting_passes = 512;

// Linear between the points, flat beyond them.
double interpolate(const std::map<uint32_t, double>& points, uint32_t width) {
    const auto above = points.lower_bound(width);
    if (above == points.end()) return std::prev(above)->second;
    if (above == points.begin()) return above->second;
    const auto below = std::prev(above);
    const double share = static_cast<double>(width - below->first) / static_cast<double>(above->first - below->first);
    return below->second + share * (above->second - below->second);
}

// No pass is cheaper than one of a single token.
template <typename Relative, typename Cost> Relative at_every_width(Cost cost) {
    Relative relative;
    for (uint32_t width = 0; width < relative.size(); ++width) relative[width] = width <= 1 ? 1 : std::max(1.0, cost(width));
    return relative;
}

}  // namespace

bool PassCosts::Average::tells() const {
    return passes >= telling_passes;
}

void PassCosts::Average::add(double latest) {
    const double weight = std::max(weight_of_latest, doubt());
    unseen = 0;
    if (++passes == 1) seconds = latest;
    else if (passes == telling_passes) seconds = std::min(seconds, latest);
    else seconds += weight * (std::min(latest, most_surprising * seconds) - seconds);
}

void PassCosts::Average::pass_by() {
    unseen = std::min(unseen + 1, believed_passes + forgetting_passes);
}

double PassCosts::Average::doubt() const {
    return static_cast<double>(std::max(unseen, believed_passes) - believed_passes) / forgetting_passes;
}

void PassCosts::predict(uint32_t width, double seconds) {
    relative_.reset();
    predicted_[width] = seconds;
}

void PassCosts::observe(uint32_t width, double seconds) {
    relative_.reset();
    for (auto& [other, average] : observed_) {
        if (other != 1) average.pass_by();
    }
    choice_.pass_by();
    observed_[width].add(seconds);
}

void PassCosts::observe_choice(double seconds) {
    choice_.add(seconds);
}

void PassCosts::observe_prefill(size_t tokens, double seconds) {
    relative_.reset();
    const double each = seconds / static_cast<double>(tokens);
    prefill_ = prefill_ == 0 ? each : prefill_ + weight_of_latest * (each - prefill_);
}

bool PassCosts::known() const {
    const auto single = observed_.find(1);
    return single != observed_.end() && single->second.tells();
}

template <typename Expected> std::map<uint32_t, double> PassCosts::told(Expected expected) const {
    std::map<uint32_t, double> told;
    for (const auto& [width, average] : observed_) {
        if (average.tells()) told[width] = std::lerp(average.seconds, expected(width), average.doubt());
    }
    return told;
}

double PassCosts::seconds() const {
    const auto single = observed_.find(1);
    if (single != observed_.end()) return single->second.seconds;
    return predicted_.empty() ? 0 : interpolate(predicted_, 1);
}

double PassCosts::relative(uint32_t width) const {
    if (!relative_) relative_ = predicted_.empty() ? from_observed() : from_predicted();
    return relative_->at(width);
}

double PassCosts::choice_seconds() const {
    return choice_.tells() ? std::lerp(choice_.seconds, 0.0, choice_.doubt()) : 0;
}

double PassCosts::prefill_seconds(size_t tokens) const {
    const double each = prefill_ > 0 ? prefill_ : seconds() * relative(widest_verification) / widest_verification;
    return each * static_cast<double>(tokens);
}

PassCosts::Relative PassCosts::from_observed() const {
    const auto guess = [](uint32_t of) { return 1 + assumed_slope * (of - 1); };
    if (!known()) return at_every_width<Relative>(guess);
    const double single = seconds();
    const std::map<uint32_t, double> told = this->told([&](uint32_t of) { return guess(of) * single; });
    const auto cost = [&](auto entry) { return entry->second / single; };
    const double steepest = std::max(assumed_slope, prefill_ / single);
    return at_every_width<Relative>([&](uint32_t width) {
        const auto above = told.lower_bound(width);
        if (above == told.end()) {
            const auto widest = std::prev(above);
            // As between the first and the widest one, but no steeper than was thought before, nor than prompts tell: on a few cores
            // passes of two to four tokens take almost as many times as long and those of sixteen hardly longer than those of eight,
            // and what is thought to be too dear is not tried.
            const double slope = widest->first == 1 ? assumed_slope : std::min(steepest, (cost(widest) - 1) / (widest->first - 1));
            return cost(widest) + slope * (width - widest->first);
        }
        const auto below = std::prev(above);
        const double share = static_cast<double>(width - below->first) / static_cast<double>(above->first - below->first);
        return cost(below) + share * (cost(above) - cost(below));
    });
}

PassCosts::Relative PassCosts::from_predicted() const {
    const auto single = observed_.find(1);
    const double of_single = single != observed_.end() && single->second.tells() ? single->second.seconds / interpolate(predicted_, 1) : 1;
    std::map<uint32_t, double> corrections{{1, 1.0}};
    for (const auto& [seen, seconds] : told([&](uint32_t of) { return interpolate(predicted_, of) * of_single; })) corrections[seen] = seconds / interpolate(predicted_, seen);
    const auto corrected = [&](uint32_t of) { return interpolate(predicted_, of) * interpolate(corrections, of); };
    return at_every_width<Relative>([&](uint32_t width) { return corrected(width) / corrected(1); });
}

}  // namespace nmos
