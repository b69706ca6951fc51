#include "plan/measured_device.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>
#include <utility>

namespace nmos {

namespace {

// Quantisers give the tensors that lose most by it a type with more bits, such as Q6_K to a quarter of a Q4_K_M. That takes up to a
// tenth less time for a byte, about as much as what no prediction counts, such as the arithmetic of attention: predictions are
// nearer to the passes without it.
constexpr double least_share = 1.0 / 3;

// What most models that do not fit on a card are made of.
constexpr const char* usual_type = "q4_K";

struct Part {
    const WidthCurve& curve;
    double share;
};

// At all widths that any of them was measured at.
WidthCurve mean_of(std::span<const Part> parts) {
    std::set<uint32_t> widths;
    for (const Part& part : parts) {
        for (const WidthCurve::Point& point : part.curve.points()) widths.insert(point.width);
    }
    std::vector<WidthCurve::Point> points;
    for (const uint32_t width : widths) {
        double seconds = 0;
        for (const Part& part : parts) seconds += part.share * part.curve.at(width);
        points.push_back({width, seconds});
    }
    return WidthCurve(std::move(points));
}

}  // namespace

std::vector<TypeShare> main_types(const ModelProfile& model) {
    const double all = std::accumulate(model.type_bytes.begin(), model.type_bytes.end(), 0.0, [](double sum, const auto& type) { return sum + static_cast<double>(type.second); });
    std::vector<TypeShare> types;
    for (const auto& [type, bytes] : model.type_bytes) types.push_back({type, static_cast<double>(bytes)});
    std::ranges::stable_sort(types, std::greater(), &TypeShare::share);
    if (types.empty()) return {{usual_type, 1}};
    types.erase(std::find_if(types.begin() + 1, types.end(), [&](const TypeShare& type) { return type.share < least_share * all; }), types.end());
    const double counted = std::accumulate(types.begin(), types.end(), 0.0, [](double sum, const TypeShare& type) { return sum + type.share; });
    for (TypeShare& type : types) type.share /= counted;
    return types;
}

bool MeasuredDevice::covers(std::span<const TypeShare> shares) const {
    const auto is_known = [&](const TypeShare& share) {
        const auto known = types.find(share.type);
        return known != types.end() && (known->second.fine || &share != shares.data());
    };
    return std::ranges::all_of(shares, is_known);
}

DeviceProfile MeasuredDevice::profile_for(std::span<const TypeShare> shares) const {
    DeviceProfile profile = bus;
    std::vector<Part> card;
    std::vector<Part> processor;
    for (const auto& [type, share] : shares) {
        const TypeSpeed& speed = types.at(type);
        card.push_back({speed.card, share});
        processor.push_back({speed.processor, share});
    }
    profile.card = mean_of(card);
    profile.processor = mean_of(processor);
    return profile;
}

}  // namespace nmos
