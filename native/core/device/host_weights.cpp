#include "device/host_weights.h"

#include <ggml-backend-impl.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "device/copy_rows.h"
#include "device/pinned_memory.h"
#include "device/restorer.h"
#include "platform/os.h"
#include "runtime/engine_error.h"

namespace nmos {

// What ggml sees. llama.cpp maps the file into a buffer only when the buffer's type is the default one of a device that
// makes buffers from host memory, so the type has a device of its own, which is never registered and computes nothing.
struct HostWeights::Ggml {
    ggml_backend_device device;
    ggml_backend_buffer_type type;
    // With the card's: of types that are called the same, llama.cpp's loader puts the tensors into buffers of one of them.
    std::string type_name;

    explicit Ggml(HostWeights& weights);

    static HostWeights& self(ggml_backend_dev_t device) { return *static_cast<HostWeights*>(device->context); }
    static HostWeights& self(ggml_backend_buffer_type_t type) { return *static_cast<HostWeights*>(type->context); }

    static const char* name(ggml_backend_buffer_type_t type) { return self(type).ggml_->type_name.c_str(); }
    static bool is_host(ggml_backend_buffer_type_t) { return true; }
    static ggml_backend_buffer_t alloc(ggml_backend_buffer_type_t type, size_t size);
    static ggml_backend_buffer_t adopt(ggml_backend_dev_t device, void* memory, size_t size, size_t largest_tensor);
    static ggml_status init_tensor(ggml_backend_buffer_t buffer, ggml_tensor* tensor);
    static void properties(ggml_backend_dev_t device, ggml_backend_dev_props* properties);
};

namespace {

// As the processor's kernels want it.
constexpr size_t alignment = 64;

ggml_backend_dev_t processor() {
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
}

// The memory is another buffer's, which is freed with this one.
ggml_backend_buffer_t inner(ggml_backend_buffer_t buffer) {
    return static_cast<ggml_backend_buffer_t>(buffer->context);
}

void free_buffer(ggml_backend_buffer_t buffer) {
    ggml_backend_buffer_free(inner(buffer));
}

void* base(ggml_backend_buffer_t buffer) {
    return ggml_backend_buffer_get_base(inner(buffer));
}

void fill(ggml_backend_buffer_t, ggml_tensor* tensor, uint8_t value, size_t offset, size_t size) {
    std::memset(static_cast<char*>(tensor->data) + offset, value, size);
}

void set(ggml_backend_buffer_t, ggml_tensor* tensor, const void* data, size_t offset, size_t size) {
    std::memcpy(static_cast<char*>(tensor->data) + offset, data, size);
}

void get(ggml_backend_buffer_t, const ggml_tensor* tensor, void* data, size_t offset, size_t size) {
    std::memcpy(data, static_cast<const char*>(tensor->data) + offset, size);
}

void clear(ggml_backend_buffer_t buffer, uint8_t value) {
    std::memset(base(buffer), value, buffer->size);
}

uint64_t bytes_of(const NetworkTensors& network) {
    uint64_t bytes = 0;
    for (const ggml_tensor* weight : network.all()) bytes += weight ? ggml_nbytes(weight) : 0;
    return bytes;
}

size_t round_up(size_t bytes, size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

}  // namespace

// Where the file cannot be mapped.
ggml_backend_buffer_t HostWeights::Ggml::alloc(ggml_backend_buffer_type_t type, size_t size) {
    const ggml_backend_buffer_t memory = ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(processor()), size);
    if (!memory) return nullptr;
    const ggml_backend_buffer_i interface{&free_buffer, &base, &init_tensor, &fill, &set, &get, nullptr, nullptr, nullptr, &clear, nullptr};
    return ggml_backend_buffer_init(type, interface, memory, size);
}

ggml_backend_buffer_t HostWeights::Ggml::adopt(ggml_backend_dev_t device, void* memory, size_t size, size_t largest_tensor) {
    const ggml_backend_buffer_t mapped = ggml_backend_dev_buffer_from_host_ptr(processor(), memory, size, largest_tensor);
    if (!mapped) return nullptr;
    const ggml_backend_buffer_i interface{&free_buffer, &base, &init_tensor, &fill, &set, &get, nullptr, nullptr, nullptr, &clear, nullptr};
    return ggml_backend_buffer_init(&self(device).ggml_->type, interface, mapped, size);
}

ggml_status HostWeights::Ggml::init_tensor(ggml_backend_buffer_t buffer, ggml_tensor* tensor) {
    HostWeights& weights = self(buffer->buft);
    try {
        if (!tensor->view_src) weights.add(tensor);
        return GGML_STATUS_SUCCESS;
    } catch (const std::bad_alloc&) {
        // Not every caller looks at what this returns, and none of them, in C, can be thrown through.
        weights.refused_ = true;
        return GGML_STATUS_ALLOC_FAILED;
    }
}

void HostWeights::Ggml::properties(ggml_backend_dev_t, ggml_backend_dev_props* properties) {
    *properties = {};
    properties->name = properties->description = "NMOS_RAM";
    properties->type = GGML_BACKEND_DEVICE_TYPE_ACCEL;
    properties->caps.buffer_from_host_ptr = true;
    properties->caps.mmap_support = true;
}

HostWeights::Ggml::Ggml(HostWeights& weights) : device{}, type{}, type_name(std::string("NMOS_RAM_") + ggml_backend_dev_name(weights.card_)) {
    type.iface.get_name = &name;
    type.iface.alloc_buffer = &alloc;
    type.iface.get_alignment = [](ggml_backend_buffer_type_t) { return alignment; };
    type.iface.is_host = &is_host;
    type.device = &device;
    type.context = &weights;
    device.iface.get_name = device.iface.get_description = [](ggml_backend_dev_t) { return "NMOS_RAM"; };
    device.iface.get_memory = [](ggml_backend_dev_t, size_t* free, size_t* total) { *free = *total = 0; };
    device.iface.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_ACCEL; };
    device.iface.get_props = &properties;
    device.iface.get_buffer_type = [](ggml_backend_dev_t of) { return &self(of).ggml_->type; };
    device.iface.buffer_from_host_ptr = &adopt;
    device.iface.supports_op = [](ggml_backend_dev_t, const ggml_tensor*) { return false; };
    device.iface.supports_buft = [](ggml_backend_dev_t of, ggml_backend_buffer_type_t asked) { return asked == &self(of).ggml_->type; };
    device.reg = ggml_backend_dev_backend_reg(processor());
    device.context = &weights;
}

