#include "plan/unit_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "plan/placement.h"

namespace nmos {

namespace {

// A typical request, in tokens.
constexpr uint32_t prompt_tokens = 512;
constexpr uint32_t answer_tokens = 128;

// Tokens.
constexpr uint32_t longest_draft = 32;

// Of a layer's attention and of a share of its network, on a card: the usual numbers of llama.cpp's graphs. Those behind one
// another are begun together, so they count for what they cost beside their bytes.
constexpr uint32_t attention_operations = 20;
constexpr uint32_t share_operations = 4;

// Of a layer in RAM that the card computes: ggml's copies of weights, large ones and small ones, and of the KV cache, and the
// small ones alone.
constexpr uint32_t attention_copies = 10;
constexpr uint32_t network_copies = 4;
constexpr uint32_t small_copies = 6;

// Of a mixture: choosing experts and weighing them, and putting the rows of card and processor into their order. Besides, the
// results of a token's experts are added up one by one.
constexpr uint32_t router_operations = 8;
constexpr uint32_t order_operations = 2;

// Of a mixture that is computed by both: of the numbers of the experts, there and back.
constexpr uint32_t number_copies = 2;

// What the i-th of `count` gets when `total` are dealt out as evenly as may be.
uint32_t dealt(uint64_t total, size_t i, size_t count) {
    return static_cast<uint32_t>(total * (i + 1) / count - total * i / count);
}

// Of some pieces of a layer's network.
uint64_t bytes_of(const ModelProfile& model, const UnitPlan& plan, size_t layer, uint32_t pieces) {
    return pieces > 0 ? model.network_bytes[layer] * pieces / plan.layers[layer].network.pieces : 0;
}

class Search {
  public:
    Search(const ModelProfile& model, const DeviceProfile& device, const PlanRequest& request) : model_(model), device_(device), request_(request) {}

    UnitPlan best() {
        for (uint32_t on_card = model_.layers + 1; on_card-- > 0;) {
            if (request_.all_or_none && on_card > 0 && on_card < model_.layers) continue;
            if (const auto plan = static_split(on_card)) keep_faster(best_static_, *plan);
            const auto start = bare(on_card);
            if (!start) continue;
            for (const uint32_t slots : {0u, 2u, 3u, 4u}) {
                try_shares(*start, slots, Deal::Evenly);
                if (has_mixtures()) try_shares(*start, slots, Deal::LayerByLayer);
            }
        }
        const bool is_static = !best_ || best_static_->request_seconds < best_->request_seconds;
        UnitPlan plan = is_static ? *best_static_ : *best_;
        if (plan.slots > 0) plan = divide_rest(plan);
        for (const uint32_t width : predicted_widths(request_.widest_pass)) plan.predictions.push_back({width, predict_pass(model_, device_, plan, width)});
        plan.static_split_request_seconds = best_static_->request_seconds;
        return plan;
    }

  private:
    // Where experts go that VRAM has room for: to all layers, so that card and processor always compute at the same time, or to
    // the last ones, which the processor has nothing to do with then.
    enum class Deal : uint8_t { Evenly, LayerByLayer };

    // Experts that are placed one by one are never all brought to the card for a single token.
    bool is_divided_mixture(size_t layer) const { return model_.is_mixture[layer] && model_.network_pieces[layer] > 1; }
    bool has_mixtures() const {
        for (size_t layer = 0; layer < model_.layers; ++layer) {
            if (is_divided_mixture(layer)) return true;
        }
        return false;
    }

    uint64_t kv_bytes(size_t layer) const { return model_.kv_bytes_per_token[layer] * request_.context_length; }

    // Whether it is faster than `best`, and so kept there.
    bool keep_faster(std::optional<UnitPlan>& best, UnitPlan plan) const {
        plan.request_seconds = typical_request_seconds(request_.widest_pass, [&](uint32_t width) {
            const double seconds = predict_pass(model_, device_, plan, width);
            const bool streams_more = width > 1 && plan.slots > 0;
            return streams_more ? std::min(seconds, predict_pass(model_, device_, streaming_from(plan, width), width)) : seconds;
        });
        if (best && plan.request_seconds >= best->request_seconds) return false;
        best = std::move(plan);
        return true;
    }

