#include "device/streaming_queue.h"

#include <ggml-impl.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "device/weights_in_graph.h"

namespace nmos {

// The results of a network's shares on the card: added up one after the other, the last sum where the network's belongs.
struct StreamingDevice::Results {
    Backend& queue;
    const NetworkNodes& nodes;
    size_t count;
    size_t added = 0;

    // Room for results of at least so many bytes.
    bool reserve(size_t largest) {
        largest = std::max(largest, ggml_nbytes(nodes.down));
        if (count == 1 || (queue.scratch && ggml_backend_buffer_get_size(queue.scratch.get()) >= 2 * largest)) return true;
        ggml_backend_synchronize(queue.compute.get());
        queue.scratch.reset(ggml_backend_buft_alloc_buffer(ggml_backend_get_default_buffer_type(queue.compute.get()), 2 * largest));
        return queue.scratch != nullptr;
    }

    // Where the next share's belongs.
    Memory next() const { return count == 1 ? Memory::of(nodes.down) : half(added == 0 ? 0 : 1); }

    // What is there counts from now on.
    ggml_status add() {
        if (++added == 1) return GGML_STATUS_SUCCESS;
        const Memory target = added == count ? Memory::of(nodes.down) : half(0);
        return ggml_backend_graph_compute_async(queue.compute.get(), queue.sum.graph(*nodes.down, half(0), half(1), target));
    }

