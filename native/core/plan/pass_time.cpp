#include "plan/pass_time.h"

#include <algorithm>
#include <deque>
#include <vector>

namespace nmos {

double pass_seconds(std::span<const PlacedUnit> units, uint32_t width, uint32_t slots, const DeviceProfile& profile) {
    double now = 0;               // when the chain of computations has got so far
    double upload_free = 0;       // when the copy engine is
    std::deque<double> uploaded;  // when the units in the slots, in their order, are there
    std::vector<double> released; // when the slot of the n-th streamed unit is free for another
    size_t begun = 0;             // uploads

    std::vector<uint64_t> streamed;
    for (const PlacedUnit& unit : units) {
        if (unit.place == Place::Streamed) streamed.push_back(unit.bytes);
    }
    // The n-th upload, counted over all passes, waits for the slot of the one `slots` before it.
    const auto upload = [&] {
        const double slot_free = begun < slots ? 0 : released[begun - slots];
        const double bytes = static_cast<double>(streamed[begun % streamed.size()]);
        upload_free = std::max(upload_free, slot_free) + profile.upload_seconds + bytes / profile.upload_bytes_per_second;
        uploaded.push_back(upload_free);
        ++begun;
    };
    constexpr int passes = 3;  // the ring is in its rhythm after two
    double before_last = 0;
    for (int pass = 0; pass < passes; ++pass) {
        before_last = now;
        bool on_processor = false;
        for (const PlacedUnit& unit : units) {
            const WidthCurve& curve = unit.place == Place::Processor ? profile.processor : profile.card;
            const double seconds = static_cast<double>(unit.bytes) * curve.at(unit.width > 0 ? unit.width : width);
            if (unit.place == Place::Processor) {
                now += seconds + (on_processor ? 0 : profile.exchange_seconds);
                on_processor = true;
                continue;
            }
            on_processor = false;
            if (unit.place == Place::Streamed) {
                if (uploaded.empty()) upload();
                now = std::max(now, uploaded.front());
                uploaded.pop_front();
            }
            now += seconds;
            if (unit.place != Place::Streamed) continue;
            released.push_back(now);
            // A slot is filled again as soon as its unit was computed.
            while (begun < released.size() + slots && uploaded.size() < slots) upload();
        }
    }
    return now - before_last;
}

}  // namespace nmos