    static UnitPlan streaming_from(UnitPlan plan, uint32_t width) {
        for (LayerPlan& layer : plan.layers) {
            if (layer.on_card && layer.network.rest() > 0) layer.network.stream_rest_from_width = width;
        }
        return plan;
    }

    // With the attention of the last `on_card` layers and the output head on the card; none when that does not fit.
    std::optional<UnitPlan> bare(uint32_t on_card) const {
        UnitPlan plan;
        plan.layers.resize(model_.layers);
        for (size_t layer = 0; layer < model_.layers; ++layer) plan.layers[layer].network.pieces = model_.network_pieces[layer];
        if (on_card == 0) return plan;
        plan.output_on_card = true;
        plan.vram_bytes = model_.output_bytes + compute_buffer_bytes(model_, request_.context_length, request_.widest_pass) + request_.offload_bytes;
        if (device_.offload_from_width != never_streamed) plan.vram_bytes += offload_bytes(model_, request_.context_length, model_.layers - on_card);
        for (size_t layer = model_.layers - on_card; layer < model_.layers; ++layer) {
            plan.layers[layer].on_card = true;
            plan.vram_bytes += model_.layer_bytes[layer] - model_.network_bytes[layer] + kv_bytes(layer);
        }
        return plan.vram_bytes <= request_.vram_bytes ? std::optional(plan) : std::nullopt;
    }

    // Whole layers, as llama.cpp places them.
    std::optional<UnitPlan> static_split(uint32_t on_card) const {
        std::optional<UnitPlan> plan = bare(on_card);
        if (!plan) return std::nullopt;
        for (size_t layer = model_.layers - on_card; layer < model_.layers; ++layer) {
            plan->layers[layer].network.resident = plan->layers[layer].network.pieces;
            plan->vram_bytes += model_.network_bytes[layer];
        }
        return plan->vram_bytes <= request_.vram_bytes ? plan : std::nullopt;
    }

    // Divisions of the networks: first some from "nothing is streamed" to "all is" with as much resident as fits, then from
    // the best of them on with ever smaller steps to one that no step makes faster.
    void try_shares(const UnitPlan& start, uint32_t slots, Deal deal) {
        const uint64_t pieces = start.networks_on_card().pieces;
        std::optional<UnitPlan> best;
        uint64_t streamed = 0;
        uint64_t resident = 0;
        const auto attempt = [&](uint64_t upload, uint64_t keep) {
            // Also when it is below 0 and so beyond all numbers.
            if (upload > (slots > 0 ? pieces : 0) || keep > pieces) return false;
            UnitPlan plan = divided(start, slots, upload, keep, deal);
            if (plan.vram_bytes > request_.vram_bytes || !keep_faster(best, std::move(plan))) return false;
            streamed = upload;
            resident = keep;
            return true;
        };
        constexpr uint64_t parts = 16;
        uint64_t step = std::max<uint64_t>(1, pieces / parts);
        for (uint64_t upload = 0; upload <= pieces; upload += step) attempt(upload, most_resident(start, slots, upload, deal));
        for (; best && step > 0; step /= 2) {
            while (attempt(streamed + step, resident) || attempt(streamed - step, resident) || attempt(streamed, resident + step) ||
                   attempt(streamed, resident - step) || attempt(streamed + step, resident - step) || attempt(streamed - step, resident + step)) {
            }
        }
        if (best) keep_faster(best_, std::move(*best));
    }

    uint64_t most_resident(const UnitPlan& start, uint32_t slots, uint64_t streamed, Deal deal) const {
        uint64_t fits = 0;
        uint64_t beyond = uint64_t{start.networks_on_card().pieces} + 1;
        while (fits + 1 < beyond) {
            const uint64_t middle = (fits + beyond) / 2;
            (divided(start, slots, streamed, middle, deal).vram_bytes <= request_.vram_bytes ? fits : beyond) = middle;
        }
        return fits;
    }

