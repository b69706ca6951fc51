#include "plan/unit_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "plan/pass_time.h"
#include "plan/placement.h"

namespace nmos {

namespace {

constexpr uint32_t most_slots = 4;

// A typical request, in tokens.
constexpr uint32_t prompt_tokens = 512;
constexpr uint32_t answer_tokens = 128;

// Spreads `count` of them evenly over the places that are still `free`.
template <typename Take> void spread(const std::vector<size_t>& free, size_t count, Take take) {
    for (size_t i = 0; i < count; ++i) take(free[(2 * i + 1) * free.size() / (2 * count)]);
}

class Search {
  public:
    Search(const ModelProfile& model, const DeviceProfile& device, const PlanRequest& request) : model_(model), device_(device), request_(request) {}

    UnitPlan best() {
        std::optional<UnitPlan> best;
        std::optional<UnitPlan> best_static;
        for (uint32_t on_card = model_.layers + 1; on_card-- > 0;) {
            if (const auto plan = static_split(on_card)) keep_faster(best_static, *plan);
            for (const uint32_t slots : {0u, 2u, 3u, most_slots}) {
                for (const auto& plan : plans(on_card, slots)) keep_faster(best, plan);
            }
            // Fewer layers on the card leave room for nothing that would make up for them once all networks fit.
            if (best && best->resident_networks() == on_card && on_card > 0) break;
        }
        if (!best || (best_static && best_static->request_seconds < best->request_seconds)) best = best_static;
        UnitPlan plan = std::move(*best);
        choose_streaming_width(plan);
        for (const uint32_t width : predicted_widths(request_.widest_pass)) plan.predictions.push_back({width, predict_pass(model_, device_, plan, width)});
        plan.static_split_request_seconds = best_static->request_seconds;
        return plan;
    }

  private:
    uint64_t network_bytes(size_t layer) const { return model_.feed_forward_bytes[layer]; }
    uint64_t kv_bytes(size_t layer) const { return model_.kv_bytes_per_token[layer] * request_.context_length; }

    void keep_faster(std::optional<UnitPlan>& best, UnitPlan plan) const {
        const uint32_t width = std::min(prompt_tokens, std::max(1u, request_.widest_pass));
        double prompt = predict_pass(model_, device_, plan, width);
        if (plan.slots > 0) prompt = std::min(prompt, predict_pass(model_, device_, streaming_from(plan, width), width));
        plan.request_seconds = prompt * prompt_tokens / width + predict_pass(model_, device_, plan, 1) * answer_tokens;
        if (!best || plan.request_seconds < best->request_seconds) best = std::move(plan);
    }

    static UnitPlan streaming_from(UnitPlan plan, uint32_t width) {
        for (LayerPlan& layer : plan.layers) {
            if (layer.on_card && !layer.feed_forward_resident) layer.stream_from_width = std::min(layer.stream_from_width, width);
        }
        return plan;
    }

    // With the attention of the last `on_card` layers and the output head on the card; none when that does not fit.
    std::optional<UnitPlan> bare(uint32_t on_card) const {
        UnitPlan plan;
        plan.layers.resize(model_.layers);
        if (on_card == 0) return plan;
        plan.output_on_card = true;
        plan.vram_bytes = model_.output_bytes + compute_buffer_bytes(model_, request_.context_length, request_.widest_pass);
        for (size_t layer = model_.layers - on_card; layer < model_.layers; ++layer) {
            plan.layers[layer].on_card = true;
            plan.vram_bytes += model_.layer_bytes[layer] - network_bytes(layer) - model_.expert_bytes[layer] + kv_bytes(layer);
        }
        return plan.vram_bytes <= request_.vram_bytes ? std::optional(plan) : std::nullopt;
    }

    // Whole layers, as llama.cpp places them.
    std::optional<UnitPlan> static_split(uint32_t on_card) const {
        std::optional<UnitPlan> plan = bare(on_card);
        if (!plan) return std::nullopt;
        for (size_t layer = model_.layers - on_card; layer < model_.layers; ++layer) {
            plan->layers[layer].feed_forward_resident = true;
            plan->vram_bytes += network_bytes(layer) + model_.expert_bytes[layer];
        }
        return plan->vram_bytes <= request_.vram_bytes ? plan : std::nullopt;
    }

    // As many resident networks as fit beside the slots, and every number of streamed ones.
    std::vector<UnitPlan> plans(uint32_t on_card, uint32_t slots) const {
        std::optional<UnitPlan> start = bare(on_card);
        if (!start || on_card == 0) return {};
        std::vector<size_t> networks;
        for (size_t layer = model_.layers - on_card; layer < model_.layers; ++layer) {
            if (network_bytes(layer) > 0) networks.push_back(layer);
        }
        for (const size_t layer : networks) start->slot_bytes = std::max(start->slot_bytes, network_bytes(layer));
        start->slots = slots;
        if (slots == 0) start->slot_bytes = 0;
        start->vram_bytes += slots * start->slot_bytes;
        if (start->vram_bytes > request_.vram_bytes) return {};

        size_t resident = 0;
        uint64_t left = request_.vram_bytes - start->vram_bytes;
        // Networks differ a little in size: counted with the largest, so that any of them may be the resident ones.
        uint64_t largest = 0;
        for (const size_t layer : networks) largest = std::max(largest, network_bytes(layer));
        if (largest > 0) resident = std::min<size_t>(networks.size(), left / largest);
        spread(networks, resident, [&](size_t layer) {
            start->layers[layer].feed_forward_resident = true;
            start->vram_bytes += network_bytes(layer);
        });
        std::vector<size_t> in_ram;
        for (const size_t layer : networks) {
            if (!start->layers[layer].feed_forward_resident) in_ram.push_back(layer);
        }
        if (in_ram.empty() && slots > 0) return {};
        std::vector<UnitPlan> plans;
        for (size_t streamed = 0; streamed <= (slots > 0 ? in_ram.size() : 0); ++streamed) {
            UnitPlan plan = *start;
            spread(in_ram, streamed, [&](size_t layer) { plan.layers[layer].stream_from_width = 1; });
            plans.push_back(std::move(plan));
        }
        return plans;
    }

