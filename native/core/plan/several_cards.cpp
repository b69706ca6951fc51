#include "plan/several_cards.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "plan/placement.h"

namespace nmos {

namespace {

// A further card has to save so much of a typical request, or it is left alone.
constexpr double least_gain = 0.03;

// Of all layers, the distance over which borders are moved first.
constexpr uint32_t first_steps = 8;

// Layers `first` to `end` as a model of their own.
ModelProfile part_of(const ModelProfile& model, uint32_t first, uint32_t end) {
    ModelProfile part = model;
    const auto cut = [&](auto& values) { values = {values.begin() + first, values.begin() + end}; };
    part.layers = end - first;
    cut(part.layer_bytes);
    cut(part.network_bytes);
    cut(part.network_pieces);
    cut(part.is_mixture);
    cut(part.kv_bytes_per_token);
    part.embedding_bytes = 0;
    if (end < model.layers) part.output_bytes = 0;
    return part;
}

// The activations of a pass leave one card for RAM and go from there to the next, one after the other.
double crossing_seconds(const ModelProfile& model, const DeviceProfile& from, const DeviceProfile& to, uint32_t width) {
    const double bytes = static_cast<double>(model.embedding) * width * sizeof(float);
    const auto copy = [&](const DeviceProfile& card) { return card.staged_bytes_per_second > 0 ? bytes / card.staged_bytes_per_second : 0; };
    return (from.exchange_seconds + to.exchange_seconds) / 2 + copy(from) + copy(to);
}

// Cards in the order of their layers, and with which layer each of them begins; what is before the first is the processor's.
struct Division {
    std::vector<size_t> order;
    std::vector<uint32_t> begins;
};

class BorderSearch {
  public:
    BorderSearch(const ModelProfile& model, std::span<const CardBudget> cards, const PlanRequest& request) : model_(model), cards_(cards), request_(request) {}

    // The best division among the cards in this order that no move of a border makes faster; none where none is possible.
    std::optional<Division> best(const std::vector<size_t>& order) {
        std::optional<Division> start = beginning(order);
        if (!start) return std::nullopt;
        Division best = std::move(*start);
        double least = seconds(best);
        for (uint32_t step = std::max(1u, model_.layers / first_steps); step > 0; step /= 2) {
            for (bool moved = true; moved;) {
                moved = false;
                for (size_t i = 0; i < order.size(); ++i) {
                    for (const int64_t by : {-int64_t{step}, int64_t{step}}) {
                        const std::optional<Division> next = moved_border(best, i, by);
                        const double after = next ? seconds(*next) : least;
                        if (after >= least) continue;
                        best = *next;
                        least = after;
                        moved = true;
                    }
                }
            }
        }
        return least < impossible ? std::optional(best) : std::nullopt;
    }

    // Of a typical request; beyond `impossible` for every card whose layers do not fit there.
    double seconds(const Division& division) {
        size_t misfits = 0;
        for (size_t i = 0; i < division.order.size(); ++i) misfits += part(division, i).layers_on_card() == 0;
        if (misfits > 0) return impossible * static_cast<double>(misfits);
        const SeveralCardsPlan whole = joined(division);
        return typical_request_seconds(request_.widest_pass, [&](uint32_t width) { return predict_pass_over(model_, cards_, whole, width); });
    }

    SeveralCardsPlan joined(const Division& division) {
        SeveralCardsPlan plan;
        UnitPlan& units = plan.units;
        units.layers.resize(model_.layers);
        units.output_on_card = true;
        for (uint32_t layer = 0; layer < division.begins.front(); ++layer) units.layers[layer].network.pieces = model_.network_pieces[layer];
        for (size_t i = 0; i < division.order.size(); ++i) {
            const UnitPlan& of_card = part(division, i);
            const uint32_t first = division.begins[i];
            plan.cards.push_back({division.order[i], first, static_cast<uint32_t>(of_card.layers.size()), of_card.slots, of_card.slot_bytes, of_card.vram_bytes});
            for (size_t layer = 0; layer < of_card.layers.size(); ++layer) {
                units.layers[first + layer] = of_card.layers[layer];
                units.layers[first + layer].card = static_cast<uint32_t>(i);
            }
            units.vram_bytes += of_card.vram_bytes;
        }
        return plan;
    }