HostWeights::HostWeights(ggml_backend_dev_t card, HostWeightsOptions options)
    : card_(card), options_(std::move(options)), ggml_(std::make_unique<Ggml>(*this)) {}

HostWeights::~HostWeights() = default;

ggml_backend_buffer_type_t HostWeights::buffer_type() {
    return &ggml_->type;
}

HostWeights* HostWeights::of(ggml_backend_buffer_type_t type) {
    return type && type->iface.get_name == &Ggml::name ? &Ggml::self(type) : nullptr;
}

HostWeights* HostWeights::of(const ggml_tensor* tensor) {
    return tensor->buffer ? of(tensor->buffer->buft) : nullptr;
}

ggml_tensor* HostNetwork::on_card(const ggml_tensor* weight) const {
    if (!undivided() || !shares.front().in_vram()) return nullptr;
    const NetworkTensors there = shares.front().network->weights();
    return weight == whole.gate ? there.gate : weight == whole.up ? there.up : there.down;
}

// While llama.cpp loads; what a tensor holds is not known yet.
void HostWeights::add(ggml_tensor* tensor) {
    const std::optional<UnitId> id = unit_of_tensor(tensor->name, options_.output_layer);
    if (!id) return;
    if (id->group == UnitGroup::FeedForward && options_.networks.contains(id->layer)) {
        NetworkTensors& whole = networks_[id->layer].whole;
        const std::string_view name = tensor->name;
        if (name.ends_with(".ffn_gate.weight")) whole.gate = tensor;
        if (name.ends_with(".ffn_up.weight")) whole.up = tensor;
        if (name.ends_with(".ffn_down.weight")) whole.down = tensor;
        return;
    }
    if (id->group == UnitGroup::Experts && options_.mixtures.contains(id->layer)) {
        NetworkTensors& whole = mixture_tensors_[id->layer];
        const std::string_view name = tensor->name;
        if (name.ends_with(".ffn_gate_exps.weight")) whole.gate = tensor;
        if (name.ends_with(".ffn_up_exps.weight")) whole.up = tensor;
        if (name.ends_with(".ffn_down_exps.weight")) whole.down = tensor;
        return;
    }
    HostUnit& unit = units_[*id];
    unit.id = *id;
    if (const auto width = options_.stream_from_width.find(*id); width != options_.stream_from_width.end()) {
        unit.stream_from_width = width->second;
    }
    add_weight(unit, tensor);
    unit_of_[tensor] = &unit;
}

