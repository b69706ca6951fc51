#include "device/streaming_device.h"

#include <ggml-backend-impl.h>
#include <ggml-impl.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "device/graph_tensors.h"
#include "device/mixture_computer.h"
#include "device/network.h"
#include "device/processor.h"
#include "device/weights_in_graph.h"
#include "platform/os.h"
#include "runtime/engine_error.h"
#include "runtime/log.h"

namespace nmos {

struct StreamingDevice::Ggml {
    ggml_backend_device device;
    ggml_backend_reg registry;

    explicit Ggml(StreamingDevice& self);

    static StreamingDevice& self(ggml_backend_dev_t device) { return *static_cast<StreamingDevice*>(device->context); }
    static void properties(ggml_backend_dev_t device, ggml_backend_dev_props* properties);
    static bool supports_op(ggml_backend_dev_t device, const ggml_tensor* node);
    static bool supports_type(ggml_backend_dev_t device, ggml_backend_buffer_type_t type);
    static ggml_backend_t init(ggml_backend_dev_t device, const char* parameters);
    static void* procedure(ggml_backend_reg_t registry, const char* name);
};

// One queue of computations, as every llama_context has.
struct StreamingDevice::Backend {
    StreamingDevice& device;
    std::mutex mutex;          // held by whoever uses `compute`: cards' queues are not thread-safe; locked after the device's
    ggml_backend_ptr compute;
    Processor processor;
    ggml_backend_buffer_ptr scratch;  // two results of shares, on the card
    Sum sum;
    MixtureComputer mixtures;
    ggml_abort_callback is_cancelled = nullptr;
    void* cancelled_data = nullptr;
    ggml_backend interface{};

    Backend(StreamingDevice& device, ggml_backend_t compute);

    static Backend& self(ggml_backend_t backend) { return *static_cast<Backend*>(backend->context); }
    static bool is_one(ggml_backend_t backend);
    // The wrapped queue of a streaming one, any other queue itself.
    static ggml_backend_t unwrapped(ggml_backend_t backend);
    // Calls `use` with the wrapped queue.
    template <typename Use> static auto with(ggml_backend_t backend, Use use) {
        std::lock_guard lock(self(backend).mutex);
        return use(self(backend).compute.get());
    }

    ggml_status compute_graph(ggml_cgraph* graph);
    // Waits for all that the queue was given.
    void synchronize();
    // Lets ggml keep the input of networks that are cut up: shares read it one after the other. False when there is none.
    static bool keep_inputs(ggml_cgraph* graph, ggml_backend_graph_optimize_params* parameters);
    ggml_status compute_segment(ggml_cgraph* graph, int begin, int end, const HostUnit* unit, HostWeights* weights);
    // A mixture whose experts are in VRAM or not, one by one; `nodes` counts how many nodes of the graph that was.
    ggml_status compute_mixture(HostWeights& weights, HostMixture& mixture, ggml_cgraph* graph, int begin, int& nodes);
    // A network whose shares card and processor compute at the same time.
    ggml_status compute_network(HostWeights& weights, HostNetwork& network, const NetworkNodes& nodes);
    // A share whose input is in RAM already; adds the result to what is in `processor.result()`, or puts it there.
    ggml_status compute_on_processor(NetworkShare& share, const NetworkNodes& nodes, bool add);
    // A multiplication with the weight of a network or mixture that is not part of its usual nodes.
    ggml_status compute_on_processor(HostWeights& weights, ggml_tensor* node);
    bool begin_exchange(HostWeights& weights, const NetworkNodes& nodes, const std::vector<HostNetwork::Share*>& shares);
    bool cancelled() const { return is_cancelled && is_cancelled(cancelled_data); }
};

class StreamingDevice::StoppedQueues {
  public:
    explicit StoppedQueues(const std::set<Backend*>& queues) : queues_(queues) {
        try {
            for (Backend* queue : queues_) {
                queue->mutex.lock();
                ++stopped_;
                ggml_backend_synchronize(queue->compute.get());
            }
        } catch (...) {
            let_go();
            throw;
        }
    }
    ~StoppedQueues() { let_go(); }
    StoppedQueues(const StoppedQueues&) = delete;
    StoppedQueues& operator=(const StoppedQueues&) = delete;