  private:
    static constexpr double impossible = 1e12;

    uint64_t attention_bytes(uint32_t layer) const {
        return model_.layer_bytes[layer] - model_.network_bytes[layer] + model_.kv_bytes_per_token[layer] * request_.context_length;
    }

    // Layers in proportion to what the cards have room for, as many as find room for their attention.
    std::optional<Division> beginning(const std::vector<size_t>& order) const {
        const uint64_t buffers = compute_buffer_bytes(model_, request_.context_length, request_.widest_pass);
        std::vector<double> room;
        double all = 0;
        for (size_t i = 0; i < order.size(); ++i) {
            const uint64_t taken = buffers + (i + 1 == order.size() ? model_.output_bytes : 0);
            const uint64_t bytes = cards_[order[i]].bytes;
            if (bytes <= taken) return std::nullopt;
            room.push_back(static_cast<double>(bytes - taken));
            all += room.back();
        }
        uint32_t first = model_.layers;
        double attention = 0;
        while (first > 0 && attention + static_cast<double>(attention_bytes(first - 1)) <= all) attention += static_cast<double>(attention_bytes(--first));
        const uint32_t layers = model_.layers - first;
        if (layers < order.size()) return std::nullopt;
        Division division{order, {first}};
        double before = 0;
        for (size_t i = 1; i < order.size(); ++i) {
            before += room[i - 1];
            const auto share = first + static_cast<uint32_t>(before / all * layers);
            const auto others = static_cast<uint32_t>(order.size() - i);
            division.begins.push_back(std::clamp(share, division.begins.back() + 1, model_.layers - others));
        }
        return division;
    }

    // None where a card would be left without a layer.
    std::optional<Division> moved_border(const Division& division, size_t i, int64_t by) const {
        Division moved = division;
        const int64_t to = int64_t{division.begins[i]} + by;
        const int64_t least = i == 0 ? 0 : int64_t{division.begins[i - 1]} + 1;
        if (to < least || to >= end_of(division, i)) return std::nullopt;
        moved.begins[i] = static_cast<uint32_t>(to);
        return moved;
    }

    uint32_t end_of(const Division& division, size_t i) const { return i + 1 < division.begins.size() ? division.begins[i + 1] : model_.layers; }

    // The plan for the layers of the i-th card, none of which is on it where not all of them can be.
    const UnitPlan& part(const Division& division, size_t i) {
        const uint32_t first = division.begins[i];
        const uint32_t end = end_of(division, i);
        // ggml asks the first card whether it computes the layers before its own in wide passes.
        const CardBudget& card = cards_[division.order[i]];
        const bool offloads = i == 0 && card.profile.offload_from_width != never_streamed;
        const uint64_t offloaded = offloads ? offload_bytes(model_, request_.context_length, first) : 0;
        const auto [known, added] = parts_.try_emplace({division.order[i], first, end, offloaded});
        if (added) {
            known->second = plan_units(part_of(model_, first, end), card.profile, {request_.context_length, request_.widest_pass, card.bytes, true, offloaded});
        }
        return known->second;
    }

