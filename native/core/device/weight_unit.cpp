#include "device/weight_unit.h"

#include <charconv>

namespace nmos {

std::optional<UnitId> unit_of_tensor(std::string_view name, uint32_t output_layer) {
    constexpr std::string_view block = "blk.";
    if (name == "output.weight" || name == "output_norm.weight") return UnitId{output_layer, UnitGroup::Output};
    if (!name.starts_with(block)) return std::nullopt;
    UnitId id;
    const char* const begin = name.data() + block.size();
    const char* const end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(begin, end, id.layer);
    if (error != std::errc() || rest == end || *rest != '.') return std::nullopt;
    const std::string_view part(rest + 1, end);
    // The norm stays with the attention: it is small, and its result is what a network in RAM gets.
    if (!part.starts_with("ffn_") || part.starts_with("ffn_norm.")) return id;
    id.group = part.find("_exps.") != std::string_view::npos ? UnitGroup::Experts : UnitGroup::FeedForward;
    return id;
}

}  // namespace nmos