  private:
    void let_go() {
        for (auto queue = queues_.begin(); stopped_ > 0; ++queue, --stopped_) (*queue)->mutex.unlock();
    }

    const std::set<Backend*>& queues_;
    size_t stopped_ = 0;  // the first so many
};

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

void StreamingDevice::Ggml::properties(ggml_backend_dev_t device, ggml_backend_dev_props* properties) {
    ggml_backend_dev_get_props(self(device).card_, properties);
    properties->name = self(device).name_.c_str();
    properties->description = self(device).description_.c_str();
    properties->type = GGML_BACKEND_DEVICE_TYPE_GPU;
    // Resident weights are copied to the card, also where it could compute from the mapped file.
    properties->caps.buffer_from_host_ptr = false;
}

bool StreamingDevice::Ggml::supports_op(ggml_backend_dev_t device, const ggml_tensor* node) {
    if (!ggml_backend_dev_supports_op(self(device).card_, node)) return false;
    const ggml_tensor* const weight = host_weight_of_node(node);
    if (!weight) return true;
    if (node->op != GGML_OP_MUL_MAT && node->op != GGML_OP_MUL_MAT_ID) return false;
    if (HostWeights::of(weight)->network_of(weight)) {
        return node->src[0] == weight && ggml_is_contiguous(node->src[1]) && node->src[1]->ne[2] == 1 && node->src[1]->ne[3] == 1;
    }
    if (HostWeights::of(weight)->mixture_of(weight)) return node->op == GGML_OP_MUL_MAT_ID && node->src[0] == weight && ggml_is_contiguous(node->src[1]);
    const HostUnit* const unit = HostWeights::of(weight)->unit_of(weight);
    return unit && width_of(node) >= unit->stream_from_width;
}

bool StreamingDevice::Ggml::supports_type(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
    const HostWeights* const weights = HostWeights::of(type);
    return weights ? weights->card() == self(device).card_ : ggml_backend_dev_supports_buft(self(device).card_, type);
}

ggml_backend_t StreamingDevice::Ggml::init(ggml_backend_dev_t device, const char* parameters) {
    const ggml_backend_t compute = ggml_backend_dev_init(self(device).card_, parameters);
    return compute ? &(new Backend(self(device), compute))->interface : nullptr;
}

void* StreamingDevice::Ggml::procedure(ggml_backend_reg_t, const char* name) {
    if (std::strcmp(name, "ggml_backend_set_abort_callback") == 0) {
        const ggml_backend_set_abort_callback_t set = [](ggml_backend_t backend, ggml_abort_callback is_cancelled, void* data) {
            Backend& queue = Backend::self(backend);
            queue.is_cancelled = is_cancelled;
            queue.cancelled_data = data;
            queue.processor.set_abort_callback(is_cancelled, data);
        };
        return reinterpret_cast<void*>(set);
    }
    if (std::strcmp(name, "ggml_backend_set_n_threads") == 0) {
        const ggml_backend_set_n_threads_t set = [](ggml_backend_t backend, int threads) {
            Backend::self(backend).processor.set_threads(threads);
            const ggml_backend_t compute = Backend::self(backend).compute.get();
            const ggml_backend_reg_t owner = ggml_backend_dev_backend_reg(ggml_backend_get_device(compute));
            const auto inner = reinterpret_cast<ggml_backend_set_n_threads_t>(ggml_backend_reg_get_proc_address(owner, "ggml_backend_set_n_threads"));
            if (inner) inner(compute, threads);
        };
        return reinterpret_cast<void*>(set);
    }
    return nullptr;
}

StreamingDevice::Ggml::Ggml(StreamingDevice& owner) : device{}, registry{} {
    registry.api_version = GGML_BACKEND_API_VERSION;
    registry.context = &owner;
    registry.iface.get_name = [](ggml_backend_reg_t) { return "NMOS"; };
    registry.iface.get_device_count = [](ggml_backend_reg_t) -> size_t { return 1; };
    registry.iface.get_device = [](ggml_backend_reg_t of, size_t) { return static_cast<StreamingDevice*>(of->context)->handle(); };
    registry.iface.get_proc_address = &procedure;

    device.reg = &registry;
    device.context = &owner;
    device.iface.get_name = [](ggml_backend_dev_t of) { return self(of).name_.c_str(); };
    device.iface.get_description = [](ggml_backend_dev_t of) { return self(of).description_.c_str(); };
    device.iface.get_memory = [](ggml_backend_dev_t of, size_t* free, size_t* total) { ggml_backend_dev_memory(self(of).card_, free, total); };
    device.iface.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
    device.iface.get_props = &properties;
    device.iface.init_backend = &init;
    device.iface.get_buffer_type = [](ggml_backend_dev_t of) { return ggml_backend_dev_buffer_type(self(of).card_); };
    device.iface.get_host_buffer_type = [](ggml_backend_dev_t of) { return ggml_backend_dev_host_buffer_type(self(of).card_); };
    device.iface.supports_op = &supports_op;
    device.iface.supports_buft = &supports_type;
    // Layers in RAM that have no unit here: ggml copies their weights for passes for which the card wants that.
    device.iface.offload_op = [](ggml_backend_dev_t of, const ggml_tensor* node) { return !host_weight_of_node(node) && ggml_backend_dev_offload_op(self(of).card_, node); };
    if (const ggml_backend_device_i& card = owner.card_->iface; card.event_new && card.event_free && card.event_synchronize) {
        device.iface.event_new = [](ggml_backend_dev_t of) { return ggml_backend_event_new(self(of).card_); };
        device.iface.event_free = [](ggml_backend_dev_t, ggml_backend_event_t event) { ggml_backend_event_free(event); };
        device.iface.event_synchronize = [](ggml_backend_dev_t, ggml_backend_event_t event) { ggml_backend_event_synchronize(event); };
    }
}

StreamingDevice::StreamingDevice(ggml_backend_dev_t card, std::string name)
    : card_(card), name_(std::move(name)), description_(ggml_backend_dev_description(card)), ring_(card), mover_(card, ring_), ggml_(std::make_unique<Ggml>(*this)) {
    ggml_backend_register(&ggml_->registry);
}

StreamingDevice& StreamingDevice::over(ggml_backend_dev_t card) {
    static std::mutex mutex;
    // Freed never: ggml keeps what was registered until the process ends.
    static std::map<ggml_backend_dev_t, StreamingDevice*>& devices = *new std::map<ggml_backend_dev_t, StreamingDevice*>;
    static size_t made = 0;
    std::lock_guard lock(mutex);
    StreamingDevice*& device = devices[card];
    if (!device) {
        device = new StreamingDevice(card, "NMOS" + std::to_string(made));
        ++made;
    }
    return *device;
}

StreamingDevice* StreamingDevice::of(ggml_backend_dev_t device) {
    return device && device->iface.init_backend == &Ggml::init ? &Ggml::self(device) : nullptr;
}

ggml_backend_dev_t StreamingDevice::handle() const {
    return &ggml_->device;
}

uint32_t StreamingDevice::reserve_slots(const HostWeights& weights, uint32_t count) {
    std::lock_guard lock(mutex_);
    const StoppedQueues stopped(queues_);
    // Before there are any: they go with the last weights that are forgotten.
    const bool is_new = users_.insert(&weights).second;
    const uint32_t slots = ring_.reserve(count, weights.largest_streamed());
    if (slots == 0 && is_new) users_.erase(&weights);
    return slots;
}

uint64_t StreamingDevice::release(HostWeights& weights, uint64_t bytes) {
    std::lock_guard lock(mutex_);
    // It holds the memory of its layer.
    mover_.settle(weights);
    std::vector<NetworkShare*> in_vram;
    for (HostNetwork* network : weights.networks()) {
        for (HostNetwork::Share& share : network->shares) {
            if (share.in_vram()) in_vram.push_back(share.network.get());
        }
    }
    std::vector<HostMixture*> mixtures;
    for (HostMixture* mixture : weights.mixtures()) {
        if (mixture->vram()) mixtures.push_back(mixture);
    }
    if (in_vram.empty() && mixtures.empty()) return 0;
    const StoppedQueues stopped(queues_);
    ++moves_;
    uint64_t released = 0;
    for (auto mixture = mixtures.rbegin(); mixture != mixtures.rend() && released < bytes; ++mixture) {
        released += (*mixture)->vram_bytes();
        (*mixture)->release();
    }
    for (auto share = in_vram.rbegin(); share != in_vram.rend() && released < bytes; ++share) {
        released += (*share)->bytes();
        (*share)->move_back();
    }
    return released;
}

uint64_t StreamingDevice::restore(HostWeights& weights, const std::function<bool()>& go_on, uint64_t most) {
    std::lock_guard restoring(restore_mutex_);
    if (!restorer_) restorer_ = std::make_unique<Restorer>(card_);
    std::vector<NetworkShare*> released;
    for (HostNetwork* network : weights.networks()) {
        for (HostNetwork::Share& share : network->shares) {
            // Only restoring brings one into VRAM, and that is done by one thread at a time.
            if (!share.unit && !share.in_vram()) released.push_back(share.network.get());
        }
    }
    uint64_t restored = 0;
    try {
        restorer_->restore(released, go_on, most, [&](NetworkShare& share, NetworkShare::Room room) {
            std::lock_guard lock(restored_mutex_);
            restored_.push_back({&weights, &share, std::move(room)});
            restored += share.bytes();
        });
        copy_mixtures(weights, go_on, most, restored);
    } catch (const std::bad_alloc&) {
        // As where the card has no more: what is there by now counts.
    } catch (const std::exception& error) {
        // Also where a driver throws. If the card is lost, the next pass fails and says so.
        log(LogLevel::Warn, "No more is brought back into graphics memory for now:");
        log(LogLevel::Warn, error.what());
    }
    std::lock_guard lock(mutex_);
    adopt_restored();
    return restored;
}

void StreamingDevice::adopt_restored() {
    std::lock_guard lock(restored_mutex_);
    if (!restored_.empty() || !restored_mixtures_.empty()) ++moves_;
    for (Restored& one : restored_) one.share->move_to(std::move(one.room));
    restored_.clear();
    for (RestoredMixture& one : restored_mixtures_) one.mixture->move_to(std::move(one.vram));
    restored_mixtures_.clear();
}

void StreamingDevice::page_in(const HostWeights& weights, const std::function<bool()>& go_on) {
    // Read in a millisecond, or in a few by a slow disk, which has more to do at any time.
    constexpr size_t at_once = 512 << 10;
    constexpr size_t ahead = 8 * at_once;
    std::vector<std::pair<const char*, size_t>> mapped;
    {
        // Passes exchange experts.
        std::lock_guard lock(mutex_);
        mapped = weights.mapped();
    }
    for (const auto& [data, bytes] : mapped) {
        for (size_t asked = 0, done = 0; done < bytes; done += at_once) {
            for (; asked < std::min(bytes, done + ahead); asked += at_once) os::read_ahead(data + asked, std::min(at_once, bytes - asked));
            if (!go_on()) return;
            os::page_in(data + done, std::min(at_once, bytes - done));
        }
    }
}

void StreamingDevice::fill_slots(const HostWeights& weights) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    const std::vector<const HostUnit*> units = weights.units();
    if (lock && !units.empty()) ring_.prefetch_behind(weights, *units.back(), 1);
}

void StreamingDevice::set_wraps(bool wraps) {
    std::lock_guard lock(mutex_);
    ring_.set_wraps(wraps);
}

void StreamingDevice::forget(const HostWeights& weights) {
    std::lock_guard lock(mutex_);
    mover_.forget(weights);
    if (last_mixtures_ == &weights) last_mixtures_ = nullptr;
    {
        std::lock_guard restored(restored_mutex_);
        std::erase_if(restored_, [&](const Restored& one) { return one.owner == &weights; });
        std::erase_if(restored_mixtures_, [&](const RestoredMixture& one) { return one.owner == &weights; });
    }
    if (users_.erase(&weights) == 0) return;
    const StoppedQueues stopped(queues_);
    ring_.forget(weights);
    if (users_.empty()) ring_.release();
}

UploadCounters StreamingDevice::counters() const {
    return ring_.counters();
}

}  // namespace nmos
