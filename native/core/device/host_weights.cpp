#include "device/host_weights.h"

#include <ggml-backend-impl.h>

#include <algorithm>
#include <cstring>

namespace nmos {

// What ggml sees. llama.cpp maps the file into a buffer only when the buffer's type is the default one of a device that
// makes buffers from host memory, so the type has a device of its own, which is never registered and computes nothing.
struct HostWeights::Ggml {
    ggml_backend_device device;
    ggml_backend_buffer_type type;

    explicit Ggml(HostWeights& weights);

    static HostWeights& self(ggml_backend_dev_t device) { return *static_cast<HostWeights*>(device->context); }
    static HostWeights& self(ggml_backend_buffer_type_t type) { return *static_cast<HostWeights*>(type->context); }

    static const char* name(ggml_backend_buffer_type_t) { return "NMOS_RAM"; }
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

size_t round_up(size_t bytes, size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

}  // namespace

ggml_backend_buffer_t HostWeights::Ggml::alloc(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t memory = nullptr;
    const ggml_backend_buffer_type_t pinned = ggml_backend_dev_host_buffer_type(self(type).card_);
    if (pinned && self(type).options_.memory == HostMemory::Pinned) memory = ggml_backend_buft_alloc_buffer(pinned, size);
    if (!memory) self(type).pinned_ = false;
    if (!memory) memory = ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(processor()), size);
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
    if (!tensor->view_src) self(buffer->buft).add(tensor);
    return GGML_STATUS_SUCCESS;
}

void HostWeights::Ggml::properties(ggml_backend_dev_t device, ggml_backend_dev_props* properties) {
    *properties = {};
    properties->name = properties->description = "NMOS_RAM";
    properties->type = GGML_BACKEND_DEVICE_TYPE_ACCEL;
    properties->caps.buffer_from_host_ptr = self(device).options_.memory == HostMemory::Mapped;
    properties->caps.mmap_support = true;
}

HostWeights::Ggml::Ggml(HostWeights& weights) : device{}, type{} {
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
    : card_(card), options_(std::move(options)), pinned_(options_.memory == HostMemory::Pinned), ggml_(std::make_unique<Ggml>(*this)) {}

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

void HostWeights::add(ggml_tensor* tensor) {
    const std::optional<UnitId> id = unit_of_tensor(tensor->name, options_.output_layer);
    if (!id) return;
    HostUnit& unit = units_[*id];
    unit.id = *id;
    if (const auto width = options_.stream_from_width.find(*id); width != options_.stream_from_width.end()) {
        unit.stream_from_width = width->second;
    }
    const ggml_backend_buffer_type_t vram = ggml_backend_dev_buffer_type(card_);
    const size_t wanted = ggml_backend_buft_get_alloc_size(vram, tensor);
    const size_t offset = round_up(unit.slot_bytes, ggml_backend_buft_get_alignment(vram));
    unit.weights.push_back({tensor, offset, wanted - ggml_nbytes(tensor)});
    unit.slot_bytes = offset + wanted;
    unit_of_[tensor] = &unit;
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
