// Chooses the type of a model's KV cache where nobody has. Pure: no I/O, no clock.
//
// F16, unless that keeps weights off the card that would be there with Q8_0, and a typical request is predicted to take a tenth less time
// for it, and all cards that would have a part of the model then read such a cache; or the memory of the machine does not suffice
// otherwise. What reading the cache takes is not predicted, neither for the one nor for the other.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "plan/placement.h"

namespace nmos {

// Of the predicted time of a typical request, what Q8_0 has to save.
constexpr double least_kv_gain = 0.1;

struct KvChoice {
    Placement placement;
    std::string reason;  // a sentence
};

// `place` places the model with such a cache, and throws OUT_OF_MEMORY when the machine cannot hold it so, as this does when it can
// hold it with neither.
KvChoice choose_kv(const ModelProfile& model, const PlacementRequest& request, const std::function<Placement(KvType)>& place);

// Predicted seconds of a typical request; none where speeds are not known.
std::optional<double> typical_seconds(const ModelProfile& model, const PlacementRequest& request, const Placement& placement);

}  // namespace nmos
