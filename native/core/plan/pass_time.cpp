#include "plan/pass_time.h"

#include <algorithm>
#include <deque>
#include <vector>

namespace nmos {

namespace {

// The uploads of passes one right behind the other. The n-th upload, counted over all of them, waits for the slot of the one
// `slots` before it.
class Uploads {
  public:
    Uploads(std::span<const PassStep> steps, uint32_t slots, const DeviceProfile& profile) : slots_(slots), profile_(profile) {
        for (const PassStep& step : steps) {
            for (const uint64_t bytes : step.streamed) {
                if (bytes > 0) sizes_.push_back(bytes);
            }
        }
    }

    // When the next unit is in its slot.
    double next() {
        if (uploaded_.empty()) begin();
        const double at = uploaded_.front();
        uploaded_.pop_front();
        return at;
    }

    // When all is there that is under way.
    double free() const { return free_; }

    // The card is done with it: its slot is filled again at once.
    void release(double now) {
        released_.push_back(now);
        while (begun_ < released_.size() + slots_ && uploaded_.size() < slots_) begin();
    }

  private:
    void begin() {
        const double slot_free = begun_ < slots_ ? 0 : released_[begun_ - slots_];
        const double bytes = static_cast<double>(sizes_[begun_ % sizes_.size()]);
        free_ = std::max(free_, slot_free) + profile_.upload_seconds + bytes / profile_.upload_bytes_per_second;
        uploaded_.push_back(free_);
        ++begun_;
    }

    const uint32_t slots_;
    const DeviceProfile& profile_;
    std::vector<uint64_t> sizes_;
    double free_ = 0;               // when the copy engine is
    std::deque<double> uploaded_;   // when the units in the slots, in their order, are there
    std::vector<double> released_;  // when the slot of the n-th streamed unit is free for another
    size_t begun_ = 0;
};

}  // namespace

double pass_seconds(std::span<const PassStep> steps, uint32_t width, uint32_t slots, const DeviceProfile& profile) {
    Uploads uploads(steps, slots, profile);
    double now = 0;
    constexpr int passes = 3;  // the ring is in its rhythm after two
    double before_last = 0;
    for (int pass = 0; pass < passes; ++pass) {
        before_last = now;
        bool was_on_processor = false;
        for (const PassStep& step : steps) {
            const uint32_t tokens = step.width > 0 ? step.width : width;
            const double per_byte = profile.card.at(tokens) * step.read;
            const bool with_card = step.card > 0 || std::ranges::any_of(step.streamed, [](uint64_t bytes) { return bytes > 0; });
            const double uploading = uploads.free();
            double processor = now;
            if (step.processor > 0) {
                processor += static_cast<double>(step.processor) * profile.processor.at(tokens) * step.read;
                if (with_card || !was_on_processor) processor += profile.exchange_seconds;
                if (step.exchanged > 0) processor += 2.0 * step.exchanged * width / profile.upload_bytes_per_second;
                // The result gets to the card behind what was being uploaded when the step began.
                if (with_card) processor = std::max(processor, uploading);
            }
            double card = now + static_cast<double>(step.card) * per_byte + step.operations * profile.launch_seconds;
            for (const uint64_t bytes : step.streamed) {
                if (bytes == 0) continue;
                const double lost = profile.upload_share_of_card * (profile.upload_seconds + static_cast<double>(bytes) / profile.upload_bytes_per_second);
                card = std::max(card + lost, uploads.next()) + static_cast<double>(bytes) * per_byte;
                uploads.release(card);
            }
            now = std::max(card, processor);
            was_on_processor = !with_card && (step.processor > 0 || was_on_processor);
        }
    }
    return now - before_last;
}

}  // namespace nmos