    UnitPlan divided(const UnitPlan& start, uint32_t slots, uint64_t streamed, uint64_t resident, Deal deal) const {
        UnitPlan plan = start;
        plan.slots = slots;
        size_t count = 0;
        for (const LayerPlan& layer : plan.layers) count += layer.on_card && layer.network.pieces > 0;
        size_t i = 0;
        uint64_t below = start.networks_on_card().pieces;  // this layer's and those of the layers behind it
        uint64_t others = 0;  // streamed pieces that are still to be placed where resident ones leave room
        for (size_t layer = 0; layer < plan.layers.size(); ++layer) {
            NetworkCut& network = plan.layers[layer].network;
            if (!plan.layers[layer].on_card || network.pieces == 0) continue;
            network.resident = std::min(network.pieces, dealt(resident, i, count));
            below -= network.pieces;
            if (deal == Deal::LayerByLayer) network.resident = static_cast<uint32_t>(std::min<uint64_t>(network.pieces, resident - std::min(resident, below)));
            others += dealt(streamed, i, count);
            network.streamed = is_divided_mixture(layer) ? 0 : static_cast<uint32_t>(std::min<uint64_t>(network.in_ram(), others));
            others -= network.streamed;
            ++i;
            plan.vram_bytes += resident_bytes(model_, plan, layer);
            if (slots > 0) plan.slot_bytes = std::max(plan.slot_bytes, bytes_of(model_, plan, layer, std::max(network.streamed, network.rest())));
        }
        if (slots > 0) stream_below(plan);
        plan.vram_bytes += slots * plan.slot_bytes;
        if (plan.networks_on_card().in_ram() > 0) plan.vram_bytes += share_result_bytes(model_, request_.widest_pass);
        return plan;
    }

    // Lets wide passes upload the layers below the card through the slots instead of having them copied by ggml, but for mixtures, of
    // which ggml copies only the experts that are chosen.
    void stream_below(UnitPlan& plan) const {
        if (plan.layers_on_card() == 0 || device_.offload_from_width == never_streamed) return;
        for (size_t layer = 0; layer < plan.layers.size() && !plan.layers[layer].on_card; ++layer) {
            if (model_.is_mixture[layer]) continue;
            plan.layers[layer].stream_from_width = device_.offload_from_width;
            plan.slot_bytes = std::max({plan.slot_bytes, model_.network_bytes[layer], model_.layer_bytes[layer] - model_.network_bytes[layer]});
        }
    }

    // Divides what the processor computes for one token into an earlier and a later share, and chooses for each the width
    // from which on it is uploaded, so that passes as wide as drafts are take the least time.
    UnitPlan divide_rest(const UnitPlan& undivided) const {
        constexpr uint32_t parts = 8;
        // Those of drafts in steps of a quarter: between a width that uploads and one that does not, passes get ever dearer.
        std::vector<uint32_t> widths;
        for (uint32_t width = 2; width <= std::min(longest_draft, request_.widest_pass); width += std::max(1u, width / 4)) widths.push_back(width);
        for (const uint32_t width : predicted_widths(request_.widest_pass)) {
            if (width >= longest_draft) widths.push_back(width);
        }
        UnitPlan best;
        double least = 0;
        for (uint32_t part = 0; part < parts; ++part) {
            UnitPlan plan = undivided;
            for (LayerPlan& layer : plan.layers) {
                if (layer.on_card && !is_divided_mixture(static_cast<size_t>(&layer - plan.layers.data()))) layer.network.early = layer.network.rest() * part / parts;
            }
            double sum = 0;
            for (const uint32_t width : widths) {
                const double seconds = choose_uploads(plan, width);
                if (width <= longest_draft) sum += seconds / predict_pass(model_, device_, undivided, width);
            }
            if (part > 0 && sum >= least) continue;
            least = sum;
            best = std::move(plan);
        }
        return best;
    }

    // Lets passes from `width` on upload more than narrower ones do where that is faster. Returns their seconds.
    double choose_uploads(UnitPlan& plan, uint32_t width) const {
        double least = predict_pass(model_, device_, plan, width);
        for (const bool all : {false, true}) {
            UnitPlan more = plan;
            for (LayerPlan& layer : more.layers) {
                if (!layer.on_card) continue;
                NetworkCut& network = layer.network;
                if (network.early > 0) network.stream_early_from_width = std::min(network.stream_early_from_width, width);
                if (all && network.rest() > 0) network.stream_rest_from_width = std::min(network.stream_rest_from_width, width);
            }
            const double seconds = predict_pass(model_, device_, more, width);
            if (seconds >= least) continue;
            least = seconds;
            plan = std::move(more);
        }
        return least;
    }

