#include "sim_device.h"

#include <ggml-backend-impl.h>
#include <ggml-cpp.h>
#include <ggml-impl.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>
#include <stdexcept>
#include <unordered_map>

#include "sim_clock.h"

namespace nmos::sim {

namespace {

constexpr size_t alignment = 256;

bool computes_nothing(const ggml_tensor* node) {
    switch (node->op) {
        case GGML_OP_NONE:
        case GGML_OP_VIEW:
        case GGML_OP_RESHAPE:
        case GGML_OP_PERMUTE:
        case GGML_OP_TRANSPOSE: return true;
        default: return ggml_nelements(node) == 0;
    }
}

// What an operation reads and writes: of tensors out of which rows are taken, or into which rows are written, only those.
double moved_bytes(const ggml_tensor* node) {
    const ggml_tensor* const first = node->src[0];
    if (node->op == GGML_OP_GET_ROWS) return 2.0 * static_cast<double>(ggml_nbytes(node));
    if (node->op == GGML_OP_SET_ROWS) {
        return static_cast<double>(ggml_nbytes(first) + ggml_row_size(node->type, first->ne[0]) * static_cast<size_t>(ggml_nrows(first)));
    }
    double bytes = static_cast<double>(ggml_nbytes(node));
    for (const ggml_tensor* operand : node->src) {
        if (operand) bytes += static_cast<double>(ggml_nbytes(operand));
    }
    return bytes;
}

ggml_backend_dev_t processor() {
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
}

thread_local int depth_inside = 0;

// This thread is inside a card as long as it lives.
class Inside {
  public:
    Inside() { ++depth_inside; }
    ~Inside() { --depth_inside; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
};

// A graph as it is at this moment: what happens to the tensors' pointers afterwards does not matter, as on a card, which
// reads them when the command is given.
class Snapshot {
  public:
    explicit Snapshot(const ggml_cgraph* graph) {
        const auto size = static_cast<size_t>(graph->n_nodes);
        context_.reset(ggml_init({ggml_graph_overhead_custom(size, false), nullptr, true}));
        copy_ = ggml_new_graph_custom(context_.get(), size, false);
        for (int i = 0; i < graph->n_nodes; ++i) ggml_graph_add_node(copy_, copy_of(graph->nodes[i], true));
    }

    ggml_cgraph* graph() const { return copy_; }

  private:
    ggml_tensor* copy_of(const ggml_tensor* tensor, bool with_operands) {
        const auto [entry, added] = copies_.try_emplace(tensor, nullptr);
        if (added) {
            tensors_.push_back(*tensor);
            entry->second = &tensors_.back();
        }
        ggml_tensor* const copy = entry->second;
        if (with_operands) {
            for (ggml_tensor*& operand : copy->src) {
                if (operand) operand = copy_of(operand, false);
            }
        }
        return copy;
    }

    std::deque<ggml_tensor> tensors_;
    std::unordered_map<const ggml_tensor*, ggml_tensor*> copies_;
    ggml_context_ptr context_;
    ggml_cgraph* copy_ = nullptr;
};

}  // namespace

bool is_inside_card() {
    return depth_inside > 0;
}

struct SimDevice::Event {
    ggml_backend_event ggml{};
    double moment = 0;                // timed: when it happens
    // Exact: happens when a queue, which may be gone by then, has run so many commands. Null when never recorded.
    std::shared_ptr<const uint64_t> ran;
    uint64_t count = 0;

    bool happened() const { return !ran || *ran >= count; }
};

struct SimDevice::Queue {
    SimDevice& device;
    ggml_backend ggml{};
    double free_at = 0;               // timed: when the last command ends
    double ready_at = 0;              // timed: the same, but for the events that the next command waits for
    struct Command {
        std::function<void()> run;
        std::function<bool()> ready;  // none: at once
    };
    std::deque<Command> commands;     // exact: not yet run
    // Exact: graphs with a number are repeated as they were when the number was new, as CUDA's are: where their weights lie
    // since then is not looked at.
    struct Repeated {
        uint64_t uid = 0;
        std::shared_ptr<Snapshot> snapshot;
    };
    std::unordered_map<const ggml_tensor*, Repeated> repeated;  // by the first node
    uint64_t given = 0;
    std::shared_ptr<uint64_t> ran = std::make_shared<uint64_t>(0);

