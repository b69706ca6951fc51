// A ggml device, "NMOS0", "NMOS1", …, that wraps another one and computes also with weights that are in RAM.
//
// Activations, the KV cache and resident weights are ordinary buffers of the wrapped device, the card. Weights in a
// HostWeights buffer are uploaded, unit by unit, while the card computes with the unit before: the graph is cut where the
// unit changes, and for the time of the call the weights point into an upload slot. Passes that are narrower than a unit's
// `stream_from_width` are declined by `supports_op`, so that ggml's scheduler gives them to the processor. Weights in other host
// memory are offered as the card offers them: ggml copies them there for wide passes.
//
// Made once for a card and never destroyed, as ggml never forgets a device. Any thread may call; passes take turns.
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "device/expert_mover.h"
#include "device/host_weights.h"
#include "device/restorer.h"
#include "device/upload_ring.h"

namespace nmos {

class StreamingDevice {
  public:
    // The streaming device over `card`, made and registered with the first call. Throws BACKEND_UNAVAILABLE.
    static StreamingDevice& over(ggml_backend_dev_t card);
    // Null when `device` is not a streaming one.
    static StreamingDevice* of(ggml_backend_dev_t device);

    ggml_backend_dev_t handle() const;
    ggml_backend_dev_t card() const { return card_; }

    // Makes slots for the units of these weights, shared with those of other models. Returns how many there are: fewer than
    // `count` when the card refuses memory, 0 when it has no room for one.
    uint32_t reserve_slots(const HostWeights& weights, uint32_t count);
    // Gives the VRAM of resident shares of networks back, at least `bytes` of it if there are so many, the last layers first;
    // the processor computes them from then on. Waits for the pass under way. Returns the bytes.
    uint64_t release(HostWeights& weights, uint64_t bytes);
    // Brings shares that were released into VRAM again, beside passes that run meanwhile and compute with them as soon as
    // they are there, as far as card and system grant memory, at most `most` bytes, and while `go_on` says so: it is asked several
    // times in a few milliseconds. Ends where a driver throws, too, which is logged. Returns the bytes.
    uint64_t restore(HostWeights& weights, const std::function<bool()>& go_on, uint64_t most = UINT64_MAX);
    // Reads what is mapped ahead, as long as `go_on` says so; it is asked several times in a few milliseconds.
    void page_in(const HostWeights& weights, const std::function<bool()>& go_on);
    // Begins to upload what the first passes that are one token wide need, as far as there are slots. Does nothing during a
    // pass, which does that by itself.
    void fill_slots(const HostWeights& weights);
    // For benchmarks: whether uploads go on into the next pass, as they do unless this was called. Not during a pass.
    void set_wraps(bool wraps);
    // The weights are about to be freed. The slots go with the last ones.
    void forget(const HostWeights& weights);
    // Does not wait for a pass.
    UploadCounters counters() const;

  private:
    struct Ggml;
    struct Backend;
    struct Results;

    // What has been copied and is not computed with yet.
    struct Restored {
        const HostWeights* owner;
        NetworkShare* share;
        NetworkShare::Room room;
    };
    struct RestoredMixture {
        const HostWeights* owner;
        HostMixture* mixture;
        HostMixture::RoomPtr vram;
    };

    StreamingDevice(ggml_backend_dev_t card, std::string name);

    // Waits for all that the queues were given, and for whoever uses them; they do nothing as long as it lives. Under mutex_. Needs
    // no memory, because weights are also freed where there is none.
    class StoppedQueues;
    // Lets the card compute what has been copied; also in the middle of a pass, between two networks. Under mutex_.
    void adopt_restored();
    // Copies the experts of released mixtures back, of each all or none, as `restore` does. Adds the bytes to `restored`.
    void copy_mixtures(HostWeights& weights, const std::function<bool()>& go_on, uint64_t most, uint64_t& restored);

    ggml_backend_dev_t card_;
    std::string name_;
    std::string description_;
    mutable std::mutex mutex_;
    UploadRing ring_;                       // guarded by mutex_
    std::set<const HostWeights*> users_;    // guarded by mutex_
    std::set<Backend*> queues_;             // guarded by mutex_
    uint64_t moves_ = 0;                    // of shares into VRAM and out of it; guarded by mutex_
    std::mutex restore_mutex_;              // one restores at a time; locked before mutex_
    std::unique_ptr<Restorer> restorer_;    // guarded by restore_mutex_; made with the first restore
    std::mutex restored_mutex_;             // locked last
    std::vector<Restored> restored_;                  // guarded by restored_mutex_
    std::vector<RestoredMixture> restored_mixtures_;  // guarded by restored_mutex_
    ExpertMover mover_;                     // guarded by mutex_
    HostWeights* last_mixtures_ = nullptr;  // whose mixtures were computed last; guarded by mutex_
    std::unique_ptr<Ggml> ggml_;
};

}  // namespace nmos
