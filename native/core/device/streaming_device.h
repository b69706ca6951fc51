// A ggml device, "NMOS0", "NMOS1", …, that wraps another one and computes also with weights that are in RAM.
//
// Activations, the KV cache and resident weights are ordinary buffers of the wrapped device, the card. Weights in a
// HostWeights buffer are uploaded, unit by unit, while the card computes with the unit before: the graph is cut where the
// unit changes, and for the time of the call the weights point into an upload slot. Passes that are narrower than a unit's
// `stream_from_width` are declined by `supports_op`, so that ggml's scheduler gives them to the processor.
//
// Made once for a card and never destroyed, as ggml never forgets a device. Any thread may call; passes take turns.
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "device/host_weights.h"
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

    // Makes slots for the units of these weights, shared with those of other models. Fewer than `count` when the card
    // refuses memory; false when it has no room for one.
    bool reserve_slots(const HostWeights& weights, uint32_t count);
    // The weights are about to be freed. The slots go with the last ones.
    void forget(const HostWeights& weights);
    // Does not wait for a pass.
    UploadCounters counters() const;

  private:
    struct Ggml;
    struct Backend;
    struct Results;

    StreamingDevice(ggml_backend_dev_t card, std::string name);

    ggml_backend_dev_t card_;
    std::string name_;
    std::string description_;
    mutable std::mutex mutex_;
    UploadRing ring_;                       // guarded by mutex_
    std::set<const HostWeights*> users_;    // guarded by mutex_
    std::unique_ptr<Ggml> ggml_;
};

}  // namespace nmos