    explicit Queue(SimDevice& device);
    static Queue& self(ggml_backend_t backend) { return *static_cast<Queue*>(backend->context); }
    std::atomic<bool> in_use = false;

    void add(std::function<void()> run, std::function<bool()> ready = nullptr) {
        commands.push_back({std::move(run), std::move(ready)});
        ++given;
    }
};

// As long as it lives, no other thread may use the queue: those of real cards do not survive it.
class SimDevice::OneUser {
  public:
    explicit OneUser(Queue& queue) : queue_(queue) {
        if (!queue_.in_use.exchange(true)) return;
        std::fputs("Two threads use a queue of a simulated card at the same time.\n", stderr);
        std::abort();
    }
    ~OneUser() { queue_.in_use = false; }
    OneUser(const OneUser&) = delete;
    OneUser& operator=(const OneUser&) = delete;

  private:
    Queue& queue_;
};

struct SimDevice::Buffer {
    SimDevice& device;
    char* memory = nullptr;
    size_t size = 0;
    bool host = false;

    static Buffer& self(ggml_backend_buffer_t buffer) { return *static_cast<Buffer*>(buffer->context); }
};

struct SimDevice::Ggml {
    ggml_backend_device device{};
    ggml_backend_reg registry{};
    ggml_backend_buffer_type memory{};
    ggml_backend_buffer_type pinned{};
    ggml_backend_ptr processor;  // exact: computes

    explicit Ggml(SimDevice& owner);

    static SimDevice& self(ggml_backend_dev_t device) { return *static_cast<SimDevice*>(device->context); }
    static SimDevice& self(ggml_backend_buffer_type_t type) { return *static_cast<SimDevice*>(type->context); }
    static const char* memory_name(ggml_backend_buffer_type_t type) { return self(type).name_.c_str(); }
    static const char* pinned_name(ggml_backend_buffer_type_t) { return "SIM_Host"; }
};

// Memory

bool SimDevice::refuses() {
    const uint64_t request = requests_++;
    return refusal_.lasting ? request >= refusal_.granted : request == refusal_.granted;
}

ggml_backend_buffer_t SimDevice::allocate(ggml_backend_buffer_type_t type, size_t size, bool host) {
    const Inside inside;
    std::lock_guard lock(mutex_);
    if (granted_allocations_ == 0) throw std::runtime_error(name_ + ": the device was lost");
    if (granted_allocations_ > 0) --granted_allocations_;
    const bool refused = refuses();
    const bool fails = (failing_allocation_ >= 0 && failing_allocation_-- == 0) || refused;
    if (host && (fails || (refused_pinned_ > 0 && ++pinned_requests_ % refused_pinned_ == 0))) {
        return ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)), size);
    }
    if (fails) return nullptr;
    if (!host && used_ + foreign_ + size > profile_.vram_bytes) return nullptr;
    // Untouched memory costs nothing: a timed card never touches its own.
    char* const memory = static_cast<char*>(::operator new(size, std::align_val_t(alignment), std::nothrow));
    if (!memory) return nullptr;
    if (host) pinned_[memory] = size;
    else used_ += size;
    ggml_backend_buffer_i interface{};
    interface.free_buffer = [](ggml_backend_buffer_t buffer) {
        Buffer& self = Buffer::self(buffer);
        self.device.free_memory(self);
        delete &self;
    };
    interface.get_base = [](ggml_backend_buffer_t buffer) { return static_cast<void*>(Buffer::self(buffer).memory); };
    interface.memset_tensor = [](ggml_backend_buffer_t buffer, ggml_tensor* tensor, uint8_t value, size_t offset, size_t bytes) {
        if (Buffer::self(buffer).host || Buffer::self(buffer).device.mode_ == Mode::Exact) std::memset(static_cast<char*>(tensor->data) + offset, value, bytes);
    };
    interface.clear = [](ggml_backend_buffer_t buffer, uint8_t value) {
        const Buffer& self = Buffer::self(buffer);
        if (self.host || self.device.mode_ == Mode::Exact) std::memset(self.memory, value, self.size);
    };
    interface.set_tensor = [](ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, size_t offset, size_t bytes) {
        char* const to = static_cast<char*>(tensor->data) + offset;
        if (Buffer::self(buffer).host) std::memcpy(to, data, bytes);
        else Buffer::self(buffer).device.transfer_now(Direction::Up, to, data, bytes);
    };
    interface.get_tensor = [](ggml_backend_buffer_t buffer, const ggml_tensor* tensor, void* data, size_t offset, size_t bytes) {
        const char* const from = static_cast<const char*>(tensor->data) + offset;
        if (Buffer::self(buffer).host) std::memcpy(data, from, bytes);
        else Buffer::self(buffer).device.transfer_now(Direction::Down, data, from, bytes);
        if (!Buffer::self(buffer).host) Buffer::self(buffer).device.draw_orders(tensor, data, bytes);
    };
    return ggml_backend_buffer_init(type, interface, new Buffer{*this, memory, size, host}, size);
}