  private:
    Memory half(size_t which) const {
        return Memory::in(queue.scratch, which * ggml_backend_buffer_get_size(queue.scratch.get()) / 2);
    }
};

bool StreamingDevice::Backend::is_one(ggml_backend_t backend) {
    return StreamingDevice::of(ggml_backend_get_device(backend)) != nullptr;
}

ggml_backend_t StreamingDevice::Backend::unwrapped(ggml_backend_t backend) {
    return is_one(backend) ? self(backend).compute.get() : backend;
}

void StreamingDevice::Backend::synchronize() {
    {
        std::lock_guard using_queue(mutex);
        ggml_backend_synchronize(compute.get());
    }
    // When it is taken, the next time will do.
    const std::unique_lock lock(device.mutex_, std::try_to_lock);
    if (!lock) return;
    std::lock_guard using_queue(mutex);
    device.ring_.tidy(compute.get());
}

bool StreamingDevice::Backend::keep_inputs(ggml_cgraph* graph, ggml_backend_graph_optimize_params* parameters) {
    bool has_networks = false;
    for (int i = 0; i < graph->n_nodes; ++i) {
        const HostNetwork* const network = network_of_node(graph->nodes[i]);
        // Where there is one share only, nothing reads the input after it.
        if ((!network || network->undivided()) && !mixture_of_node(graph->nodes[i])) continue;
        has_networks = true;
        if (!network) continue;
        const auto nodes = NetworkNodes::find(graph, i, network->whole);
        if (nodes) parameters->add_alloc_dep(parameters->user_data, nodes->input(), nodes->down);
    }
    return has_networks;
}

// Cuts the graph at networks that are not on the card as a whole, and where the unit in RAM changes; nodes without one belong
// to the segment before them.
ggml_status StreamingDevice::Backend::compute_graph(ggml_cgraph* graph) {
    std::lock_guard passing(device.mutex_);
    if (device.last_mixtures_) device.mover_.step(*device.last_mixtures_, [&] { const StoppedQueues stopped(device.queues_); });
    std::lock_guard using_queue(mutex);
    InVram in_vram;
    int begin = 0;
    const HostUnit* unit = nullptr;
    HostWeights* weights = nullptr;
    for (int i = 0; i < graph->n_nodes; ++i) {
        const ggml_tensor* weight = host_weight_of_node(graph->nodes[i]);
        if (!weight) continue;
        HostWeights* const owner = HostWeights::of(weight);
        if (HostNetwork* const network = owner->network_of(weight)) {
            if (ggml_tensor* const there = network->on_card(weight)) {
                in_vram.give(graph->nodes[i], there);
                continue;
            }
            ggml_status status = compute_segment(graph, begin, i, unit, weights);
            if (status != GGML_STATUS_SUCCESS) return status;
            const auto nodes = NetworkNodes::find(graph, i, network->whole);
            status = nodes ? compute_network(*owner, *network, *nodes) : compute_on_processor(*owner, graph->nodes[i]);
            if (status != GGML_STATUS_SUCCESS) return status;
            if (nodes) i += NetworkNodes::count - 1;
            begin = i + 1;
            unit = nullptr;
            continue;
        }
        if (HostMixture* const mixture = owner->mixture_of(weight)) {
            ggml_status status = compute_segment(graph, begin, i, unit, weights);
            int nodes = 0;
            if (status == GGML_STATUS_SUCCESS) status = compute_mixture(*owner, *mixture, graph, i, nodes);
            if (status != GGML_STATUS_SUCCESS) return status;
            i += nodes - 1;
            begin = i + 1;
            unit = nullptr;
            continue;
        }
        const HostUnit* const next = owner->unit_of(weight);
        if (next == unit) continue;
        if (unit) {
            if (const ggml_status status = compute_segment(graph, begin, i, unit, weights); status != GGML_STATUS_SUCCESS) return status;
            begin = i;
        }
        unit = next;
        weights = owner;
    }
    return compute_segment(graph, begin, graph->n_nodes, unit, weights);
}

// Computes nodes that share a unit, or that have none.
ggml_status StreamingDevice::Backend::compute_segment(ggml_cgraph* graph, int begin, int end, const HostUnit* unit, HostWeights* weights) {
    if (begin == end) return GGML_STATUS_SUCCESS;
    if (cancelled()) return GGML_STATUS_ABORTED;
    ggml_cgraph segment = ggml_graph_view(graph, begin, end);
    if (!unit) {
        // By the number of a graph a driver knows that it may repeat what it did; not so when weights lie elsewhere since then.
        constexpr int numbers = 40;  // bits, more than graphs are ever counted with
        if (end - begin == graph->n_nodes && graph->uid != 0) segment.uid = graph->uid + (device.moves_ << numbers);
        return ggml_backend_graph_compute_async(compute.get(), &segment);
    }

    const std::optional<UploadRing::Place> place = device.ring_.acquire(*weights, *unit, compute.get());
    if (!place) return GGML_STATUS_ALLOC_FAILED;
    InSlot in_slot(segment, *unit, *place);
    const ggml_status status = ggml_backend_graph_compute_async(compute.get(), &segment);
    device.ring_.done(*unit, compute.get());
    if (status == GGML_STATUS_SUCCESS) device.ring_.prefetch_behind(*weights, *unit, in_slot.width());
    return status;
}

ggml_status StreamingDevice::Backend::compute_mixture(HostWeights& weights, HostMixture& mixture, ggml_cgraph* graph, int begin, int& count) {
    if (cancelled()) return GGML_STATUS_ABORTED;
    device.adopt_restored();
    device.last_mixtures_ = &weights;
    const auto nodes = MixtureNodes::find(graph, begin, mixture.whole());
    count = nodes ? MixtureNodes::count : 1;
    // As in the last layer, where nobody wants logits.
    if (nodes && nodes->tokens() == 0) return GGML_STATUS_SUCCESS;
    return nodes ? mixtures.compute(weights, mixture, *nodes) : compute_on_processor(weights, graph->nodes[begin]);
}

ggml_status StreamingDevice::Backend::compute_network(HostWeights& weights, HostNetwork& network, const NetworkNodes& nodes) {
    if (cancelled()) return GGML_STATUS_ABORTED;
    const uint32_t width = width_of(nodes.down);
    device.adopt_restored();
    // Of a part of a prompt whose logits nobody wants, the last layer has no tokens. Drivers need not copy nothing from nowhere.
    if (width == 0) return GGML_STATUS_SUCCESS;
    std::vector<HostNetwork::Share*> on_card;
    std::vector<HostNetwork::Share*> beside;  // computed by the processor at the same time
    for (HostNetwork::Share& share : network.shares) {
        const bool streamed = share.unit && width >= share.unit->stream_from_width && device.ring_.takes(*share.unit);
        (share.in_vram() || streamed ? on_card : beside).push_back(&share);
    }
    Results results{*this, nodes, on_card.size() + (beside.empty() ? 0 : 1)};
    if (!results.reserve(weights.largest_result())) return GGML_STATUS_ALLOC_FAILED;
    if (!beside.empty() && !begin_exchange(weights, nodes, beside)) return GGML_STATUS_ALLOC_FAILED;

    const HostUnit* last_streamed = nullptr;
    const auto compute_on_card = [&](HostNetwork::Share& share) {
        NetworkShare::Places places{{}, Memory::of(nodes.input()), Memory::of(nodes.gate), Memory::of(nodes.up), Memory::of(nodes.glu), results.next()};
        if (!share.unit) {
            for (size_t i = 0; i < places.weights.size(); ++i) places.weights[i] = Memory::of(share.network->weights().all()[i]);
        } else {
            const auto slot = device.ring_.acquire(weights, *share.unit, compute.get());
            if (!slot) return GGML_STATUS_ALLOC_FAILED;
            for (size_t i = 0; i < places.weights.size(); ++i) places.weights[i] = {slot->buffer, slot->base + share.unit->weights[i].slot_offset};
        }
        const ggml_status status = ggml_backend_graph_compute_async(compute.get(), share.network->graph(nodes, places));
        if (share.unit) device.ring_.done(*share.unit, compute.get());
        last_streamed = share.unit ? share.unit : last_streamed;
        return status == GGML_STATUS_SUCCESS ? results.add() : status;
    };
    // What this thread would have to wait for comes behind the processor's work.
    const auto waiting = std::ranges::stable_partition(on_card, [&](const HostNetwork::Share* share) { return beside.empty() || !share->unit || device.ring_.given(*share->unit); });
    for (auto share = on_card.begin(); share != waiting.begin(); ++share) {
        if (const ggml_status status = compute_on_card(**share); status != GGML_STATUS_SUCCESS) return status;
    }
    if (!beside.empty()) {
        processor.await_fetched();
        for (HostNetwork::Share* share : beside) {
            if (const ggml_status status = compute_on_processor(*share->network, nodes, share != beside.front()); status != GGML_STATUS_SUCCESS) return status;
        }
        ggml_tensor result = leaf_like(*nodes.down, results.next());
        ggml_backend_tensor_set_async(compute.get(), &result, processor.result().data, 0, ggml_nbytes(&result));
        if (const ggml_status status = results.add(); status != GGML_STATUS_SUCCESS) return status;
    }
    for (HostNetwork::Share* share : waiting) {
        if (const ggml_status status = compute_on_card(*share); status != GGML_STATUS_SUCCESS) return status;
    }
    // Not before the processor's result is on its way, which would have to wait for a whole unit.
    if (last_streamed) device.ring_.prefetch_behind(weights, *last_streamed, width);
    return GGML_STATUS_SUCCESS;
}

// Begins to bring the input into RAM, where the processor computes these shares.
bool StreamingDevice::Backend::begin_exchange(HostWeights& weights, const NetworkNodes& nodes, const std::vector<HostNetwork::Share*>& shares) {
    int64_t widest = 0;
    for (const HostNetwork::Share* share : shares) widest = std::max(widest, share->network->hidden());
    const size_t hidden_bytes = static_cast<size_t>(widest) * width_of(nodes.down) * sizeof(float);
    processor.set_threadpool(weights.threadpool());
    if (!processor.reserve_behind(compute.get(), ggml_nbytes(nodes.input()), 2 * hidden_bytes, 2 * ggml_nbytes(nodes.down))) return false;
    processor.fetch(compute.get(), {nodes.input()});
    return true;
}

ggml_status StreamingDevice::Backend::compute_on_processor(NetworkShare& share, const NetworkNodes& nodes, bool add) {
    const Memory result = processor.result();
    const Memory second = result.behind(ggml_nbytes(nodes.down));
    NetworkShare::Places places{{}, processor.input(), processor.hidden(), {}, processor.hidden(), add ? second : result};
    places.up = processor.hidden().behind(static_cast<size_t>(share.hidden()) * width_of(nodes.down) * sizeof(float));
    for (size_t i = 0; i < places.weights.size(); ++i) places.weights[i] = Memory::of(share.weights().all()[i]);
    const ggml_status status = processor.compute(share.graph(nodes, places));
    if (!add || status != GGML_STATUS_SUCCESS) return status;
    const auto sums = reinterpret_cast<float*>(result.data);
    const auto more = reinterpret_cast<const float*>(second.data);
    for (int64_t i = 0; i < ggml_nelements(nodes.down); ++i) sums[i] += more[i];
    return status;
}

ggml_status StreamingDevice::Backend::compute_on_processor(HostWeights& weights, ggml_tensor* node) {
    if (cancelled()) return GGML_STATUS_ABORTED;
    // With a mixture's weight, the numbers of the experts are an operand, too.
    const ggml_tensor* const chosen = node->src[2];
    const size_t input_bytes = Processor::padded(ggml_nbytes(node->src[1]));
    const size_t bytes = ggml_nbytes(node);
    processor.set_threadpool(weights.threadpool());
    if (!processor.reserve_behind(compute.get(), input_bytes + (chosen ? ggml_nbytes(chosen) : 0), 0, bytes)) return GGML_STATUS_ALLOC_FAILED;
    processor.fetch(compute.get(), {node->src[1], chosen});
    processor.await_fetched();
    ggml_tensor input = leaf_like(*node->src[1], processor.input());
    ggml_tensor experts{};
    if (chosen) experts = leaf_like(*chosen, processor.input().behind(input_bytes));
    ggml_tensor result = leaf_like(*node, processor.result());
    result.op = node->op;
    std::memcpy(result.op_params, node->op_params, sizeof result.op_params);
    result.src[0] = node->src[0];
    result.src[1] = &input;
    if (chosen) result.src[2] = &experts;
    ggml_context_ptr context;
    const ggml_status status = processor.compute(new_graph(context, 4, &result));
    if (status == GGML_STATUS_SUCCESS) ggml_backend_tensor_set_async(compute.get(), node, processor.result().data, 0, bytes);
    return status;
}

StreamingDevice::Backend::Backend(StreamingDevice& owner, ggml_backend_t card_queue) : device(owner), compute(card_queue), processor(owner.card_), mixtures(card_queue, processor, owner.ring_) {
    static ggml_guid guid = {'N', 'M', 'O', 'S', '-', 's', 't', 'r', 'e', 'a', 'm', 'i', 'n', 'g', '-', '1'};
    {
        std::lock_guard lock(owner.mutex_);
        owner.queues_.insert(this);
    }
    interface.guid = &guid;
    interface.device = owner.handle();
    interface.context = this;
    ggml_backend_i& to = interface.iface;
    const ggml_backend_i& from = card_queue->iface;
    to.get_name = [](ggml_backend_t backend) { return self(backend).device.name_.c_str(); };
    to.free = [](ggml_backend_t backend) {
        Backend& queue = self(backend);
        {
            std::lock_guard lock(queue.device.mutex_);
            queue.device.ring_.forget(queue.compute.get());
            queue.device.queues_.erase(&queue);
        }
        delete &queue;
    };
    to.graph_compute = [](ggml_backend_t backend, ggml_cgraph* graph) { return self(backend).compute_graph(graph); };
    // What the card's queue lacks is lacking here too, so that ggml takes its own ways around it.
    if (from.set_tensor_async) {
        to.set_tensor_async = [](ggml_backend_t backend, ggml_tensor* tensor, const void* data, size_t offset, size_t size) {
            with(backend, [&](ggml_backend_t queue) { ggml_backend_tensor_set_async(queue, tensor, data, offset, size); });
        };
    }
    if (from.get_tensor_async) {
        to.get_tensor_async = [](ggml_backend_t backend, const ggml_tensor* tensor, void* data, size_t offset, size_t size) {
            with(backend, [&](ggml_backend_t queue) { ggml_backend_tensor_get_async(queue, tensor, data, offset, size); });
        };
    }
    if (from.cpy_tensor_async) {
        to.cpy_tensor_async = [](ggml_backend_t source, ggml_backend_t target, const ggml_tensor* read, ggml_tensor* written) {
            const auto copy = [&](ggml_backend_t queue) {
                return queue->iface.cpy_tensor_async && queue->iface.cpy_tensor_async(unwrapped(source), queue, read, written);
            };
            if (!is_one(target)) return copy(target);
            if (!is_one(source) || source == target) return with(target, copy);
            // From one streamed card to another: the copy may be given to either queue.
            std::scoped_lock both(self(source).mutex, self(target).mutex);
            return copy(self(target).compute.get());
        };
    }
    if (from.synchronize) {
        to.synchronize = [](ggml_backend_t backend) { self(backend).synchronize(); };
    }
    if (from.event_record && from.event_wait) {
        to.event_record = [](ggml_backend_t backend, ggml_backend_event_t event) {
            with(backend, [&](ggml_backend_t queue) { ggml_backend_event_record(event, queue); });
        };
        to.event_wait = [](ggml_backend_t backend, ggml_backend_event_t event) {
            with(backend, [&](ggml_backend_t queue) { ggml_backend_event_wait(queue, event); });
        };
    }
    // Also for cards that reorder nothing.
    to.graph_optimize = [](ggml_backend_t backend, ggml_cgraph* graph, ggml_backend_graph_optimize_params* parameters) {
        // Reordered, a network could not be told from other nodes.
        if (keep_inputs(graph, parameters)) return;
        with(backend, [&](ggml_backend_t queue) {
            if (queue->iface.graph_optimize) queue->iface.graph_optimize(queue, graph, parameters);
        });
    };
}

}  // namespace nmos
