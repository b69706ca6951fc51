#include "plan/device_profile.h"

#include <algorithm>

namespace nmos {

WidthCurve::WidthCurve(std::vector<Point> points) : points_(std::move(points)) {
    double least = 0;
    for (Point& point : points_) point.seconds_per_byte = least = std::max(least, point.seconds_per_byte);
}

double WidthCurve::at(double width) const {
    if (points_.empty()) return 0;
    const auto above = std::ranges::lower_bound(points_, width, {}, &Point::width);
    if (above == points_.begin()) return points_.front().seconds_per_byte;
    const Point& below = *std::prev(above);
    if (above == points_.end()) return below.seconds_per_byte * width / below.width;
    const double share = (width - below.width) / (above->width - below.width);
    return below.seconds_per_byte + share * (above->seconds_per_byte - below.seconds_per_byte);
}

}  // namespace nmos