void SimDevice::free_memory(Buffer& buffer) {
    std::lock_guard lock(mutex_);
    if (buffer.host) pinned_.erase(buffer.memory);
    else used_ -= buffer.size;
    ::operator delete(buffer.memory, std::align_val_t(alignment));
}

bool SimDevice::is_pinned(const void* memory) const {
    const char* const address = static_cast<const char*>(memory);
    const auto behind = pinned_.upper_bound(address);
    return behind != pinned_.begin() && address < std::prev(behind)->first + std::prev(behind)->second;
}

// Time

// Occupies an engine from `earliest` or from when it is free; returns when that ends.
double SimDevice::schedule(double& engine, double earliest, double seconds) {
    engine = std::max({now(), earliest, engine}) + seconds;
    return engine;
}

double SimDevice::transfer_until(Direction direction, double earliest, const void* host, size_t size) {
    const double bandwidth = is_pinned(host) ? profile_.pinned_bandwidth : profile_.pageable_bandwidth;
    const double seconds = profile_.transfer_seconds + static_cast<double>(size) / bandwidth;
    (direction == Direction::Up ? traffic_.uploaded : traffic_.downloaded) += size;
    if (direction == Direction::Up) traffic_.uploading_seconds += seconds;
    return schedule(direction == Direction::Up ? upload_free_ : download_free_, earliest, seconds);
}

double SimDevice::seconds_of(const ggml_tensor* node) const {
    if (computes_nothing(node)) return 0;
    const ggml_tensor* const first = node->src[0];
    const ggml_tensor* const second = node->src[1];
    double bytes = moved_bytes(node);
    // Of a tensor of which only some rows are written, those.
    double operations = static_cast<double>(ggml_nelements(node->op == GGML_OP_SET_ROWS ? first : node));
    if (node->op == GGML_OP_MUL_MAT || node->op == GGML_OP_MUL_MAT_ID) operations *= 2.0 * static_cast<double>(first->ne[0]);
    if (node->op == GGML_OP_MUL_MAT_ID) {
        // Only the experts that were chosen are read.
        const double chosen = static_cast<double>(ggml_nelements(node->src[2]));
        const auto experts = static_cast<double>(first->ne[2]);
        const double share = 1.0 - std::pow(1.0 - 1.0 / experts, chosen);
        bytes -= static_cast<double>(ggml_nbytes(first)) * (1.0 - share);
    }
    if (node->op == GGML_OP_FLASH_ATTN_EXT) operations *= 4.0 * static_cast<double>(second->ne[1]);
    return profile_.launch_seconds + std::max(bytes / profile_.vram_bandwidth, operations / profile_.operations);
}

