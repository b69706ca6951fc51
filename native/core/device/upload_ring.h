// The upload slots of one card: VRAM that units from RAM pass through, one after the other.
//
// A slot holds one unit at a time. Uploads run beside the computations: an upload waits until the computation that used
// the slot before is done, a computation until its upload is ready. Where the card has no asynchronous copies or no
// events, uploads are synchronous. Not thread-safe but for the counters: the streaming device calls it under its lock.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "device/host_weights.h"
#include "device/uploader.h"

namespace nmos {

struct UploadCounters {
    uint64_t bytes = 0;      // uploaded
    double waited = 0;       // seconds that computations waited until an upload had been given to the card
    uint64_t hits = 0;       // units that had been asked for ahead when a computation needed them
    uint64_t misses = 0;     // units that had not
    uint64_t discarded = 0;  // units that were uploaded ahead and replaced before any computation used them
};

class UploadRing {
  public:
    explicit UploadRing(ggml_backend_dev_t card);
    ~UploadRing();
    UploadRing(const UploadRing&) = delete;
    UploadRing& operator=(const UploadRing&) = delete;

    // Makes at least `count` slots of at least `bytes`. Fewer, but at least one, when the card refuses memory. Returns how many
    // there are then; 0 when it has no room for one, which leaves the slots that were there. Those that have to be larger are
    // made anew, which waits for the card: as many as before, for the models that have planned with them, where that takes no
    // more memory than the slots before and the new ones together.
    uint32_t reserve(uint32_t count, size_t bytes);
    // Waits for the card and gives the memory back.
    void release();
    // The queue is about to be freed: waits for what it was given, and for uploads that wait for that.
    void forget(ggml_backend_t compute);
    // All that the queue was given has happened: drivers gather what belongs to events until they are asked.
    void tidy(ggml_backend_t compute);
    // Forgets what the slots hold of these weights, which are about to be freed.
    void forget(const HostWeights& weights);
    // The same of one unit, whose weights are to be other ones.
    void forget(const HostUnit& unit);

    uint32_t slots() const { return static_cast<uint32_t>(slots_.size()); }
    size_t slot_bytes() const { return slot_bytes_; }
    UploadCounters counters() const;

    // Where a computation finds the weights of a unit: the memory of a slot, and what the unit's offsets count from.
    struct Place {
        ggml_backend_buffer_t buffer = nullptr;
        char* base = nullptr;
    };
    // There is a slot that the unit fits in.
    bool takes(const HostUnit& unit) const { return !slots_.empty() && unit.slot_bytes <= slot_bytes_; }
    // Nobody would have to wait for the unit but the card.
    bool given(const HostUnit& unit);
    // Makes sure that the unit is, or soon will be, in a slot, and lets what `compute` is given next wait for it. None when
    // there is no slot that the unit fits in.
    std::optional<Place> acquire(const HostWeights& weights, const HostUnit& unit, ggml_backend_t compute);
    // Everything that uses the unit has been given to `compute`: its slot may be filled again when that is done.
    void done(const HostUnit& unit, ggml_backend_t compute);
    // Begins to upload the units that passes of `width` need behind `unit`, as far as there are slots. Never replaces a
    // unit that is needed before the one that would take its place.
    void prefetch_behind(const HostWeights& weights, const HostUnit& unit, uint32_t width);
    // Whether it goes on with the first units of the next pass behind the last ones, as it does unless a benchmark asks what
    // that is worth.
    void set_wraps(bool wraps) { wraps_ = wraps; }

  private:
    struct Slot {
        ggml_backend_buffer_ptr buffer;
        ggml_tensor bytes{};  // (slot_bytes) I8: the whole slot as a tensor, to copy into
        ggml_backend_event_ptr ready;  // the upload has ended
        ggml_backend_event_ptr done;   // the last computation has ended
        const HostWeights* weights = nullptr;
        const HostUnit* unit = nullptr;  // null: empty
        bool used = false;               // by a computation since its upload
        ggml_backend_t user = nullptr;   // the queue whose computation `done` stands for; null: none yet
        uint64_t ticket = 0;             // of its last upload
        uint64_t turn = 0;               // of the last upload or use: the smallest is the first to be replaced
    };

    // As many as the card grants, until there are `count`.
    void add_slots(uint32_t count);
    bool add_slot(size_t bytes);
    Slot* find(const HostUnit& unit);
    Slot* oldest(const std::vector<const HostUnit*>& needed);
    void upload(Slot& slot, const HostWeights& weights, const HostUnit& unit);

    ggml_backend_dev_t card_;
    std::optional<Uploader> uploader_;  // none: uploads are synchronous
    size_t slot_bytes_ = 0;
    std::vector<std::unique_ptr<Slot>> slots_;
    // Read by any thread while passes run, and so without the lock.
    std::atomic<uint64_t> bytes_{0};
    std::atomic<uint64_t> hits_{0};
    std::atomic<uint64_t> misses_{0};
    std::atomic<uint64_t> discarded_{0};
    std::atomic<double> waited_{0};
    uint64_t turn_ = 0;
    bool wraps_ = true;
};

}  // namespace nmos
