#include "plan/pass_time.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

namespace nmos {

namespace {

// The uploads to one card in passes one right behind the other. The n-th upload, counted over all of them, waits for the slot of the one
// `slots` before it.
class Uploads {
  public:
    Uploads(std::span<const PassStep> steps, uint32_t where, const PassCard& card) : slots_(card.slots), profile_(*card.profile) {
        for (const PassStep& step : steps) {
            if (step.where != where) continue;
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

// Of the experts that a pass chooses, some are on the card, which computes them at the same time as the processor computes the
// others, and both wait for each other: the mean over what chance decides (the hypergeometric distribution). `card` and
// `processor` are seconds when each side has as many of them as it has on average.
double drawn_seconds(double card, double processor, double on_card, double experts, double drawn) {
    const double in_ram = experts - on_card;
    double mean = 0;
    double all = 0;
    double weight = 1;
    for (double hits = std::max(0.0, drawn - in_ram); hits <= std::min(drawn, on_card); ++hits) {
        const double card_part = hits * experts / (drawn * on_card);
        const double processor_part = (drawn - hits) * experts / (drawn * in_ram);
        mean += weight * std::max(card * card_part, processor * processor_part);
        all += weight;
        weight *= (on_card - hits) * (drawn - hits) / ((hits + 1) * (in_ram - drawn + hits + 1));
    }
    return mean / all;
}

}  // namespace

double pass_seconds(std::span<const PassStep> steps, uint32_t width, std::span<const PassCard> cards) {
    std::vector<Uploads> of_card;
    of_card.reserve(cards.size());
    for (const PassCard& card : cards) of_card.emplace_back(steps, static_cast<uint32_t>(of_card.size()), card);
    double now = 0;
    constexpr int passes = 3;  // the ring is in its rhythm after two
    double before_last = 0;
    for (int pass = 0; pass < passes; ++pass) {
        before_last = now;
        bool was_on_processor = false;
        for (const PassStep& step : steps) {
            const DeviceProfile& profile = *cards[step.where].profile;
            Uploads& uploads = of_card[step.where];
            const double tokens = step.width > 0 ? step.width : width;
            const double per_byte = profile.card.at(tokens) * step.read;
            const bool with_card = step.card > 0 || std::ranges::any_of(step.streamed, [](uint64_t bytes) { return bytes > 0; });
            const double uploading = uploads.free();
            double exchange = step.processor > 0 && (with_card || !was_on_processor) ? profile.exchange_seconds : 0;
            if (step.processor > 0 && step.exchanged > 0) exchange += 2.0 * step.exchanged * width / profile.upload_bytes_per_second;
            const double beside = static_cast<double>(step.processor) * profile.processor.at(tokens) * step.read;
            const double alone = static_cast<double>(step.card) * per_byte;
            const double launches = step.operations * profile.launch_seconds + step.copies * profile.upload_seconds;
            if (step.copied > 0) {
                const double bytes_per_second = profile.staged_bytes_per_second > 0 ? profile.staged_bytes_per_second : profile.upload_bytes_per_second;
                now = std::max(now, uploading) + launches + static_cast<double>(step.copied) * (step.read / bytes_per_second + per_byte);
                was_on_processor = false;
                continue;
            }
            if (step.drawn > 0 && step.card > 0 && step.processor > 0) {
                const double share = static_cast<double>(step.card) / static_cast<double>(step.card + step.processor);
                const double on_card = std::clamp(std::round(share * step.experts), 1.0, step.experts - 1.0);
                now += launches + exchange + drawn_seconds(alone, beside, on_card, step.experts, step.drawn);
                was_on_processor = false;
                continue;
            }
            double processor = now + exchange + beside;
            // The result gets to the card behind what was being uploaded when the step began.
            if (with_card && step.processor > 0) processor = std::max(processor, uploading);
            // ggml's small copies get to the card behind what is being uploaded.
            double card = (step.copies > 0 && step.drawn == 0 ? std::max(now, uploading) : now) + alone + launches;
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
