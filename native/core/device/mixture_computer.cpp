#include "device/mixture_computer.h"

#include <ggml-backend-impl.h>
#include <ggml-impl.h>

#include <algorithm>
#include <cstring>

namespace nmos {

namespace {

constexpr size_t alignment = 256;

size_t round_up(size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
}

bool grow(ggml_backend_t queue, ggml_backend_buffer_ptr& buffer, size_t bytes) {
    if (buffer && ggml_backend_buffer_get_size(buffer.get()) >= bytes) return true;
    ggml_backend_synchronize(queue);
    buffer.reset();
    buffer.reset(ggml_backend_buft_alloc_buffer(ggml_backend_get_default_buffer_type(queue), bytes));
    return buffer != nullptr;
}

}  // namespace

// One mixture of one pass.
struct MixtureComputer::Work {
    HostWeights& weights;
    HostMixture& mixture;
    const MixtureNodes& nodes;
    bool uploads = false;       // the pass is wide enough to bring experts to the card
    size_t beside = 0;          // pairs that the processor may have to compute
    bool gathers = false;       // the card's input is brought into the order of its pairs first
    ExpertDivision division{};

    size_t pairs() const { return static_cast<size_t>(nodes.used() * nodes.tokens()); }
    size_t row_bytes() const { return nodes.down->nb[1]; }
    size_t hidden_bytes() const { return nodes.gate->nb[1]; }
    size_t input_row_bytes() const { return nodes.input()->nb[1]; }
    int64_t input_rows() const { return nodes.input()->ne[1] * nodes.input()->ne[2]; }
    size_t input_bytes() const { return beside > 0 ? Processor::padded(ggml_nbytes(nodes.input())) : 0; }
    // Numbers come in lists, each of which begins where cards can read it: where the result of each pair is, the places of the
    // experts of each of the card's sources, and the card's rows of the input.
    size_t list_bytes() const { return list_bytes_of(pairs()); }
    size_t places_list(ExpertSource source) const { return (1 + static_cast<size_t>(source)) * list_bytes(); }
    size_t inputs_list() const { return (1 + card_sources.size()) * list_bytes(); }
    size_t numbers_bytes() const { return lists * list_bytes(); }

