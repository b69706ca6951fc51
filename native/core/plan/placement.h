// Decides which layers of a model graphics cards hold and which the processor computes from RAM.
//
// Pure: no I/O, no clock, no library calls. The card on which the model may use the most memory has it alone when it fits there.
// Of a card whose speed is known, a model that does not fit is placed unit by unit (unit_plan.h), and over further cards
// whose speed is known where that is faster (several_cards.h). Of another one the split is static: whole layers, the last
// ones on the card together with the output head, as llama.cpp's n_gpu_layers places them. Integrated graphics are used
// only where there is no card. Where no type of KV cache is asked for, kv_choice.h decides; why there is no more on a card is told
// by shortfall.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/device_profile.h"
#include "plan/model_profile.h"
#include "plan/shortfall.h"
#include "plan/unit_plan.h"

namespace nmos {

// The driver, the desktop and other programs take VRAM too, and an overcommitted card turns ten times slower on
// Windows without any error, so this much stays free.
constexpr uint64_t vram_margin = 384ull << 20;  // bytes

struct CardMemory {
    std::string device;        // ggml's name
    std::string description;   // for people
    uint64_t free = 0;         // bytes
    bool integrated = false;   // its memory is RAM
    std::optional<DeviceProfile> profile{};  // where it was measured
    uint64_t used = 0;         // bytes that other models of this process have there, for the limit
    uint64_t most = UINT64_MAX;  // bytes that the model may have there: more was refused, or moved to RAM
    bool reads_quantised_kv = true;  // computes attention over a KV cache in Q8_0 by itself
};

struct PlacementRequest {
    uint32_t context_length = 0;  // tokens, at least 1
    uint32_t batch_size = 0;      // tokens of the widest pass
    bool use_gpu = true;
    uint64_t vram_limit = 0;      // bytes that all models may use of each card; 0: free memory less a margin
    uint64_t vram_reserved = 0;   // bytes kept for another model, on the card with the most memory that models may use
    std::optional<KvType> kv_type = KvType::F16;  // none: what serves best
    bool exact_passes = false;    // what a pass computes shall not depend on how many tokens it takes
    std::vector<CardMemory> cards;
    uint64_t ram_total = 0;       // bytes
    uint64_t ram_available = 0;   // bytes, page cache included
};

// What of a model is on one card: consecutive layers, the output head with the last of them all.
struct PlacedCard {
    std::string device;
    uint32_t first_layer = 0;
    uint32_t layers = 0;      // whose attention and KV cache are there
    uint64_t bytes = 0;       // weights, KV cache, compute buffers and upload slots
    uint64_t kv_bytes = 0;    // of them
    uint32_t slots = 0;       // for uploads
    uint64_t slot_bytes = 0;  // of one
    DeviceProfile profile{};  // what the predictions are made from, where there are upload slots

    bool has(size_t layer) const { return layer >= first_layer && layer - first_layer < layers; }
};

struct Placement {
    std::string device = "CPU";  // the card with the most of `device_layers`, else the processor
    uint32_t layers = 0;
    uint32_t device_layers = 0;
    bool output_on_device = false;
    std::vector<PlacedCard> cards;  // in the order of their layers; none where the processor has all
    std::optional<UnitPlan> units;  // where the layers are cut up
    bool exact_passes = false;         // asked for, and possible here
    bool networks_can_leave = false;   // on cards that hold all: their home is the mapped file, too, so that VRAM can be given back
    bool copies_host_weights = false;  // units in RAM are copied into memory that the card reads, not mapped
    uint64_t host_bytes = 0;     // weights in RAM
    uint64_t device_bytes = 0;   // weights, KV cache and compute buffers in VRAM, of all cards
    uint64_t kv_bytes = 0;       // KV cache, wherever it lies
    KvType kv_type = KvType::F16;
    uint32_t context_length = 0;
    std::optional<Shortfall> shortfall;    // none where cards hold all of the model, and without a card
    std::vector<std::string> explanation;  // a sentence each
    std::vector<PassPrediction> predictions;  // widths ascending; empty where speeds are not known
};

// Throws OUT_OF_MEMORY when the machine cannot hold the model even without a card.
Placement plan_placement(const ModelProfile& model, const PlacementRequest& request);

// The cards whose speed is not known and without which that is the placement, though they have room for a part of the model: of
// a layer's attention, at least. None where cards hold all of it.
std::vector<std::string> cards_to_measure(const ModelProfile& model, const PlacementRequest& request, const Placement& placement);

// Of all of its cards, for people.
std::string card_names(const Placement& placement);

// Bytes of the buffers that hold activations during a pass of `batch_size` tokens; an estimate from above.
uint64_t compute_buffer_bytes(const ModelProfile& model, uint32_t context_length, uint32_t batch_size);

// Bytes that the buffers on the card hold, too, where ggml copies layers in RAM there for wide passes: one weight, or the KV cache of
// one layer, at a time.
uint64_t offload_bytes(const ModelProfile& model, uint32_t context_length, uint32_t layers_below);

// Of the card's memory for the results of a network's shares, before they are added up.
uint64_t share_result_bytes(const ModelProfile& model, uint32_t batch_size);

}  // namespace nmos