void HostWeights::add_weight(HostUnit& unit, ggml_tensor* tensor) {
    // As it lies in a slot.
    ggml_tensor packed = *tensor;
    packed.nb[1] = ggml_row_size(packed.type, packed.ne[0]);
    packed.nb[2] = packed.nb[1] * static_cast<size_t>(packed.ne[1]);
    packed.nb[3] = packed.nb[2] * static_cast<size_t>(packed.ne[2]);
    const ggml_backend_buffer_type_t vram = ggml_backend_dev_buffer_type(card_);
    const size_t wanted = ggml_backend_buft_get_alloc_size(vram, &packed);
    const size_t offset = round_up(unit.slot_bytes, ggml_backend_buft_get_alignment(vram));
    unit.weights.push_back({tensor, offset, wanted - ggml_nbytes(&packed)});
    unit.slot_bytes = offset + wanted;
}

void HostWeights::cut(uint32_t layer, const NetworkCut& cut) {
    HostNetwork& network = networks_[layer];
    const NetworkTensors& whole = network.whole;
    const auto all = whole.all();
    const bool complete = std::ranges::all_of(all, [](const ggml_tensor* tensor) { return tensor != nullptr; });
    const int64_t hidden = complete ? whole.gate->ne[1] : 0;
    const bool fits = complete && cut.pieces > 0 && hidden % cut.pieces == 0 && whole.up->ne[1] == hidden && whole.down->ne[0] == hidden &&
                      hidden / cut.pieces % ggml_blck_size(whole.down->type) == 0 && cut.resident + cut.streamed + cut.early <= cut.pieces;
    if (!fits) {
        throw EngineError(ErrorCode::ModelUnsupported, "Expected the feed-forward network of layer " + std::to_string(layer) + " to divide into " +
                                                           std::to_string(cut.pieces) + " pieces, but it does not. Choose another model.");
    }
    const int64_t rows = hidden / cut.pieces;
    int64_t begin = 0;
    const auto share = [&](uint32_t pieces) -> NetworkShare& {
        network.shares.push_back({std::make_unique<NetworkShare>(whole, begin, rows * pieces), nullptr});
        begin += rows * pieces;
        return *network.shares.back().network;
    };
    const auto in_ram = [&](uint32_t pieces, uint32_t stream_from_width) {
        NetworkShare& part = share(pieces);
        const UnitId id{layer, UnitGroup::FeedForward, static_cast<uint32_t>(network.shares.size())};
        const ggml_backend_buffer_type_t pinned = pinned_memory_type(card_);
        HostUnit& unit = units_[id];
        unit.id = id;
        unit.stream_from_width = stream_from_width;
        unit.pinned = options_.memory == HostMemory::Pinned && pinned && part.move_into(pinned);
        for (ggml_tensor* weight : part.weights().all()) add_weight(unit, weight);
        network.shares.back().unit = &unit;
    };
    if (cut.resident > 0) share(cut.resident);
    if (cut.streamed > 0) in_ram(cut.streamed, 1);
    if (cut.early > 0) in_ram(cut.early, cut.stream_early_from_width);
    if (cut.rest() > 0) in_ram(cut.rest(), cut.stream_rest_from_width);
    for (const ggml_tensor* tensor : all) network_of_[tensor] = &network;
    largest_result_ = std::max(largest_result_, static_cast<size_t>(whole.down->ne[1]) * options_.widest_pass * sizeof(float));
}

