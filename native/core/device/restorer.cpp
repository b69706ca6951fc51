#include "device/restorer.h"

#include <algorithm>

namespace nmos {

namespace {

constexpr size_t lanes_of_a_card = 2;

// Copied in 1 or 2 ms. What is asked to stop does so in the middle of them.
constexpr size_t part_bytes = 8 << 20;

// In pieces of whole rows, none of them much larger than part_bytes.
void divide(const Upload::Part& part, std::deque<Upload::Part>& pieces) {
    if (part.rows == 1) {
        for (size_t done = 0; done < part.size; done += part_bytes) {
            pieces.push_back({static_cast<const char*>(part.data) + done, part.offset + done, std::min(part_bytes, part.size - done), 1, 0});
        }
        return;
    }
    const size_t at_once = std::max<size_t>(1, part_bytes / part.size);
    for (size_t row = 0; row < part.rows; row += at_once) {
        const size_t count = std::min(at_once, part.rows - row);
        pieces.push_back({static_cast<const char*>(part.data) + row * part.stride, part.offset + row * part.size, part.size, count, part.stride});
    }
}

}  // namespace

Restorer::Restorer(ggml_backend_dev_t card) : card_(card) {
    ggml_backend_dev_props properties;
    ggml_backend_dev_get_props(card, &properties);
    if (!properties.caps.async || !properties.caps.events) return;
    for (size_t i = 0; i < lanes_of_a_card; ++i) lanes_.push_back({std::make_unique<Uploader>(card), std::nullopt, {}});
}

std::optional<Restorer::Job> Restorer::begin(NetworkShare& share) const {
    std::optional<NetworkShare::Room> room = share.make_room(ggml_backend_dev_buffer_type(card_));
    if (!room) return std::nullopt;
    Job job{&share, std::move(*room), {}, {}};
    job.whole = bytes_of(job.room.buffer.get());
    for (size_t i = 0; i < job.room.weights.size(); ++i) {
        const auto offset = static_cast<size_t>(static_cast<char*>(job.room.weights[i]->data) - static_cast<char*>(job.whole.data));
        divide(Upload::Part::of(share.weights().all()[i], offset), job.waiting);
    }
    return job;
}

void Restorer::feed(Lane& lane, Job& job) {
    lane.uploader->wait_until_given(lane.tickets.front());
    const uint64_t ticket = lane.uploader->begin({&job.whole, {job.waiting.front()}, false, nullptr, nullptr});
    lane.tickets = {lane.tickets.back(), ticket};
    job.waiting.pop_front();
}

bool Restorer::copy(Job& job, const std::function<bool()>& go_on) {
    std::vector<char> packed;
    for (; !job.waiting.empty(); job.waiting.pop_front()) {
        if (!go_on()) return false;
        const Upload::Part& part = job.waiting.front();
        packed.resize(part.rows * part.size);
        part.pack(0, part.rows, packed.data());
        ggml_backend_tensor_set(&job.whole, packed.data(), part.offset, packed.size());
    }
    return true;
}

bool Restorer::copy(ggml_backend_buffer_t room, const std::vector<Upload::Part>& parts, const std::function<bool()>& go_on) {
    Job job;
    job.whole = bytes_of(room);
    for (const Upload::Part& part : parts) divide(part, job.waiting);
    if (lanes_.empty()) return copy(job, go_on);
    const auto stop = [&] {
        for (Lane& lane : lanes_) lane.stop();
    };
    bool all = true;
    try {
        for (size_t turn = 0; all && !job.waiting.empty(); ++turn) {
            feed(lanes_[turn % lanes_.size()], job);
            all = go_on();
        }
    } catch (...) {
        // What is under way goes into the room and reads the job.
        stop();
        throw;
    }
    if (!all) stop();
    for (Lane& lane : lanes_) lane.uploader->synchronize();
    return all;
}

uint64_t Restorer::restore(const std::vector<NetworkShare*>& shares, const std::function<bool()>& go_on, uint64_t most, const Done& done) {
    uint64_t restored = 0;
    const auto complete = [&](Job& job) {
        restored += job.share->bytes();
        done(*job.share, std::move(job.room));
    };
    uint64_t begun = 0;
    auto next = shares.begin();
    // None when there is no more, or no room for it.
    const auto begin_next = [&] {
        std::optional<Job> job = next != shares.end() && (*next)->bytes() <= most - begun ? begin(**next) : std::nullopt;
        if (!job) next = shares.end();
        else begun += (*next++)->bytes();
        return job;
    };
    if (lanes_.empty()) {
        while (go_on()) {
            std::optional<Job> job = begin_next();
            if (!job || !copy(*job, go_on)) break;
            complete(*job);
        }
        return restored;
    }
    // Nothing is under way into memory that is freed, however this ends.
    struct AtTheEnd {
        std::vector<Lane>& lanes;
        ~AtTheEnd() {
            for (Lane& lane : lanes) {
                if (lane.job) lane.stop();
                lane.job.reset();
            }
        }
    } const at_the_end{lanes_};
    for (size_t turn = 0;; ++turn) {
        Lane& lane = lanes_[turn % lanes_.size()];
        if (lane.job && lane.job->waiting.empty()) {
            lane.uploader->synchronize();
            complete(*lane.job);
            lane.job.reset();
        }
        if (!go_on()) return restored;
        if (!lane.job) lane.job = begin_next();
        if (lane.job) feed(lane, *lane.job);
        else if (std::ranges::none_of(lanes_, [](const Lane& other) { return other.job.has_value(); })) return restored;
    }
}

}  // namespace nmos
