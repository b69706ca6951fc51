// How fast a card and the processor beside it are, as measured on this machine.
#pragma once

#include <cstdint>
#include <vector>

namespace nmos {

// Seconds to multiply a byte of quantised weights with `width` tokens: the whole pass over it, not one token's share.
class WidthCurve {
  public:
    struct Point {
        uint32_t width = 1;
        double seconds_per_byte = 0;
    };

    WidthCurve() = default;
    // Widths ascending. Time never falls with the width: what a measurement says to the contrary is evened out.
    explicit WidthCurve(std::vector<Point> points);

    // Linear between the points; beyond the last one in proportion to the width, before the first one constant.
    double at(double width) const;
    bool empty() const { return points_.empty(); }
    const std::vector<Point>& points() const { return points_; }

  private:
    std::vector<Point> points_;
};

struct DeviceProfile {
    WidthCurve card;
    WidthCurve processor;
    double upload_bytes_per_second = 0;  // from pinned memory
    double staged_bytes_per_second = 0;  // from other memory, by way of pinned one
    double upload_share_of_card = 0;     // of an upload's time, what the card's computations lose: 0 with an engine of its own for copies
    double upload_seconds = 0;           // of a copy, beside its bytes
    double exchange_seconds = 0;         // from the card to the processor and back, around what the processor computes
    double launch_seconds = 0;           // of an operation on the card, beside what its bytes take
    uint32_t offload_from_width = UINT32_MAX;  // tokens of passes for which ggml copies weights in RAM to the card; UINT32_MAX: none
};

}  // namespace nmos