    const ModelProfile& model_;
    const DeviceProfile& device_;
    const PlanRequest& request_;
    std::optional<UnitPlan> best_;
    std::optional<UnitPlan> best_static_;
};

std::string sentence(const char* format, double first, double second = 0) {
    char text[160];
    std::snprintf(text, sizeof text, format, first, second);
    return text;
}

void explain(const ModelProfile& model, const DeviceProfile& device, UnitPlan& plan) {
    const double mib = 1 << 20;
    if (plan.layers_on_card() == 0) {
        plan.explanation.push_back("The card has no room for a layer beside the output head and the compute buffers, so the processor computes all.");
        return;
    }
    plan.explanation.push_back(sentence("The attention of %.0f of %.0f layers and the output head are on the card.", plan.layers_on_card(), model.layers));
    if (const uint32_t below = model.layers - plan.layers_on_card(); below > 0) {
        plan.explanation.push_back(below == 1 ? "The processor computes the first layer from RAM." : sentence("The processor computes the first %.0f layers from RAM.", below));
        if (device.offload_from_width != never_streamed) {
            plan.explanation.push_back(sentence("For passes of %.0f tokens and more they are uploaded, and the card computes them, too.", device.offload_from_width));
        }
    }
    const NetworkCut all = plan.networks_on_card();
    const auto percent = [&](uint32_t pieces) { return 100.0 * pieces / std::max(1u, all.pieces); };
    plan.explanation.push_back(sentence("%.0f%% of their feed-forward networks stay there, too; in all %.0f MiB of graphics memory are used.",
                                        percent(all.resident), static_cast<double>(plan.vram_bytes) / mib));
    if (all.streamed > 0) {
        plan.explanation.push_back(sentence("Through %.0f upload slots, %.0f%% of them are brought from RAM in every pass.", plan.slots, percent(all.streamed)));
    }
    const uint32_t beside = all.on_processor(1);
    if (beside > 0) plan.explanation.push_back(sentence("At the same time the processor computes %.0f%% of them from RAM.", percent(beside)));
    for (const auto& [pieces, width] : {std::pair(all.early, all.stream_early_from_width), std::pair(all.rest(), all.stream_rest_from_width)}) {
        if (pieces == 0 || width == never_streamed) continue;
        plan.explanation.push_back(sentence("Passes of %.0f tokens and more upload %.0f%% of them, too.", width, percent(pieces)));
    }
}

}  // namespace

uint32_t UnitPlan::layers_on_card() const {
    return static_cast<uint32_t>(std::ranges::count_if(layers, &LayerPlan::on_card));
}

bool UnitPlan::is_divided() const {
    return networks_on_card().in_ram() > 0 || std::ranges::any_of(layers, [](const LayerPlan& layer) { return layer.stream_from_width != never_streamed; });
}

NetworkCut UnitPlan::networks_on_card() const {
    NetworkCut all;
    for (const LayerPlan& layer : layers) {
        if (!layer.on_card) continue;
        all.pieces += layer.network.pieces;
        all.resident += layer.network.resident;
        all.streamed += layer.network.streamed;
        all.early += layer.network.early;
        all.stream_early_from_width = std::min(all.stream_early_from_width, layer.network.stream_early_from_width);
        all.stream_rest_from_width = std::min(all.stream_rest_from_width, layer.network.stream_rest_from_width);
    }
    return all;
}

uint64_t resident_bytes(const ModelProfile& model, const UnitPlan& plan, size_t layer) {
    return bytes_of(model, plan, layer, plan.layers[layer].network.resident);
}

std::vector<uint32_t> predicted_widths(uint32_t widest_pass) {
    std::vector<uint32_t> widths{1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
    std::erase_if(widths, [&](uint32_t width) { return width > std::max(1u, widest_pass); });
    return widths;
}

double predict_pass(const ModelProfile& model, const DeviceProfile& device, const UnitPlan& plan, uint32_t width) {
    const PassCard card{&device, plan.slots};
    return predict_pass(model, {&card, 1}, plan, width);
}

double predict_pass(const ModelProfile& model, std::span<const PassCard> cards, const UnitPlan& plan, uint32_t width) {
    std::vector<PassStep> steps;
    const uint32_t offload_from_width = plan.layers_on_card() > 0 ? cards.front().profile->offload_from_width : never_streamed;
    for (size_t i = 0; i < plan.layers.size(); ++i) {
        const LayerPlan& layer = plan.layers[i];
        const uint64_t attention = model.layer_bytes[i] - model.network_bytes[i];
        const bool uploaded = width >= layer.stream_from_width;
        const bool copied = !layer.on_card && !uploaded && width >= offload_from_width;
        steps.push_back(layer.on_card ? PassStep{attention, {}, 0, 0, attention_operations} : PassStep{0, {}, attention});
        if (uploaded) steps.back() = {0, {attention}, 0, 0, attention_operations, 0, 1, small_copies};
        if (copied) steps.back() = {0, {}, 0, 0, attention_operations, 0, 1, attention_copies, 0, 0, 0, attention};
        steps.back().where = layer.card;
        if (const NetworkCut& network = layer.network; network.pieces > 0) {
            const auto bytes = [&](uint32_t pieces) { return bytes_of(model, plan, i, pieces); };
            const uint64_t early = width >= network.stream_early_from_width ? bytes(network.early) : 0;
            const uint64_t rest = width >= network.stream_rest_from_width ? bytes(network.rest()) : 0;
            const auto shares = static_cast<uint32_t>((network.resident > 0) + (network.streamed > 0) + (network.early > 0) + (network.rest() > 0));
            PassStep step{bytes(network.resident), {bytes(network.streamed), early, rest}, bytes(network.on_processor(width)), 0,
                          layer.on_card ? shares * share_operations : 0};
            if (uploaded) step = {0, {model.network_bytes[i]}, 0, 0, share_operations};
            if (copied) step = {0, {}, 0, 0, share_operations, 0, 1, network_copies, 0, 0, 0, model.network_bytes[i]};
            // The network's input and its result.
            if (layer.on_card && step.processor > 0) step.exchanged = model.embedding * static_cast<uint32_t>(sizeof(float));
            if (model.is_mixture[i]) {
                const double experts = model.experts_read(width);
                step.read = experts / model.experts;
                step.width = std::max(1.0, width * model.experts_used / experts);
                if (layer.on_card) {
                    const bool divided = network.pieces > 1 && network.in_ram() > 0;
                    step.operations += router_operations + model.experts_used + (divided ? order_operations : 0);
                    step.copies = divided ? number_copies : 0;
                    step.experts = model.experts;
                    step.drawn = static_cast<uint32_t>(std::lround(experts));
                }
            }
            step.where = layer.card;
            steps.push_back(step);
        }
    }
    // A draft is verified at every token; of a prompt, only the last one is wanted.
    const double outputs = width > longest_draft ? 1 : width;
    steps.push_back(plan.output_on_card ? PassStep{model.output_bytes, {}, 0, outputs} : PassStep{0, {}, model.output_bytes, outputs});
    if (!plan.layers.empty()) steps.back().where = plan.layers.back().card;
    return pass_seconds(steps, width, cards);
}

UnitPlan whole_layers(const ModelProfile& model, uint32_t on_card) {
    UnitPlan plan;
    plan.layers.resize(model.layers);
    plan.output_on_card = on_card > 0;
    for (size_t layer = 0; layer < model.layers; ++layer) {
        NetworkCut& network = plan.layers[layer].network;
        network.pieces = model.network_pieces[layer];
        plan.layers[layer].on_card = layer + on_card >= model.layers;
        if (plan.layers[layer].on_card) network.resident = network.pieces;
    }
    return plan;
}

double predicted_seconds(std::span<const PassPrediction> predictions, uint32_t width) {
    std::vector<WidthCurve::Point> points;
    for (const PassPrediction& prediction : predictions) points.push_back({prediction.width, prediction.seconds});
    return WidthCurve(std::move(points)).at(width);
}

double typical_request_seconds(uint32_t widest_pass, const std::function<double(uint32_t)>& seconds_of) {
    const uint32_t width = std::min(prompt_tokens, std::max(1u, widest_pass));
    return seconds_of(width) * prompt_tokens / width + seconds_of(1) * answer_tokens;
}

UnitPlan plan_units(const ModelProfile& model, const DeviceProfile& device, const PlanRequest& request) {
    UnitPlan plan = Search(model, device, request).best();
    explain(model, device, plan);
    return plan;
}

}  // namespace nmos
