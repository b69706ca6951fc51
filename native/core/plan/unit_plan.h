// Decides for every unit of a model where its weights live and who computes with them, so that passes are as short as the
// machine allows. Pure: no I/O, no clock, no library calls.
//
// Attention stays on the card together with the KV cache, for the last layers first. Layers for which there is no room are computed by
// the processor, in wide passes by the card: through its upload slots where there are any and the card has the model alone, but for
// mixtures, else with what ggml copies there, one weight after the other, from the width on where the card asks for it. What VRAM is left goes to
// feed-forward networks, or experts, and upload slots. Every network of these layers is cut into a share that stays on the card, one that
// every pass uploads, and a rest, which the processor computes at the same time and wide passes upload, too, from the width
// on where that is faster. Networks that cannot be cut are one of the three. Of a mixture, some experts stay on the card and the
// rest is computed by the processor, if a token chooses them, or uploaded by wide passes; mixtures whose weights are not the
// usual three are one of the three as a whole. Of all these plans, the one is best with which
// a typical request, a prompt and its answer, is predicted to take the least time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "device/weight_unit.h"
#include "plan/device_profile.h"
#include "plan/model_profile.h"
#include "plan/pass_time.h"

namespace nmos {

struct PlanRequest {
    uint32_t context_length = 0;  // tokens
    uint32_t widest_pass = 0;     // tokens
    uint64_t vram_bytes = 0;      // for weights, KV cache, compute buffers and upload slots
    bool all_or_none = false;     // the attention of every layer is on the card, or of no layer
    uint64_t offload_bytes = 0;   // of `vram_bytes`, kept for what is copied of layers that are no part of the model here
};

struct LayerPlan {
    bool on_card = false;  // attention and KV cache
    NetworkCut network;    // below the card nothing is resident or streamed: the processor computes all of the layer in narrow passes
    uint32_t card = 0;     // which one, where there are several (several_cards.h)
    uint32_t stream_from_width = never_streamed;  // below the card: passes at least so wide upload the weights of all the layer
};

struct PassPrediction {
    uint32_t width = 0;
    double seconds = 0;
};

struct UnitPlan {
    std::vector<LayerPlan> layers;
    bool output_on_card = false;
    uint32_t slots = 0;
    uint64_t slot_bytes = 0;
    uint64_t vram_bytes = 0;                   // all of what is on the card
    std::vector<PassPrediction> predictions;   // widths ascending
    double request_seconds = 0;                // of a typical request
    double static_split_request_seconds = 0;   // of one when whole layers are on the card or not, at best
    std::vector<std::string> explanation;      // a sentence each

    uint32_t layers_on_card() const;
    // Whether anything is uploaded or computed in shares, so that it is no placement by whole layers.
    bool is_divided() const;
    // Of all networks of the layers on the card.
    NetworkCut networks_on_card() const;
};

// The widths that a plan predicts.
std::vector<uint32_t> predicted_widths(uint32_t widest_pass);

// Between the widths of the predictions, of which there is one at least, linear.
double predicted_seconds(std::span<const PassPrediction> predictions, uint32_t width);

// Seconds of a typical request, a prompt and its answer, when a pass of so many tokens takes `seconds_of`.
double typical_request_seconds(uint32_t widest_pass, const std::function<double(uint32_t)>& seconds_of);

UnitPlan plan_units(const ModelProfile& model, const DeviceProfile& device, const PlanRequest& request);

// The plan of a placement by whole layers: the last `on_card` of them and the output head are on the card, or nothing is.
UnitPlan whole_layers(const ModelProfile& model, uint32_t on_card);

// Bytes of the layer's feed-forward network that stay on the card.
uint64_t resident_bytes(const ModelProfile& model, const UnitPlan& plan, size_t layer);

// Seconds of a pass over the plan's units, on the card or over several ones, without what it takes to go from one to the next.
double predict_pass(const ModelProfile& model, const DeviceProfile& device, const UnitPlan& plan, uint32_t width);
double predict_pass(const ModelProfile& model, std::span<const PassCard> cards, const UnitPlan& plan, uint32_t width);

}  // namespace nmos
