// How often tokens chose each expert of a layer lately, and which expert in RAM would be worth a place in VRAM. Pure; not
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace nmos {

class ExpertUsage {
  public:
    explicit ExpertUsage(size_t experts) : uses_(experts) {}

    // A token chose it. What was long ago counts less and less: all counts are halved whenever a mean of `window` is reached.
    void count(size_t expert);
    // Counts, halved now and then.
    double uses(size_t expert) const { return uses_[expert]; }
    size_t experts() const { return uses_.size(); }

  private:
    static constexpr double window = 64;

    std::vector<double> uses_;  // (expert)
    double total_ = 0;
};

constexpr int32_t no_place = -1;

struct ExpertSwap {
    size_t in = 0;                   // is to come into VRAM
    std::optional<size_t> out = {};  // in whose place; none: there is a free one
    double gain = 0;                 // uses of the one more than of the other
};

// The swap that gains most, where more than chance speaks for it. `places` says which expert is where in VRAM, `no_place`
// for one that is not; `free` whether a place there is empty, which is worth filling by any expert.
std::optional<ExpertSwap> find_swap(const ExpertUsage& usage, std::span<const int32_t> places, bool free);

}  // namespace nmos