bool HostWeights::divide_mixture(uint32_t layer, const NetworkCut& cut, std::optional<Restorer>& restorer, const std::function<bool()>& go_on) {
    const NetworkTensors& whole = mixture_tensors_[layer];
    const bool complete = whole.gate && whole.up && whole.down;
    const int64_t experts = complete ? whole.gate->ne[2] : 0;
    const bool fits = complete && cut.pieces == experts && whole.up->ne[2] == experts && whole.down->ne[2] == experts && cut.resident < cut.pieces;
    if (!fits) {
        throw EngineError(ErrorCode::ModelUnsupported, "Expected layer " + std::to_string(layer) + " to have " + std::to_string(cut.pieces) +
                                                           " experts, not all of them on the card, but it has " + std::to_string(experts) +
                                                           ". Choose another model.");
    }
    auto mixture = std::make_unique<HostMixture>(whole, cut);
    if (cut.resident > 0) {
        const HostMixture::RoomPtr vram = mixture->make_room(ggml_backend_dev_buffer_type(card_), cut.resident);
        if (!vram) {
            throw EngineError(ErrorCode::OutOfMemory, "The card has no room for the experts of layer " + std::to_string(layer) +
                                                          ". Lower the VRAM limit or close other programs.");
        }
        const auto* const base = static_cast<const char*>(ggml_backend_buffer_get_base(vram->buffer.get()));
        std::vector<Upload::Part> parts;
        for (size_t i = 0; i < vram->weights.size(); ++i) {
            const auto begin = static_cast<size_t>(static_cast<const char*>(vram->weights[i]->data) - base);
            parts.push_back({whole.all()[i]->data, begin, static_cast<size_t>(cut.resident) * whole.all()[i]->nb[2], 1, 0});
        }
        if (!restorer) restorer.emplace(card_);
        if (!restorer->copy(vram->buffer.get(), parts, go_on)) return false;
        mixture->move_to(vram);
    }
    HostUnit& unit = units_[{layer, UnitGroup::Experts}];
    unit.id = {layer, UnitGroup::Experts};
    unit.stream_from_width = cut.stream_rest_from_width;
    const ggml_backend_buffer_type_t pinned = pinned_memory_type(card_);
    unit.pinned = options_.memory == HostMemory::Pinned && pinned && mixture->pin(pinned);
    // As all of them lie in a slot.
    std::array<size_t, 3> offsets{};
    std::array<size_t, 3> paddings{};
    for (size_t i = 0; i < offsets.size(); ++i) {
        ggml_tensor together = *whole.all()[i];
        together.ne[2] = mixture->slot_places();
        together.nb[3] = together.nb[2] * static_cast<size_t>(together.ne[2]);
        add_weight(unit, &together);
        offsets[i] = unit.weights.back().slot_offset;
        paddings[i] = unit.weights.back().padding;
    }
    mixture->stream_with(unit, offsets, paddings);
    for (const ggml_tensor* tensor : whole.all()) mixture_of_[tensor] = mixture.get();
    mixtures_[layer] = std::move(mixture);
    return true;
}

// Copies a unit that is no share of a network into pinned memory, when the system grants it.
void HostWeights::pin(HostUnit& unit) {
    ggml_backend_buffer_ptr memory = allocate_pinned(card_, unit.slot_bytes);
    if (!memory) return;
    for (const HostUnit::Weight& weight : unit.weights) {
        char* const copy = static_cast<char*>(ggml_backend_buffer_get_base(memory.get())) + weight.slot_offset;
        copy_bytes(copy, static_cast<const char*>(weight.tensor->data), ggml_nbytes(weight.tensor));
        weight.tensor->data = copy;
    }
    unit.pinned = true;
    pinned_.push_back(std::move(memory));
}

