#include "device/streaming_device.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "device/streaming_queue.h"
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
