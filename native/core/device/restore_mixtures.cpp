// Bringing the experts of mixtures back into VRAM that was released.
#include "device/streaming_device.h"

namespace nmos {

namespace {

// The weights of an expert, where it was in VRAM and is to be again. What is there has no other copy in RAM than the file's.
struct Returning {
    int32_t place;
    std::array<ggml_tensor, 3> weights;
};

std::vector<Returning> returning_to(HostMixture& mixture) {
    std::vector<Returning> all;
    for (size_t place = 0; place < mixture.expert_in_vram().size(); ++place) {
        const int32_t expert = mixture.expert_in_vram()[place];
        if (expert == no_place) continue;
        Returning& one = all.emplace_back(Returning{static_cast<int32_t>(place), {}});
        for (size_t i = 0; i < one.weights.size(); ++i) one.weights[i] = *mixture.in_ram(i, static_cast<size_t>(expert));
    }
    return all;
}

}  // namespace

void StreamingDevice::copy_mixtures(HostWeights& weights, const std::function<bool()>& go_on, uint64_t most, uint64_t& restored) {
    std::vector<std::pair<HostMixture*, std::vector<Returning>>> released;
    {
        // Under it experts are moved, but none of a mixture that is released.
        std::lock_guard lock(mutex_);
        for (HostMixture* mixture : weights.mixtures()) {
            if (!mixture->vram() && !mixture->expert_in_vram().empty()) released.emplace_back(mixture, returning_to(*mixture));
        }
    }
    for (const auto& [mixture, experts] : released) {
        if (mixture->vram_bytes() > most - restored) return;
        const auto places = static_cast<int64_t>(mixture->expert_in_vram().size());
        const HostMixture::RoomPtr vram = go_on() ? mixture->make_room(ggml_backend_dev_buffer_type(card_), places) : nullptr;
        if (!vram) return;
        const auto* const base = static_cast<const char*>(ggml_backend_buffer_get_base(vram->buffer.get()));
        std::vector<Upload::Part> parts;
        for (const Returning& expert : experts) {
            for (size_t i = 0; i < expert.weights.size(); ++i) {
                const auto begin = static_cast<size_t>(static_cast<const char*>(vram->weights[i]->data) - base);
                parts.push_back(Upload::Part::of(&expert.weights[i], begin + vram->offset(i, expert.place)));
            }
        }
        if (!restorer_->copy(vram->buffer.get(), parts, go_on)) return;
        std::lock_guard lock(restored_mutex_);
        restored_mixtures_.push_back({&weights, mixture, vram});
        restored += mixture->vram_bytes();
    }
}

}  // namespace nmos