    const ModelProfile& model_;
    const std::span<const CardBudget> cards_;
    const PlanRequest& request_;
    std::map<std::tuple<size_t, uint32_t, uint32_t, uint64_t>, UnitPlan> parts_;  // by card, first layer, end and what is copied of layers before
};

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f", value);
    return text;
}

// What the card with the layers from `first` on does with their networks.
std::string describe_networks(const UnitPlan& units, const CardLayers& card, const std::string& name) {
    UnitPlan own;
    own.layers.assign(units.layers.begin() + card.first, units.layers.begin() + card.first + card.count);
    const NetworkCut all = own.networks_on_card();
    const auto percent = [&](uint32_t pieces) { return number(100.0 * pieces / std::max(1u, all.pieces)) + "%"; };
    std::string text = name + " has " + percent(all.resident) + " of the feed-forward networks of its layers in " +
                       number(static_cast<double>(card.vram_bytes) / (1 << 20)) + " MiB of graphics memory";
    if (all.streamed > 0) text += "; " + percent(all.streamed) + " are brought from RAM in every pass, through " + number(card.slots) + " upload slots";
    if (all.on_processor(1) > 0) text += "; " + percent(all.on_processor(1)) + " are computed by the processor at the same time";
    for (const auto& [pieces, width] : {std::pair(all.early, all.stream_early_from_width), std::pair(all.rest(), all.stream_rest_from_width)}) {
        if (pieces > 0 && width != never_streamed) text += "; passes of " + number(width) + " tokens and more upload " + percent(pieces);
    }
    return text + ".";
}

void explain(std::span<const CardBudget> cards, SeveralCardsPlan& plan) {
    std::vector<std::string>& sentences = plan.units.explanation;
    const auto name = [&](const CardLayers& part) { return cards[part.card].device; };
    const auto layers = [](uint32_t count) { return std::to_string(count) + (count == 1 ? " layer" : " layers"); };
    const uint32_t before = plan.cards.front().first;
    if (before > 0) sentences.push_back("The processor computes the first " + layers(before) + " from RAM.");
    if (const uint32_t from = cards[plan.cards.front().card].profile.offload_from_width; before > 0 && from != never_streamed) {
        sentences.push_back("For passes of " + std::to_string(from) + " tokens and more they are uploaded, and " + name(plan.cards.front()) + " computes them, too.");
    }
    std::string where;
    for (const CardLayers& part : plan.cards) {
        const bool is_last = &part == &plan.cards.back();
        where += where.empty() ? (before > 0 || is_last ? "The " : "The first ") : is_last ? ", the other " : ", the next ";
        where += layers(part.count) + (is_last ? " and the output head" : "") + (&part != &plan.cards.front() ? " on " : part.count == 1 && !is_last ? " is on " : " are on ") + name(part);
    }
    sentences.push_back(where + ", because that is faster than " + cards.front().device + " alone.");
    for (const CardLayers& part : plan.cards) sentences.push_back(describe_networks(plan.units, part, name(part)));
}

}  // namespace

double predict_pass_over(const ModelProfile& model, std::span<const CardBudget> cards, const SeveralCardsPlan& plan, uint32_t width) {
    std::vector<PassCard> taking_part;
    double crossings = 0;
    for (const CardLayers& part : plan.cards) {
        const DeviceProfile& profile = cards[part.card].profile;
        if (!taking_part.empty()) crossings += crossing_seconds(model, *taking_part.back().profile, profile, width);
        taking_part.push_back({&profile, part.slots});
    }
    return predict_pass(model, taking_part, plan.units, width) + crossings;
}

std::optional<SeveralCardsPlan> plan_several_cards(const ModelProfile& model, std::span<const CardBudget> cards, const PlanRequest& request, const UnitPlan& alone) {
    BorderSearch search(model, cards, request);
    double least = typical_request_seconds(request.widest_pass, [&](uint32_t width) { return predicted_seconds(alone.predictions, width); });
    std::vector<size_t> order{0};
    std::optional<Division> best;
    const auto keep_fastest = [&](const std::vector<std::vector<size_t>>& orders) {
        double to_beat = least * (1 - least_gain);
        for (const std::vector<size_t>& one : orders) {
            std::optional<Division> found = search.best(one);
            const double seconds = found ? search.seconds(*found) : to_beat;
            if (seconds >= to_beat) continue;
            to_beat = least = seconds;
            order = one;
            best = std::move(found);
        }
    };
    std::vector<std::vector<size_t>> others;
    for (size_t card = 1; card < cards.size(); ++card) others.push_back({card});
    keep_fastest(others);
    // Then each of those that have no part yet, in every place.
    for (size_t card = 0; card < cards.size(); ++card) {
        if (std::ranges::find(order, card) != order.end()) continue;
        std::vector<std::vector<size_t>> longer;
        for (size_t place = 0; place <= order.size(); ++place) {
            longer.push_back(order);
            longer.back().insert(longer.back().begin() + static_cast<std::ptrdiff_t>(place), card);
        }
        keep_fastest(longer);
    }
    if (!best) return std::nullopt;
    SeveralCardsPlan plan = search.joined(*best);
    for (const uint32_t width : predicted_widths(request.widest_pass)) plan.units.predictions.push_back({width, predict_pass_over(model, cards, plan, width)});
    plan.units.request_seconds = least;
    plan.units.static_split_request_seconds = alone.static_split_request_seconds;
    explain(cards, plan);
    return plan;
}

}  // namespace nmos
