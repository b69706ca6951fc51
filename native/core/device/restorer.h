// Brings weights into VRAM: shares of networks when a model is loaded, and what was released.
//
// One thread packs weights into pinned memory at about half the speed of a card's bus. So two shares are under way at any time,
// each through an uploader of its own, and the memory of the next one is asked for meanwhile. One thread at a time may restore.
#pragma once

#include <ggml-backend.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "device/network.h"
#include "device/uploader.h"

namespace nmos {

class Restorer {
  public:
    // Called with a share of which all is in that room, by the thread that restores.
    using Done = std::function<void(NetworkShare&, NetworkShare::Room)>;

    // Throws BACKEND_UNAVAILABLE or OUT_OF_MEMORY when a card that copies beside its computations has no queue for it.
    explicit Restorer(ggml_backend_dev_t card);
    // Copies shares, which lie in RAM, in their order, as far as the card grants memory, at most `most` bytes, and while `go_on`
    // says so: it is asked several times in a few milliseconds. Returns the bytes of those that are done.
    uint64_t restore(const std::vector<NetworkShare*>& shares, const std::function<bool()>& go_on, uint64_t most, const Done& done);

    // Copies parts of other weights into memory that the card has granted. False when told to stop, in the middle then.
    bool copy(ggml_backend_buffer_t room, const std::vector<Upload::Part>& parts, const std::function<bool()>& go_on);

  private:
    // A share on its way.
    struct Job {
        NetworkShare* share = nullptr;
        NetworkShare::Room room;
        ggml_tensor whole{};              // all of the room
        std::deque<Upload::Part> waiting;  // not yet begun
    };
    struct Lane {
        std::unique_ptr<Uploader> uploader;
        std::optional<Job> job;
        std::array<uint64_t, 2> tickets{};  // of the last two parts, the older one first

        // Leaves off what the card has not got yet, and waits for the rest.
        void stop() {
            uploader->drop();
            uploader->synchronize();
        }
    };

    // None when the card has no room.
    std::optional<Job> begin(NetworkShare& share) const;
    // Gives the lane the job's next part, as soon as it has but one left to copy.
    static void feed(Lane& lane, Job& job);
    // For cards that copy only when they are waited for; false when told to stop.
    static bool copy(Job& job, const std::function<bool()>& go_on);

    ggml_backend_dev_t card_;
    std::vector<Lane> lanes_;  // none: the card copies only when it is waited for
};

}  // namespace nmos
