#include "device/upload_ring.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace nmos {

namespace {

// Read by copies that are still under way when the call that began them has returned.
constexpr std::array<char, 4096> zeros{};

}  // namespace

UploadRing::UploadRing(ggml_backend_dev_t card) : card_(card) {
    ggml_backend_dev_props properties;
    ggml_backend_dev_get_props(card, &properties);
    if (properties.caps.async && properties.caps.events) uploader_.emplace(card);
}

UploadRing::~UploadRing() {
    release();
}

uint32_t UploadRing::reserve(uint32_t count, size_t bytes) {
    const uint32_t count_before = slots();
    const size_t bytes_before = slot_bytes_;
    if (bytes > slot_bytes_) {
        release();
        slot_bytes_ = bytes;
        const size_t affordable = count + count_before * bytes_before / bytes;
        count = static_cast<uint32_t>(std::clamp<size_t>(count_before, count, affordable));
    }
    add_slots(count);
    if (!slots_.empty()) return slots();
    slot_bytes_ = bytes_before;
    add_slots(count_before);
    return 0;
}

void UploadRing::add_slots(uint32_t count) {
    while (slots_.size() < count && add_slot(slot_bytes_)) {
    }
}

// What the system refuses counts as what the card does: those that are there stay.
bool UploadRing::add_slot(size_t bytes) try {
    auto slot = std::make_unique<Slot>();
    slot->buffer.reset(ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(card_), bytes));
    if (!slot->buffer) return false;
    // Kernels may read a little beyond a weight, and what they read there must be numbers.
    ggml_backend_buffer_clear(slot->buffer.get(), 0);
    slot->bytes = bytes_of(slot->buffer.get());
    if (uploader_) {
        slot->ready.reset(ggml_backend_event_new(card_));
        slot->done.reset(ggml_backend_event_new(card_));
        if (!slot->ready || !slot->done) return false;
    }
    slots_.push_back(std::move(slot));
    return true;
} catch (const std::bad_alloc&) {
    return false;
}

void UploadRing::release() {
    if (uploader_) uploader_->synchronize();
    for (const auto& slot : slots_) {
        if (slot->user && uploader_) ggml_backend_event_synchronize(slot->done.get());
    }
    slots_.clear();
    slot_bytes_ = 0;
}

void UploadRing::forget(ggml_backend_t compute) {
    ggml_backend_synchronize(compute);
    if (uploader_) uploader_->synchronize();
    // A driver may look into the queue that an event was recorded on.
    for (const auto& slot : slots_) {
        if (slot->user == compute) slot->user = nullptr;
    }
}

void UploadRing::tidy(ggml_backend_t compute) {
    if (!uploader_) return;
    for (const auto& slot : slots_) {
        if (slot->user != compute || !slot->used) continue;
        uploader_->tidy(slot->ready.get());
        ggml_backend_event_synchronize(slot->done.get());
    }
}

void UploadRing::forget(const HostWeights& weights) {
    // A copy that reads from the weights may be under way.
    if (uploader_) uploader_->synchronize();
    for (const auto& slot : slots_) {
        if (slot->weights == &weights) slot->unit = nullptr;
    }
}

void UploadRing::forget(const HostUnit& unit) {
    Slot* const slot = find(unit);
    if (!slot) return;
    if (uploader_) uploader_->synchronize();
    slot->unit = nullptr;
}

UploadRing::Slot* UploadRing::find(const HostUnit& unit) {
    const auto found = std::ranges::find_if(slots_, [&](const auto& slot) { return slot->unit == &unit; });
    return found == slots_.end() ? nullptr : found->get();
}

UploadRing::Slot* UploadRing::oldest(const std::vector<const HostUnit*>& needed) {
    Slot* oldest = nullptr;
    for (const auto& slot : slots_) {
        if (slot->unit && std::ranges::find(needed, slot->unit) != needed.end()) continue;
        if (!slot->unit) return slot.get();
        if (!oldest || slot->turn < oldest->turn) oldest = slot.get();
    }
    return oldest;
}