// Commands

bool SimDevice::compute(Queue& queue, ggml_cgraph* graph) {
    const Inside inside;
    std::lock_guard lock(mutex_);
    if (is_lost_) return false;
    if (mode_ == Mode::Exact) {
        auto snapshot = std::make_shared<Snapshot>(graph);
        if (graph->uid != 0) {
            Queue::Repeated& known = queue.repeated[graph->nodes[0]];
            if (known.uid == graph->uid) snapshot = known.snapshot;
            known = {graph->uid, snapshot};
        }
        queue.add([this, snapshot] { ggml_backend_graph_compute(ggml_->processor.get(), snapshot->graph()); });
        return true;
    }
    double seconds = 0;
    for (int i = 0; i < graph->n_nodes; ++i) seconds += seconds_of(graph->nodes[i]) * times_as_long_;
    traffic_.computing_seconds += seconds;
    const double could_begin = std::max({now(), queue.ready_at, engine_free_});
    const double begins = std::max(could_begin, queue.free_at);
    traffic_.stalled_seconds += begins - could_begin;
    queue.ready_at = queue.free_at = schedule(engine_free_, begins, seconds);
    return true;
}

void SimDevice::transfer(Queue& queue, Direction direction, void* to, const void* from, size_t size) {
    const Inside inside;
    const void* const host = direction == Direction::Up ? from : to;
    {
        std::lock_guard lock(mutex_);
        if (mode_ == Mode::Exact) {
            (direction == Direction::Up ? traffic_.uploaded : traffic_.downloaded) += size;
            const bool lost = direction == Direction::Down && size == lost_download_;
            queue.add([to, from, size, lost] {
                if (!lost) std::memcpy(to, from, size);
            });
        } else {
            queue.ready_at = queue.free_at = transfer_until(direction, queue.free_at, host, size);
            if (direction == Direction::Down) draw_numbers(to, size);
        }
        if (is_pinned(host)) return;
    }
    synchronize(queue);
}

void SimDevice::transfer_now(Direction direction, void* to, const void* from, size_t size) {
    double until = 0;
    {
        std::lock_guard lock(mutex_);
        if (mode_ == Mode::Exact) {
            if (direction == Direction::Up) traffic_.uploaded += size;
            std::memcpy(to, from, size);
            return;
        }
        until = transfer_until(direction, 0, direction == Direction::Up ? from : to, size);
        if (direction == Direction::Down) draw_numbers(to, size);
    }
    sleep_until(until);
}

void SimDevice::draw_numbers(void* data, size_t size) {
    const Inside inside;
    if (noise_.empty()) {
        noise_.resize(1 << 16);
        std::uniform_real_distribution<float> number(-1, 1);
        for (float& value : noise_) value = number(random_);
    }
    const auto* const noise = reinterpret_cast<const char*>(noise_.data());
    for (size_t done = 0; done < size;) {
        const size_t begin = random_() % (noise_.size() / 2) * sizeof(float);
        const size_t part = std::min(size - done, noise_.size() * sizeof(float) - begin);
        std::memcpy(static_cast<char*>(data) + done, noise + begin, part);
        done += part;
    }
}