    // Networks that the processor computes for one token are uploaded from the first width on at which that is faster.
    void choose_streaming_width(UnitPlan& plan) const {
        if (plan.slots == 0) return;
        for (const uint32_t width : predicted_widths(request_.widest_pass)) {
            if (width == 1) continue;
            UnitPlan streaming = streaming_from(plan, width);
            if (predict_pass(model_, device_, streaming, width) >= predict_pass(model_, device_, plan, width)) continue;
            plan = std::move(streaming);
            return;
        }
    }

    const ModelProfile& model_;
    const DeviceProfile& device_;
    const PlanRequest& request_;
};

std::string sentence(const char* format, double first, double second = 0) {
    char text[160];
    std::snprintf(text, sizeof text, format, first, second);
    return text;
}

void explain(const ModelProfile& model, UnitPlan& plan) {
    const double mib = 1 << 20;
    if (plan.layers_on_card() == 0) {
        plan.explanation.push_back("The card has no room for a layer beside the output head and the compute buffers, so the processor computes all.");
        return;
    }
    plan.explanation.push_back(sentence("The attention of %.0f of %.0f layers and the output head are on the card.", plan.layers_on_card(), model.layers));
    plan.explanation.push_back(sentence("%.0f feed-forward networks stay there, too; in all %.0f MiB of graphics memory are used.",
                                        plan.resident_networks(), static_cast<double>(plan.vram_bytes) / mib));
    if (plan.slots == 0) return;
    plan.explanation.push_back(sentence("Through %.0f upload slots, %.0f networks are brought from RAM in every pass; the processor computes the others.",
                                        plan.slots, plan.streamed_networks()));
    uint32_t from = never_streamed;
    for (const LayerPlan& layer : plan.layers) {
        if (layer.stream_from_width > 1) from = std::min(from, layer.stream_from_width);
    }
    if (from != never_streamed) plan.explanation.push_back(sentence("Passes of %.0f tokens and more upload all of them.", from));
}

}  // namespace

uint32_t UnitPlan::layers_on_card() const {
    return static_cast<uint32_t>(std::ranges::count_if(layers, &LayerPlan::on_card));
}

uint32_t UnitPlan::resident_networks() const {
    return static_cast<uint32_t>(std::ranges::count_if(layers, &LayerPlan::feed_forward_resident));
}

uint32_t UnitPlan::streamed_networks() const {
    return static_cast<uint32_t>(std::ranges::count_if(layers, [](const LayerPlan& layer) { return layer.stream_from_width == 1; }));
}

std::vector<uint32_t> predicted_widths(uint32_t widest_pass) {
    std::vector<uint32_t> widths{1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
    std::erase_if(widths, [&](uint32_t width) { return width > std::max(1u, widest_pass); });
    return widths;
}

double predict_pass(const ModelProfile& model, const DeviceProfile& device, const UnitPlan& plan, uint32_t width) {
    std::vector<PlacedUnit> units;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const LayerPlan& layer = plan.layers[i];
        const uint64_t network = model.feed_forward_bytes[i];
        const uint64_t attention = model.layer_bytes[i] - network - model.expert_bytes[i];
        units.push_back({attention, layer.on_card ? Place::Card : Place::Processor});
        if (network > 0) {
            const bool streamed = layer.on_card && !layer.feed_forward_resident && width >= layer.stream_from_width;
            units.push_back({network, layer.feed_forward_resident ? Place::Card : streamed ? Place::Streamed : Place::Processor});
        }
        if (model.expert_bytes[i] > 0) {
            // A token reads its own experts; many tokens read them all.
            const double share = std::min(1.0, static_cast<double>(width) * model.experts_used / std::max(1u, model.experts));
            const auto read = static_cast<uint64_t>(share * static_cast<double>(model.expert_bytes[i]));
            units.push_back({read, layer.feed_forward_resident ? Place::Card : Place::Processor});
        }
    }
    // A draft is verified at every token; of a prompt, only the last one is wanted.
    constexpr uint32_t longest_draft = 32;
    units.push_back({model.output_bytes, plan.output_on_card ? Place::Card : Place::Processor, width > longest_draft ? 1 : width});
    return pass_seconds(units, width, plan.slots, device);
}

UnitPlan plan_units(const ModelProfile& model, const DeviceProfile& device, const PlanRequest& request) {
    UnitPlan plan = Search(model, device, request).best();
    explain(model, plan);
    return plan;
}

}  // namespace nmos
