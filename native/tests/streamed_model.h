// The small model on a streaming device, with some of its units in RAM, straight over llama.cpp.
#pragma once

#include <llama.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "device/host_weights.h"
#include "device/streaming_device.h"

namespace nmos::testing {

struct Streaming {
    HostMemory memory = HostMemory::Mapped;
    uint32_t slots = 2;
    std::map<UnitId, uint32_t> stream_from_width;  // of the units in RAM; the others are resident
    std::map<uint32_t, NetworkCut> networks;       // by layer; those that are cut up
};

class StreamedModel {
  public:
    StreamedModel(StreamingDevice& device, const Streaming& streaming);
    ~StreamedModel();

    // Computes the tokens behind those computed before; the logits of the last one. Empty when cancelled, which leaves
    // what was computed before.
    std::vector<float> compute(const std::vector<llama_token>& tokens);
    // Cancels the pass that is asked so often whether it is cancelled; 0: none.
    void cancel_after(int asked) { cancel_after_ = asked; }
    // Called when a pass asks whether it is cancelled, as it does between two units.
    void between_units(std::function<void()> call) { between_units_ = std::move(call); }
    void clear();

    HostWeights& weights() const { return *weights_; }

  private:
    static bool is_cancelled(void* self);

    StreamingDevice& device_;
    std::unique_ptr<HostWeights> weights_;
    std::unique_ptr<llama_model, decltype(&llama_model_free)> model_;
    std::unique_ptr<llama_context, decltype(&llama_free)> context_;
    int cancel_after_ = 0;
    std::function<void()> between_units_;
    llama_pos length_ = 0;
};

}  // namespace nmos::testing
