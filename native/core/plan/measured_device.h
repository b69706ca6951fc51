// How fast a card and the processor beside it are with each type of weights. Of a model, which has several of them, the planner
// looks at the mean over its bytes. Pure: no I/O, no clock.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "plan/device_profile.h"
#include "plan/model_profile.h"

namespace nmos {

struct TypeShare {
    std::string type;  // ggml's name, such as "q4_K"
    double share = 0;  // of the bytes of all that count
};

// The types of weights that the time of a model's passes is predicted from, the one with most of the bytes first. Beside it those
// with a third of the bytes and more count; the shares add up to 1.
std::vector<TypeShare> main_types(const ModelProfile& model);

// With weights of one type.
struct TypeSpeed {
    WidthCurve card;       // empty where there is none
    WidthCurve processor;
    bool fine = false;     // at all widths that a plan predicts, not at some of them
};

struct MeasuredDevice {
    DeviceProfile bus;  // and all else that does not depend on weights: its curves are empty
    std::map<std::string, TypeSpeed> types;

    // Whether all is known that counts for a model of these types: at all widths for the first of them.
    bool covers(std::span<const TypeShare> shares) const;
    // For a model of these types, all of which are known.
    DeviceProfile profile_for(std::span<const TypeShare> shares) const;
};

}  // namespace nmos