void SimDevice::draw_orders(const ggml_tensor* tensor, void* data, size_t size) {
    if (mode_ != Mode::Timed || tensor->type != GGML_TYPE_I32) return;
    const Inside inside;
    const auto columns = static_cast<size_t>((tensor->view_src ? tensor->view_src : tensor)->ne[0]);
    std::lock_guard lock(mutex_);
    std::vector<int32_t> order(columns);
    std::iota(order.begin(), order.end(), 0);
    std::vector<int32_t> rank = order;
    std::mt19937_64 of_name(std::hash<std::string_view>()(tensor->name));
    std::ranges::shuffle(rank, of_name);
    std::vector<double> keys(columns);
    std::uniform_real_distribution<double> uniform(1e-12, 1);
    for (size_t done = 0; done < size; done += columns * sizeof(int32_t)) {
        if (order_exponent_ == 0) {
            std::ranges::shuffle(order, random_);
        } else {
            // Draws without replacement in proportion to weights: the Gumbel-max trick.
            for (size_t i = 0; i < columns; ++i) keys[i] = -order_exponent_ * std::log(rank[i] + 1.0) - std::log(-std::log(uniform(random_)));
            std::ranges::sort(order, std::greater(), [&](int32_t i) { return keys[static_cast<size_t>(i)]; });
        }
        std::memcpy(static_cast<char*>(data) + done, order.data(), std::min(size - done, columns * sizeof(int32_t)));
    }
}

void SimDevice::record(Queue& queue, Event& event) {
    std::lock_guard lock(mutex_);
    event.moment = queue.free_at;
    event.ran = queue.ran;
    event.count = queue.given;
}

void SimDevice::wait(Queue& queue, const Event& event) {
    const Inside inside;
    std::lock_guard lock(mutex_);
    queue.free_at = std::max(queue.free_at, event.moment);
    // As it is now: the event may be recorded anew before the queue gets there.
    if (mode_ == Mode::Exact) queue.add([] {}, [recorded = event] { return recorded.happened(); });
}

void SimDevice::synchronize(Queue& queue) {
    double until = 0;
    {
        std::lock_guard lock(mutex_);
        until = queue.free_at;
        run_until([&] { return queue.commands.empty(); });
    }
    if (mode_ == Mode::Timed) sleep_until(until);
}

void SimDevice::synchronize(const Event& event) {
    double until = 0;
    {
        std::lock_guard lock(mutex_);
        until = event.moment;
        run_until([&] { return event.happened(); });
    }
    if (mode_ == Mode::Timed) sleep_until(until);
}

void SimDevice::run_until(const std::function<bool()>& finished) {
    const Inside inside;
    while (mode_ == Mode::Exact && !finished()) {
        std::vector<Queue*> ready;
        for (Queue* queue : queues_) {
            if (queue->commands.empty()) continue;
            const Queue::Command& next = queue->commands.front();
            if (!next.ready || next.ready()) ready.push_back(queue);
        }
        if (ready.empty()) {
            std::fputs("The queues of a simulated card wait for each other.\n", stderr);
            std::abort();
        }
        Queue& queue = *ready[random_() % ready.size()];
        const auto command = std::move(queue.commands.front());
        queue.commands.pop_front();
        command.run();
        ++*queue.ran;
    }
}

// What ggml sees

SimDevice::Queue::Queue(SimDevice& owner) : device(owner) {
    static ggml_guid guid = {'N', 'M', 'O', 'S', '-', 's', 'i', 'm', 'u', 'l', 'a', 't', 'e', 'd', '-', '1'};
    ggml.guid = &guid;
    ggml.device = owner.handle();
    ggml.context = this;
    ggml_backend_i& to = ggml.iface;
    to.get_name = [](ggml_backend_t backend) { return self(backend).device.name_.c_str(); };
    to.free = [](ggml_backend_t backend) {
        Queue& queue = self(backend);
        queue.device.synchronize(queue);
        {
            std::lock_guard lock(queue.device.mutex_);
            std::erase(queue.device.queues_, &queue);
        }
        delete &queue;
    };
    to.set_tensor_async = [](ggml_backend_t backend, ggml_tensor* tensor, const void* data, size_t offset, size_t size) {
        const OneUser user(self(backend));
        self(backend).device.transfer(self(backend), Direction::Up, static_cast<char*>(tensor->data) + offset, data, size);
    };
    to.get_tensor_async = [](ggml_backend_t backend, const ggml_tensor* tensor, void* data, size_t offset, size_t size) {
        const OneUser user(self(backend));
        self(backend).device.transfer(self(backend), Direction::Down, data, static_cast<const char*>(tensor->data) + offset, size);
        self(backend).device.draw_orders(tensor, data, size);
    };
    to.synchronize = [](ggml_backend_t backend) {
        const OneUser user(self(backend));
        self(backend).device.synchronize(self(backend));
    };
    to.graph_compute = [](ggml_backend_t backend, ggml_cgraph* graph) {
        const OneUser user(self(backend));
        return self(backend).device.compute(self(backend), graph) ? GGML_STATUS_SUCCESS : GGML_STATUS_FAILED;
    };
    to.event_record = [](ggml_backend_t backend, ggml_backend_event_t event) {
        const OneUser user(self(backend));
        self(backend).device.record(self(backend), *static_cast<Event*>(event->context));
    };
    to.event_wait = [](ggml_backend_t backend, ggml_backend_event_t event) {
        const OneUser user(self(backend));
        self(backend).device.wait(self(backend), *static_cast<const Event*>(event->context));
    };
}

