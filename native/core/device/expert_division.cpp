#include "device/expert_division.h"

#include <algorithm>

namespace nmos {

size_t ExpertDivision::pairs_of(std::span<const ExpertSource> sources) const {
    size_t pairs = 0;
    for (const ExpertSource source : sources) pairs += of(source).pairs();
    return pairs;
}

ExpertDivision divide_experts(std::span<const int32_t> chosen, size_t used, size_t rows_per_token, const std::function<ExpertPlace(int32_t)>& place_of) {
    ExpertDivision division;
    std::vector<ExpertSource> sources(chosen.size());
    division.rows.resize(chosen.size());
    for (size_t pair = 0; pair < chosen.size(); ++pair) {
        const ExpertPlace place = place_of(chosen[pair]);
        ExpertDivision::Part& part = division.parts[static_cast<size_t>(place.source)];
        sources[pair] = place.source;
        division.rows[pair] = static_cast<int32_t>(part.pairs());
        part.places.push_back(place.index);
        part.inputs.push_back(static_cast<int32_t>(pair / used * rows_per_token + pair % used % rows_per_token));
    }
    size_t row = 0;
    for (ExpertDivision::Part& part : division.parts) {
        part.first_row = row;
        row += part.pairs();
    }
    for (size_t pair = 0; pair < chosen.size(); ++pair) division.rows[pair] += static_cast<int32_t>(division.of(sources[pair]).first_row);
    return division;
}

bool ExpertDivision::in_order() const {
    return std::ranges::any_of(processor_sources, [&](ExpertSource source) { return of(source).pairs() == pairs(); });
}

}  // namespace nmos
