#include <algorithm>
#include <numeric>
#include <random>

#include "check.h"
#include "device/expert_division.h"
#include "device/expert_usage.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

// Uses of each expert; the first `in_vram` of them are there.
std::optional<ExpertSwap> swap_of(const std::vector<int>& uses, size_t in_vram, bool free = false) {
    ExpertUsage usage(uses.size());
    for (size_t expert = 0; expert < uses.size(); ++expert) {
        for (int i = 0; i < uses[expert]; ++i) usage.count(expert);
    }
    std::vector<int32_t> places(uses.size(), no_place);
    std::iota(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(in_vram), 0);
    return find_swap(usage, places, free);
}

void check_swap(const std::vector<int>& uses, size_t in_vram, size_t in, size_t out, Location at = Location::here()) {
    const auto swap = swap_of(uses, in_vram);
    expect(swap && swap->in == in && swap->out == out, show(in) + " to take the place of " + show(out), at);
}

void check_no_swap(const std::vector<int>& uses, size_t in_vram, Location at = Location::here()) {
    expect(!swap_of(uses, in_vram), "everything to stay where it is", at);
}

}  // namespace

TEST(expert_placement, "lets an expert that is used much more take the place of the one that is used least") {
    check_swap({0, 0, 60, 60}, 2, 2, 0);
    check_swap({50, 10, 60, 30, 70}, 3, 4, 1);
    check_swap({40, 3, 0, 40}, 2, 3, 1);
    check_no_swap({60, 60, 0, 0}, 2);
    check_no_swap({}, 0);
    check_no_swap({0, 0, 60, 60}, 0);
    check_no_swap({10, 20, 30}, 3);
}

TEST(expert_placement, "moves nothing for what chance explains") {
    check_no_swap({30, 28, 36, 45}, 2);
    check_no_swap({0, 0, 5, 8}, 2);
    check_no_swap({50, 60, 70, 75}, 2);
    std::mt19937 random(1);
    constexpr size_t experts = 64;
    ExpertUsage usage(experts);
    std::vector<int32_t> places(experts, no_place);
    std::iota(places.begin(), places.begin() + 40, 0);
    int swaps = 0;
    for (int i = 0; i < 20'000; ++i) {
        usage.count(random() % experts);
        if (i % 16 == 0 && find_swap(usage, places, false)) ++swaps;
    }
    expect_equal(swaps, 0);
}

TEST(expert_placement, "fills an empty place with what is used most, however little that is") {
    const auto swap = swap_of({9, 5, 1, 2}, 2, true);
    expect(swap && swap->in == 3 && !swap->out, "the last expert to come in, and none to go out");
    expect(!swap_of({1, 1}, 2, true), "nothing to come in where all are");
}

TEST(expert_placement, "forgets what is long ago") {
    ExpertUsage usage(4);
    for (int i = 0; i < 200; ++i) usage.count(0);
    expect_equal(usage.uses(0), 200.0);
    for (int i = 0; i < 1000; ++i) usage.count(3);
    expect(usage.uses(0) < 10 && usage.uses(3) > 100, "the first expert to count little now, got " + show(usage.uses(0)));
}

TEST(expert_placement, "gives every source its pairs, and every pair its row") {
    // Experts 0 and 1 are in VRAM, 2 and 3 in the slot, 4 and 5 pinned, the others in the file.
    const auto place_of = [](int32_t expert) { return ExpertPlace{static_cast<ExpertSource>(std::min(expert / 2, 3)), expert % 2}; };
    const std::vector<int32_t> chosen{5, 0, 6, 1, 0, 3};  // of two tokens
    const ExpertDivision division = divide_experts(chosen, 3, 1, place_of);
    using Numbers = std::vector<int32_t>;
    expect(division.of(ExpertSource::Vram).places == Numbers{0, 1, 0} && division.of(ExpertSource::Vram).inputs == Numbers{0, 1, 1}, "the pairs in VRAM");
    expect(division.of(ExpertSource::Slot).places == Numbers{1} && division.of(ExpertSource::Slot).inputs == Numbers{1}, "the pairs in the slot");
    expect(division.of(ExpertSource::Pinned).places == Numbers{1} && division.of(ExpertSource::File).places == Numbers{0}, "the pairs of the processor");
    expect(division.rows == Numbers{4, 0, 5, 1, 2, 3}, "the rows of the pairs");
    expect_equal(division.pairs_of(card_sources), size_t{4});
    expect_equal(division.pairs_of(processor_sources), size_t{2});
    // An input row for each pair.
    expect(divide_experts(chosen, 3, 3, place_of).of(ExpertSource::Vram).inputs == Numbers{1, 3, 4}, "input rows of their own");
}
