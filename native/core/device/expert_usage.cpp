#include "device/expert_usage.h"

#include <cmath>

namespace nmos {

namespace {

// Standard deviations between two counts, of as many as a layer has experts, that chance does not explain.
constexpr double beyond_chance = 5;

// An expert has to be used so much more often than the one whose place it takes.
constexpr double least_ratio = 1.5;

}  // namespace

void ExpertUsage::count(size_t expert) {
    uses_[expert] += 1;
    total_ += 1;
    if (total_ < window * static_cast<double>(uses_.size())) return;
    for (double& uses : uses_) uses /= 2;
    total_ /= 2;
}

std::optional<ExpertSwap> find_swap(const ExpertUsage& usage, std::span<const int32_t> places, bool free) {
    std::optional<size_t> in;
    std::optional<size_t> out;
    for (size_t expert = 0; expert < places.size(); ++expert) {
        const double uses = usage.uses(expert);
        if (places[expert] == no_place) {
            if (!in || uses > usage.uses(*in)) in = expert;
        } else if (!out || uses < usage.uses(*out)) {
            out = expert;
        }
    }
    if (!in) return std::nullopt;
    const double more = usage.uses(*in);
    if (free) return ExpertSwap{*in, std::nullopt, more};
    if (!out) return std::nullopt;
    const double less = usage.uses(*out);
    if (more < least_ratio * less || more - less <= beyond_chance * std::sqrt(more + less)) return std::nullopt;
    return ExpertSwap{*in, out, more - less};
}

}  // namespace nmos
