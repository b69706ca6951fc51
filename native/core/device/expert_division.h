// Divides what a pass asks of a mixture of experts between the memories in which the experts lie. Pure.
//
// A pass asks for pairs of a token and an expert, (used, tokens), one result row each. Every source computes the pairs whose
// expert it has, one right behind the other, and the rows of all sources, one source behind the other, are put into the order
// of the pairs in the end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace nmos {

// In the order in which their rows lie behind one another: the card's first.
enum class ExpertSource : uint8_t {
    Vram,    // the card, from its own memory
    Slot,    // the card, from an upload slot
    Pinned,  // the processor, from memory that the card can read by itself
    File,    // the processor, from the mapped file
};
constexpr size_t expert_sources = 4;
constexpr std::array<ExpertSource, 2> card_sources{ExpertSource::Vram, ExpertSource::Slot};
constexpr std::array<ExpertSource, 2> processor_sources{ExpertSource::Pinned, ExpertSource::File};

// Where an expert is computed from: the memory, and which of the experts there it is.
struct ExpertPlace {
    ExpertSource source = ExpertSource::File;
    int32_t index = 0;
};

struct ExpertDivision {
    struct Part {
        std::vector<int32_t> places;  // (pair) index of the expert in its source
        std::vector<int32_t> inputs;  // (pair) row of the input
        size_t first_row = 0;         // of the results

        size_t pairs() const { return places.size(); }
    };

    std::array<Part, expert_sources> parts;
    std::vector<int32_t> rows;  // (used, tokens) where the result of the pair is

    const Part& of(ExpertSource source) const { return parts[static_cast<size_t>(source)]; }
    size_t pairs() const { return rows.size(); }
    // Whether one of the processor's sources has all of them: its rows are in their order already.
    bool in_order() const;
    size_t pairs_of(std::span<const ExpertSource> sources) const;
};

// `chosen` are experts, (used, tokens). The input has `rows_per_token` rows a token: one for all its experts, or one each.
ExpertDivision divide_experts(std::span<const int32_t> chosen, size_t used, size_t rows_per_token, const std::function<ExpertPlace(int32_t)>& place_of);

}  // namespace nmos