SimDevice::Ggml::Ggml(SimDevice& owner) {
    registry.api_version = GGML_BACKEND_API_VERSION;
    registry.context = &owner;
    registry.iface.get_name = [](ggml_backend_reg_t) { return "SIM"; };
    registry.iface.get_device_count = [](ggml_backend_reg_t) -> size_t { return 1; };
    registry.iface.get_device = [](ggml_backend_reg_t of, size_t) { return static_cast<SimDevice*>(of->context)->handle(); };

    for (ggml_backend_buffer_type* type : {&memory, &pinned}) {
        type->device = &device;
        type->context = &owner;
        type->iface.get_alignment = [](ggml_backend_buffer_type_t) { return alignment; };
    }
    memory.iface.get_name = &memory_name;
    memory.iface.alloc_buffer = [](ggml_backend_buffer_type_t of, size_t size) { return self(of).allocate(of, size, false); };
    pinned.iface.get_name = &pinned_name;
    pinned.iface.alloc_buffer = [](ggml_backend_buffer_type_t of, size_t size) { return self(of).allocate(of, size, true); };
    pinned.iface.is_host = [](ggml_backend_buffer_type_t) { return true; };

    device.reg = &registry;
    device.context = &owner;
    ggml_backend_device_i& to = device.iface;
    to.get_name = [](ggml_backend_dev_t of) { return self(of).name_.c_str(); };
    to.get_description = [](ggml_backend_dev_t of) { return self(of).profile_.name.c_str(); };
    to.get_memory = [](ggml_backend_dev_t of, size_t* free, size_t* total) {
        SimDevice& card = self(of);
        std::lock_guard lock(card.mutex_);
        *total = card.profile_.vram_bytes;
        *free = *total - std::min<uint64_t>(*total, card.used_ + card.foreign_);
    };
    to.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
    to.get_props = [](ggml_backend_dev_t of, ggml_backend_dev_props* properties) {
        *properties = {};
        properties->name = of->iface.get_name(of);
        properties->description = of->iface.get_description(of);
        properties->type = GGML_BACKEND_DEVICE_TYPE_GPU;
        of->iface.get_memory(of, &properties->memory_free, &properties->memory_total);
        properties->caps = {.async = true, .host_buffer = true, .buffer_from_host_ptr = false, .events = true, .mmap_support = true};
    };
    to.init_backend = [](ggml_backend_dev_t of, const char*) {
        SimDevice& card = self(of);
        const Inside inside;
        std::lock_guard lock(card.mutex_);
        return card.refuses() ? nullptr : &card.queues_.emplace_back(new Queue(card))->ggml;
    };
    to.get_buffer_type = [](ggml_backend_dev_t of) { return &self(of).ggml_->memory; };
    to.get_host_buffer_type = [](ggml_backend_dev_t of) { return &self(of).ggml_->pinned; };
    to.supports_op = [](ggml_backend_dev_t, const ggml_tensor* node) { return ggml_backend_dev_supports_op(sim::processor(), node); };
    // As CUDA's and Vulkan's devices do: ggml's scheduler then copies weights from host memory for passes this wide.
    to.offload_op = [](ggml_backend_dev_t, const ggml_tensor* node) {
        constexpr int64_t least_width = 32;
        switch (node->op) {
            case GGML_OP_GET_ROWS: return false;
            case GGML_OP_MUL_MAT: return node->ne[1] >= least_width;
            case GGML_OP_MUL_MAT_ID:
            case GGML_OP_ROPE: return node->ne[2] >= least_width;
            default: return ggml_nrows(node) >= least_width;
        }
    };
    to.supports_buft = [](ggml_backend_dev_t of, ggml_backend_buffer_type_t type) { return type == &self(of).ggml_->memory; };
    to.event_new = [](ggml_backend_dev_t of) -> ggml_backend_event_t {
        SimDevice& card = self(of);
        const Inside inside;
        std::lock_guard lock(card.mutex_);
        if (card.refuses()) return nullptr;
        auto* const event = new Event;
        event->ggml = {of, event};
        return &event->ggml;
    };
    to.event_free = [](ggml_backend_dev_t, ggml_backend_event_t event) { delete static_cast<Event*>(event->context); };
    to.event_synchronize = [](ggml_backend_dev_t of, ggml_backend_event_t event) {
        self(of).synchronize(*static_cast<const Event*>(event->context));
    };
}