bool HostWeights::settle(const std::function<bool(float)>& go_on) {
    if (refused_) throw EngineError(ErrorCode::OutOfMemory, "There is no memory for the list of a model's weights. Close other programs.");
    if (options_.memory == HostMemory::Pinned) {
        for (auto& [id, unit] : units_) {
            if (!go_on(0)) return false;
            pin(unit);
        }
    }
    uint64_t in_ram = 0;
    uint64_t all = 0;
    for (const auto& [layer, network] : options_.networks) all += bytes_of(networks_[layer].whole);
    for (const auto& [layer, mixture] : options_.mixtures) all += bytes_of(mixture_tensors_[layer]);
    const auto fraction = [&](uint64_t bytes) { return static_cast<float>(static_cast<double>(bytes) / static_cast<double>(std::max<uint64_t>(1, all))); };
    std::vector<NetworkShare*> resident;
    for (const auto& [layer, network] : options_.networks) {
        if (!go_on(fraction(in_ram))) return false;
        cut(layer, network);
        for (const HostNetwork::Share& share : networks_[layer].shares) {
            if (share.unit) in_ram += share.network->bytes();
            else resident.push_back(share.network.get());
        }
    }
    std::optional<Restorer> restorer;
    for (const auto& [layer, mixture] : options_.mixtures) {
        const auto going_on = [&] { return go_on(fraction(in_ram)); };
        if (!going_on() || !divide_mixture(layer, mixture, restorer, going_on)) return false;
        in_ram += bytes_of(mixture_tensors_[layer]);
    }
    restorer.reset();
    return resident.empty() || fill_vram(resident, [&](uint64_t bytes) { return go_on(fraction(in_ram + bytes)); });
}

bool HostWeights::fill_vram(const std::vector<NetworkShare*>& resident, const std::function<bool(uint64_t)>& go_on) {
    uint64_t bytes = 0;
    bool going_on = true;
    const auto ask = [&] { return going_on = go_on(bytes); };
    Restorer(card_).restore(resident, ask, UINT64_MAX, [&](NetworkShare& share, NetworkShare::Room room) {
        share.move_to(std::move(room));
        bytes += share.bytes();
    });
    if (!going_on) return false;
    for (const auto& [layer, network] : networks_) {
        if (network.shares.empty() || network.shares.front().unit || network.shares.front().in_vram()) continue;
        throw EngineError(ErrorCode::OutOfMemory, "The card has no room for the feed-forward network of layer " + std::to_string(layer) +
                                                      ". Lower the VRAM limit or close other programs.");
    }
    return true;
}

void HostWeights::give_up() {
    network_of_.clear();
    mixture_of_.clear();
    mixtures_.clear();
    unit_of_.clear();
    networks_.clear();
    units_.clear();
    pinned_.clear();
}

std::vector<HostNetwork*> HostWeights::networks() {
    std::vector<HostNetwork*> networks;
    for (auto& [layer, network] : networks_) networks.push_back(&network);
    return networks;
}

HostNetwork* HostWeights::network_of(const ggml_tensor* tensor) const {
    const auto found = network_of_.find(tensor);
    return found == network_of_.end() ? nullptr : found->second;
}

HostMixture* HostWeights::mixture_of(const ggml_tensor* tensor) const {
    const auto found = mixture_of_.find(tensor);
    return found == mixture_of_.end() ? nullptr : found->second;
}

std::vector<HostMixture*> HostWeights::mixtures() const {
    std::vector<HostMixture*> mixtures;
    for (const auto& [layer, mixture] : mixtures_) mixtures.push_back(mixture.get());
    return mixtures;
}

const HostUnit* HostWeights::unit_of(const ggml_tensor* tensor) const {
    const auto found = unit_of_.find(tensor);
    return found == unit_of_.end() ? nullptr : found->second;
}

std::vector<const HostUnit*> HostWeights::units() const {
    std::vector<const HostUnit*> units;
    for (const auto& [id, unit] : units_) units.push_back(&unit);
    return units;
}

std::vector<std::pair<const char*, size_t>> HostWeights::mapped() const {
    std::vector<std::pair<const char*, size_t>> pieces;
    for (const auto& [id, unit] : units_) {
        if (unit.pinned) continue;
        for (const HostUnit::Weight& weight : unit.weights) pieces.emplace_back(static_cast<const char*>(weight.tensor->data), ggml_nbytes(weight.tensor));
    }
    return pieces;
}

const HostUnit* HostWeights::next_streamed(const HostUnit& unit, uint32_t width) const {
    const auto self = units_.find(unit.id);
    auto next = self;
    do {
        if (++next == units_.end()) next = units_.begin();
        if (next->second.stream_from_width <= width) return &next->second;
    } while (next != self);
    return nullptr;
}

size_t HostWeights::largest_streamed() const {
    size_t most = 0;
    for (const auto& [id, unit] : units_) {
        if (unit.stream_from_width != never_streamed) most = std::max(most, unit.slot_bytes);
    }
    return most;
}

}  // namespace nmos