    static constexpr size_t lists = 2 + card_sources.size();
    static size_t list_bytes_of(size_t pairs) { return round_up(pairs * sizeof(int32_t)); }
};

MixtureComputer::MixtureComputer(ggml_backend_t queue, Processor& processor, UploadRing& ring) : queue_(queue), processor_(processor), ring_(ring) {}

ggml_cgraph* MixtureComputer::build(Chain& chain, const MixtureNodes& nodes, const HostMixture& mixture, const Places& places) {
    for (size_t i = 0; i < places.weights.size(); ++i) {
        const ggml_tensor* const whole = mixture.whole().all()[i];
        chain.weights[i] = leaf(whole->type, whole->ne[0], whole->ne[1], places.experts, places.weights[i]);
    }
    chain.input = leaf(GGML_TYPE_F32, nodes.input()->ne[0], places.input_rows, places.tokens, places.input);
    chain.places = leaf(GGML_TYPE_I32, places.used, places.tokens, 1, places.chosen);
    mimic(chain.gate, nodes.gate, nodes.gate->ne[0], places.used, places.tokens, places.gate, {&chain.weights[0], &chain.input, &chain.places});
    mimic(chain.up, nodes.up, nodes.up->ne[0], places.used, places.tokens, places.up, {&chain.weights[1], &chain.input, &chain.places});
    mimic(chain.glu, nodes.glu, nodes.glu->ne[0], places.used, places.tokens, places.glu, {&chain.gate, &chain.up});
    mimic(chain.down, nodes.down, nodes.down->ne[0], places.used, places.tokens, places.result, {&chain.weights[2], &chain.glu, &chain.places});
    constexpr size_t tensors = 9;
    if (!chain.graph) chain.graph = new_graph(chain.context, tensors, &chain.down);
    return chain.graph;
}

ggml_cgraph* MixtureComputer::Selection::select(const Memory& source, const ggml_tensor& like, int64_t source_rows, const Memory& which, int64_t count,
                                                const Memory& target) {
    from = leaf(GGML_TYPE_F32, like.ne[0], source_rows, 1, source);
    rows = leaf(GGML_TYPE_I32, count, 1, 1, which);
    to = leaf(GGML_TYPE_F32, like.ne[0], count, 1, target);
    become(to, GGML_OP_GET_ROWS, {&from, &rows});
    if (!graph) graph = new_graph(context, 3, &to);
    return graph;
}

ggml_status MixtureComputer::compute(HostWeights& weights, HostMixture& mixture, const MixtureNodes& nodes) {
    Work work{weights, mixture, nodes};
    const HostUnit* const unit = mixture.unit();
    // Without memory for its rows the card computes none: the processor has all experts in the file.
    const bool with_card = reserve_on_card(work);
    work.uploads = with_card && unit && static_cast<uint64_t>(nodes.tokens()) >= unit->stream_from_width && ring_.takes(*unit);
    const size_t on_processor = with_card ? mixture.on_processor(work.uploads) : mixture.experts();
    const auto most_used = std::min(on_processor, static_cast<size_t>(nodes.used()));
    work.beside = most_used * static_cast<size_t>(nodes.tokens());
    if (!reserve(work)) return GGML_STATUS_ALLOC_FAILED;
    processor_.fetch(queue_, {work.beside > 0 ? nodes.input() : nullptr, nodes.chosen()});
    processor_.await_fetched();

    // Numbers that are no experts shall not become places in memory.
    const auto experts = static_cast<int32_t>(mixture.experts());
    const size_t columns = nodes.chosen()->nb[1] / sizeof(int32_t);
    const auto* const fetched = reinterpret_cast<const int32_t*>(processor_.input().data + work.input_bytes());
    chosen_.resize(work.pairs());
    for (size_t pair = 0; pair < chosen_.size(); ++pair) {
        const auto used = static_cast<size_t>(nodes.used());
        chosen_[pair] = fetched[pair / used * columns + pair % used];
        if (chosen_[pair] < 0 || chosen_[pair] >= experts) return GGML_STATUS_FAILED;
        mixture.usage().count(static_cast<size_t>(chosen_[pair]));
    }
    work.division = divide_experts(chosen_, static_cast<size_t>(nodes.used()), static_cast<size_t>(nodes.input()->ne[1]),
                                   [&](int32_t expert) { return with_card ? mixture.place_of(expert, work.uploads) : ExpertPlace{ExpertSource::File, expert}; });
    const size_t in_vram = work.division.of(ExpertSource::Vram).pairs();
    weights.count_experts(work.pairs(), in_vram);
    const ggml_status status = in_vram == work.pairs() ? compute_in_vram(work) : compute_divided(work);
    // Not before the processor's result is on its way, which would have to wait for a whole unit.
    if (status == GGML_STATUS_SUCCESS && work.uploads) ring_.prefetch_behind(weights, *unit, static_cast<uint32_t>(nodes.tokens()));
    return status;
}

bool MixtureComputer::reserve_on_card(const Work& work) {
    const auto has = [](const ggml_backend_buffer_ptr& buffer, size_t bytes) { return buffer && ggml_backend_buffer_get_size(buffer.get()) >= bytes; };
    if (has(numbers_, work.numbers_bytes()) && has(rows_, work.pairs() * work.row_bytes())) return true;
    // For passes of the widest kind at once, before others take the memory; for this one where that is too much.
    for (const size_t pairs : {static_cast<size_t>(work.nodes.used()) * work.weights.widest_pass(), work.pairs()}) {
        const size_t most = std::max(pairs, work.pairs());
        if (grow(queue_, numbers_, Work::lists * Work::list_bytes_of(most)) && grow(queue_, rows_, most * work.row_bytes())) return true;
    }
    return false;
}

bool MixtureComputer::reserve(const Work& work) {
    processor_.set_threadpool(work.weights.threadpool());
    const size_t input = work.input_bytes() + ggml_nbytes(work.nodes.chosen());
    const size_t hidden = work.beside * (work.input_row_bytes() + 2 * work.hidden_bytes()) + 3 * alignment;
    const size_t result = work.numbers_bytes() + work.beside * (work.row_bytes() + sizeof(int32_t));
    return processor_.reserve_behind(queue_, input, hidden, result);
}

// What the model's nodes compute, with the experts where they are.
ggml_status MixtureComputer::compute_in_vram(Work& work) {
    const std::vector<int32_t>& places = work.division.of(ExpertSource::Vram).places;
    std::memcpy(processor_.result().data, places.data(), places.size() * sizeof(int32_t));
    ggml_tensor numbers = leaf(GGML_TYPE_I32, static_cast<int64_t>(places.size()), 1, 1, Memory::in(numbers_));
    ggml_backend_tensor_set_async(queue_, &numbers, processor_.result().data, 0, ggml_nbytes(&numbers));
    const MixtureNodes& nodes = work.nodes;
    Places at{{}, static_cast<int64_t>(work.mixture.expert_in_vram().size()), Memory::of(nodes.input()), Memory::in(numbers_), Memory::of(nodes.gate), Memory::of(nodes.up),
              Memory::of(nodes.glu), Memory::of(nodes.down), nodes.used(), nodes.tokens(), nodes.input()->ne[1]};
    for (size_t i = 0; i < at.weights.size(); ++i) at.weights[i] = Memory::of(work.mixture.vram()->weights[i]);
    return ggml_backend_graph_compute_async(queue_, build(card_chains_[0], nodes, work.mixture, at));
}

ggml_status MixtureComputer::compute_divided(Work& work) {
    const ExpertDivision& division = work.division;
    const size_t on_card = division.pairs_of(card_sources);
    if (division.in_order()) return compute_on_processor(work);

    char* const numbers = processor_.result().data;
    const auto list = [&](size_t begin) { return reinterpret_cast<int32_t*>(numbers + begin); };
    std::ranges::copy(division.rows, list(0));
    int32_t* inputs = list(work.inputs_list());
    for (const ExpertSource source : card_sources) {
        std::ranges::copy(division.of(source).places, list(work.places_list(source)));
        inputs = std::ranges::copy(division.of(source).inputs, inputs).out;
    }
    ggml_tensor on_the_card = leaf(GGML_TYPE_I32, inputs - list(0), 1, 1, Memory::in(numbers_));
    ggml_backend_tensor_set_async(queue_, &on_the_card, numbers, 0, ggml_nbytes(&on_the_card));

    // All that the card multiplies at once, before anything is written over the input.
    work.gathers = work.input_rows() > 1 || division.of(ExpertSource::Slot).pairs() > 0;
    if (on_card > 0 && work.gathers) {
        const Memory which = Memory::in(numbers_, work.inputs_list());
        ggml_cgraph* const gathering = gather_.select(Memory::of(work.nodes.input()), *work.nodes.input(), work.input_rows(), which, static_cast<int64_t>(on_card), Memory::in(rows_));
        if (const ggml_status status = ggml_backend_graph_compute_async(queue_, gathering); status != GGML_STATUS_SUCCESS) return status;
    }
    if (const ggml_status status = compute_on_card(work, ExpertSource::Vram); status != GGML_STATUS_SUCCESS) return status;
    // An upload that this thread would have to wait for comes behind the processor's work.
    const bool has_beside = on_card < work.pairs();
    const bool first = !has_beside || (work.uploads && ring_.given(*work.mixture.unit()));
    if (first) {
        if (const ggml_status status = compute_on_card(work, ExpertSource::Slot); status != GGML_STATUS_SUCCESS) return status;
    }
    if (has_beside) {
        if (const ggml_status status = compute_on_processor(work); status != GGML_STATUS_SUCCESS) return status;
    }
    if (!first) {
        if (const ggml_status status = compute_on_card(work, ExpertSource::Slot); status != GGML_STATUS_SUCCESS) return status;
    }
    const auto pairs = static_cast<int64_t>(work.pairs());
    return ggml_backend_graph_compute_async(queue_, order_.select(Memory::in(rows_), *work.nodes.down, pairs, Memory::in(numbers_), pairs, Memory::of(work.nodes.down)));
}

ggml_status MixtureComputer::compute_on_card(Work& work, ExpertSource source) {
    const ExpertDivision::Part& part = work.division.of(source);
    if (part.pairs() == 0) return GGML_STATUS_SUCCESS;
    const MixtureNodes& nodes = work.nodes;
    HostUnit* const unit = work.mixture.unit();
    const auto pairs = static_cast<int64_t>(part.pairs());
    const Memory result = Memory::in(rows_, part.first_row * work.row_bytes());
    Places at{{}, 0, result, Memory::in(numbers_, work.places_list(source)), Memory::of(nodes.gate), Memory::of(nodes.up), Memory::of(nodes.glu), result, 1, pairs, 1};
    if (!work.gathers) {
        at.input = Memory::of(nodes.input());
        at.used = pairs;
        at.tokens = 1;
    }
    if (source == ExpertSource::Vram) {
        at.experts = static_cast<int64_t>(work.mixture.expert_in_vram().size());
        for (size_t i = 0; i < at.weights.size(); ++i) at.weights[i] = Memory::of(work.mixture.vram()->weights[i]);
    } else {
        const auto slot = ring_.acquire(work.weights, *unit, queue_);
        if (!slot) return GGML_STATUS_ALLOC_FAILED;
        at.experts = work.mixture.slot_places();
        for (size_t i = 0; i < at.weights.size(); ++i) at.weights[i] = {slot->buffer, slot->base + work.mixture.slot_offset(i)};
    }
    const ggml_status status = ggml_backend_graph_compute_async(queue_, build(card_chains_[static_cast<size_t>(source)], nodes, work.mixture, at));
    if (source == ExpertSource::Slot) ring_.done(*unit, queue_);
    return status;
}

// And sends the rows to the card, where they belong.
ggml_status MixtureComputer::compute_on_processor(Work& work) {
    const size_t first_row = work.division.pairs_of(card_sources);
    const size_t pairs = work.pairs() - first_row;
    for (const ExpertSource source : processor_sources) {
        if (work.division.of(source).pairs() == 0) continue;
        if (const ggml_status status = compute_on_processor(work, source, first_row); status != GGML_STATUS_SUCCESS) return status;
    }
    const Memory target = work.division.in_order() ? Memory::of(work.nodes.down) : Memory::in(rows_, first_row * work.row_bytes());
    ggml_tensor rows = leaf(GGML_TYPE_F32, work.nodes.down->ne[0], static_cast<int64_t>(pairs), 1, target);
    ggml_backend_tensor_set_async(queue_, &rows, processor_.result().data + work.numbers_bytes(), 0, ggml_nbytes(&rows));
    return GGML_STATUS_SUCCESS;
}

ggml_status MixtureComputer::compute_on_processor(Work& work, ExpertSource source, size_t first_row) {
    const ExpertDivision::Part& part = work.division.of(source);
    const MixtureNodes& nodes = work.nodes;
    const Memory results = processor_.result().behind(work.numbers_bytes());
    const Memory input = processor_.hidden();
    const Memory gate = input.behind(round_up(work.beside * work.input_row_bytes()));
    const Memory up = gate.behind(round_up(work.beside * work.hidden_bytes()));
    const Memory places = results.behind(work.beside * work.row_bytes());
    std::memcpy(places.data, part.places.data(), part.pairs() * sizeof(int32_t));
    const auto pairs = static_cast<int64_t>(part.pairs());
    Places at{{}, static_cast<int64_t>(work.mixture.of_processor(source, 0)->ne[2]), input, places, gate, up, gate, results.behind((part.first_row - first_row) * work.row_bytes()), 1, pairs, 1};
    for (size_t i = 0; i < at.weights.size(); ++i) at.weights[i] = Memory::of(work.mixture.of_processor(source, i));
    if (work.input_rows() == 1) {
        at.input = processor_.input();
        at.used = pairs;
        at.tokens = 1;
    } else {
        for (size_t pair = 0; pair < part.pairs(); ++pair) {
            std::memcpy(input.data + pair * work.input_row_bytes(), processor_.input().data + static_cast<size_t>(part.inputs[pair]) * work.input_row_bytes(), work.input_row_bytes());
        }
    }
    return processor_.compute(build(processor_chain_, nodes, work.mixture, at));
}

}  // namespace nmos