SimDevice::SimDevice(CardProfile profile, Mode mode, std::string name)
    : profile_(std::move(profile)), mode_(mode), name_(std::move(name)), ggml_(std::make_unique<Ggml>(*this)) {
    if (mode == Mode::Exact) {
        ggml_->processor.reset(ggml_backend_dev_init(processor(), nullptr));
        const auto set_threads = reinterpret_cast<ggml_backend_set_n_threads_t>(
            ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(processor()), "ggml_backend_set_n_threads"));
        // Two sets of threads that spin would stand in each other's way.
        set_threads(ggml_->processor.get(), 1);
    }
    ggml_backend_register(&ggml_->registry);
}

SimDevice& SimDevice::create(const CardProfile& profile, Mode mode) {
    static std::vector<SimDevice*>& devices = *new std::vector<SimDevice*>;
    devices.push_back(new SimDevice(profile, mode, "SIM" + std::to_string(devices.size())));
    return *devices.back();
}

ggml_backend_dev_t SimDevice::handle() const {
    return &ggml_->device;
}

void SimDevice::set_seed(uint64_t seed) {
    std::lock_guard lock(mutex_);
    random_.seed(seed);
}

void SimDevice::set_foreign_bytes(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    foreign_ = bytes;
}

void SimDevice::fail_allocation(int after) {
    std::lock_guard lock(mutex_);
    failing_allocation_ = after;
}

void SimDevice::refuse(Refusal refusal) {
    std::lock_guard lock(mutex_);
    refusal_ = refusal;
    requests_ = 0;
}

uint64_t SimDevice::requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
}

void SimDevice::break_allocations(int after) {
    std::lock_guard lock(mutex_);
    granted_allocations_ = after;
}

void SimDevice::refuse_pinned(uint32_t one_in) {
    std::lock_guard lock(mutex_);
    refused_pinned_ = one_in;
}

void SimDevice::skew_orders(double exponent) {
    std::lock_guard lock(mutex_);
    order_exponent_ = exponent;
}

void SimDevice::slow_down(double times) {
    std::lock_guard lock(mutex_);
    times_as_long_ = times;
}

void SimDevice::lose() {
    std::lock_guard lock(mutex_);
    is_lost_ = true;
}

void SimDevice::lose_downloads(size_t bytes) {
    std::lock_guard lock(mutex_);
    lost_download_ = bytes;
}

Traffic SimDevice::traffic() const {
    std::lock_guard lock(mutex_);
    return traffic_;
}

}  // namespace nmos::sim