void UploadRing::upload(Slot& slot, const HostWeights& weights, const HostUnit& unit) {
    if (slot.unit && !slot.used) ++discarded_;
    Upload upload{&slot.bytes, {}, unit.pinned, slot.user ? slot.done.get() : nullptr, slot.ready.get()};
    for (const HostUnit::Weight& weight : unit.weights) {
        const auto part = Upload::Part::of(weight.tensor, weight.slot_offset);
        const size_t size = part.rows * part.size;
        bytes_ += size;
        Upload::Part* const last = upload.parts.empty() ? nullptr : &upload.parts.back();
        // What lies one behind the other on both sides, as experts do, is copied at once.
        if (last && last->rows == 1 && part.rows == 1 && last->offset + last->size == part.offset && static_cast<const char*>(last->data) + last->size == part.data) last->size += size;
        else upload.parts.push_back(part);
        for (size_t done = 0; done < weight.padding; done += zeros.size()) {
            upload.parts.push_back({zeros.data(), weight.slot_offset + size + done, std::min(zeros.size(), weight.padding - done), 1, 0});
        }
    }
    if (uploader_) {
        // A pinned unit is given to the card at once, and must not get ahead of another one that is still being staged.
        uploader_->wait_until_given(slot.ticket);
        slot.ticket = uploader_->begin(std::move(upload));
    } else {
        // Until all of it is there.
        slot.unit = nullptr;
        std::vector<char> rows;
        for (const Upload::Part& part : upload.parts) {
            const void* data = part.data;
            if (part.rows > 1) {
                rows.resize(part.rows * part.size);
                part.pack(0, part.rows, rows.data());
                data = rows.data();
            }
            ggml_backend_tensor_set(&slot.bytes, data, part.offset, part.rows * part.size);
        }
    }
    slot.weights = &weights;
    slot.unit = &unit;
    slot.used = false;
    slot.turn = ++turn_;
}

UploadCounters UploadRing::counters() const {
    return {bytes_, waited_, hits_, misses_, discarded_};
}

bool UploadRing::given(const HostUnit& unit) {
    const Slot* const slot = find(unit);
    return slot && (!uploader_ || uploader_->given(slot->ticket));
}

std::optional<UploadRing::Place> UploadRing::acquire(const HostWeights& weights, const HostUnit& unit, ggml_backend_t compute) {
    Slot* slot = find(unit);
    if (slot) {
        ++hits_;
    } else {
        slot = oldest({});
        if (!slot || unit.slot_bytes > slot_bytes_) return std::nullopt;
        ++misses_;
        // What was given to a card without events before may still read the slot.
        if (!uploader_) ggml_backend_synchronize(compute);
        upload(*slot, weights, unit);
    }
    if (uploader_) {
        const auto begin = std::chrono::steady_clock::now();
        uploader_->wait_until_given(slot->ticket);
        waited_ = waited_ + std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        ggml_backend_event_wait(compute, slot->ready.get());
        // `done` will stand for this queue only.
        if (slot->user && slot->user != compute) ggml_backend_event_wait(compute, slot->done.get());
    }
    slot->used = true;
    slot->turn = ++turn_;
    return Place{slot->buffer.get(), static_cast<char*>(slot->bytes.data)};
}

void UploadRing::done(const HostUnit& unit, ggml_backend_t compute) {
    Slot* slot = find(unit);
    if (!slot) return;
    slot->user = compute;
    if (uploader_) ggml_backend_event_record(slot->done.get(), compute);
}

void UploadRing::prefetch_behind(const HostWeights& weights, const HostUnit& unit, uint32_t width) {
    if (!uploader_) return;
    std::vector<const HostUnit*> needed;
    // The products of an attention may be given one by one, because ggml computes between them with weights of its own.
    if (unit.id.group == UnitGroup::Attention) needed.push_back(&unit);
    const HostUnit* next = &unit;
    while (needed.size() < slots_.size()) {
        const HostUnit* const last = next;
        next = weights.next_streamed(*next, width);
        if (next && !wraps_ && !(last->id < next->id)) return;
        if (!next || std::ranges::find(needed, next) != needed.end()) return;
        needed.push_back(next);
        if (find(*next)) continue;
        Slot* slot = oldest(needed);
        if (!slot) return;
        upload(*slot, weights, *next);
    }
}

}  // namespace nmos
