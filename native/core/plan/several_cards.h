// Places a model that no card holds as a whole over several of them: each one has consecutive layers, and inside them
// unit_plan decides what is resident, uploaded or left to the processor. Pure: no I/O, no clock, no library calls.
//
// Where one card's layers end and the next one's begin is searched for, and so is their order, by the predicted time of a
// typical request. Layers that find no room on any card are the first ones, which the processor computes, as llama.cpp's
// n_gpu_layers has it; the last card also has the output head. A card that makes nothing faster has no part in it, also the
// one with the most memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plan/unit_plan.h"

namespace nmos {

struct CardBudget {
    std::string device;  // ggml's name
    DeviceProfile profile;
    uint64_t bytes = 0;  // of graphics memory, for all that the model has there
};

// What one of the cards has of the model.
struct CardLayers {
    size_t card = 0;           // which of those that were given
    uint32_t first = 0;        // layer
    uint32_t count = 0;        // layers whose attention and KV cache are there
    uint32_t slots = 0;        // for uploads
    uint64_t slot_bytes = 0;   // of one
    uint64_t vram_bytes = 0;   // of all
};

struct SeveralCardsPlan {
    UnitPlan units;                 // a layer's `card` is an index into `cards`, which have the slots, too
    std::vector<CardLayers> cards;  // in the order of their layers
};

// Over those of the cards that help; it may be one. `alone` is the plan for the first of them, whose predictions are compared
// with; `request.vram_bytes` is not looked at. None when nothing is faster than that.
std::optional<SeveralCardsPlan> plan_several_cards(const ModelProfile& model, std::span<const CardBudget> cards, const PlanRequest& request, const UnitPlan& alone);

// Seconds of a pass over several cards, in the order of their layers, with what it takes to go from one to the next.
double predict_pass_over(const ModelProfile& model, std::span<const CardBudget> cards, const SeveralCardsPlan& plan, uint32_t width);

}  // namespace nmos
