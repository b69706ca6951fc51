// The weights of one model that are not resident on a card, or not as a whole: a ggml buffer type whose memory is RAM, and
// the units in it.
//
// llama.cpp's tensor overrides put tensors there while it loads, as the pages of the file itself. `settle` then gives every
// share of them its place. The processor computes from RAM directly, and a streaming device uploads from it. Made before the
// model is loaded, freed after it. What is const may be called from any thread once the weights have settled.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpu.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "device/mixture.h"
#include "device/network.h"
#include "device/weight_unit.h"

namespace nmos {

enum class HostMemory : uint8_t {
    Mapped,  // the pages of the file itself: no copy, and the system may drop them
    Pinned,  // copied into memory that the card reads by itself, as far as the system grants it
};

struct HostWeightsOptions {
    HostMemory memory = HostMemory::Mapped;
    uint32_t output_layer = 0;
    // Units other than the networks below that are streamed from some width on; other ones are always computed by the
    // processor.
    std::map<UnitId, uint32_t> stream_from_width;
    std::map<uint32_t, NetworkCut> networks;  // by layer
    uint32_t widest_pass = 512;               // tokens
    std::map<uint32_t, NetworkCut> mixtures{};  // by layer; those whose experts are placed one by one, with a piece an expert
};

// A network that is cut up, or that can leave the card as a whole.
struct HostNetwork {
    struct Share {
        std::unique_ptr<NetworkShare> network;
        const HostUnit* unit = nullptr;  // null: resident, unless it was released

        bool in_vram() const { return !unit && network->moved(); }
    };

    NetworkTensors whole;        // in the mapped file
    std::vector<Share> shares;   // in the order of the hidden dimension

    // It belongs on the card as a whole: passes compute with it as with any other weight there, unless it was released.
    bool undivided() const { return shares.size() == 1 && !shares.front().unit; }
    // Where an undivided one's weight is on the card, that for computing; else null. The device's lock only.
    ggml_tensor* on_card(const ggml_tensor* weight) const;
};

class Restorer;

class HostWeights {
  public:
    // `card` is the device that the weights are uploaded to, which is not a streaming device itself.
    HostWeights(ggml_backend_dev_t card, HostWeightsOptions options);
    ~HostWeights();
    HostWeights(const HostWeights&) = delete;
    HostWeights& operator=(const HostWeights&) = delete;

    ggml_backend_buffer_type_t buffer_type();
    // What a buffer of this kind belongs to, or null.
    static HostWeights* of(ggml_backend_buffer_type_t type);
    static HostWeights* of(const ggml_tensor* tensor);

    ggml_backend_dev_t card() const { return card_; }
    // Cuts up the networks, copies what is pinned into such memory and what is resident into VRAM. Every few milliseconds it asks,
    // with the share that is done, from 0 to 1, whether it shall go on; false when not. Throws OUT_OF_MEMORY when the card or
    // the system has no room.
    bool settle(const std::function<bool(float)>& go_on);
    // The model is gone: gives all memory back. Nothing may use the weights, nor upload them.
    void give_up();
    // Null for a tensor that no unit has, which is never streamed.
    const HostUnit* unit_of(const ggml_tensor* tensor) const;
    // Null for one of no network that is cut up, or can leave the card. For the device that computes it.
    HostNetwork* network_of(const ggml_tensor* tensor) const;
    // Those that are cut up, or can leave the card, in the order of their layers. For the device that computes them.
    std::vector<HostNetwork*> networks();
    // The same of mixtures whose experts are placed one by one.
    HostMixture* mixture_of(const ggml_tensor* tensor) const;
    std::vector<HostMixture*> mixtures() const;
    // A pass asked for experts, pairs of them with tokens, of which so many were in VRAM.
    void count_experts(uint64_t pairs, uint64_t in_vram) {
        expert_uses_ += pairs;
        expert_hits_ += in_vram;
    }
    // Any thread.
    uint64_t expert_uses() const { return expert_uses_; }
    uint64_t expert_hits() const { return expert_hits_; }
    uint32_t widest_pass() const { return options_.widest_pass; }
    // Bytes of the largest result of a network, in a pass of the widest kind; 0: no network is cut up.
    size_t largest_result() const { return largest_result_; }
    // The threads that compute shares on the processor; null: some of their own.
    void set_threadpool(ggml_threadpool_t pool) { threadpool_ = pool; }
    ggml_threadpool_t threadpool() const { return threadpool_; }
    // In the order of execution.
    std::vector<const HostUnit*> units() const;
    // What lies in the mapped file, in pieces. Not while a pass computes.
    std::vector<std::pair<const char*, size_t>> mapped() const;
    // The first unit behind `unit` that a pass of `width` streams, beyond the end from the beginning; null when there is
    // none, `unit` itself when it is the only one.
    const HostUnit* next_streamed(const HostUnit& unit, uint32_t width) const;
    // Bytes of the largest unit that is streamed at any width.
    size_t largest_streamed() const;

  private:
    struct Ggml;

    void add(ggml_tensor* tensor);
    void add_weight(HostUnit& unit, ggml_tensor* tensor);
    void cut(uint32_t layer, const NetworkCut& cut);
    // False when told to stop. Makes the restorer if there is none and it is needed.
    bool divide_mixture(uint32_t layer, const NetworkCut& cut, std::optional<Restorer>& restorer, const std::function<bool()>& go_on);
    void pin(HostUnit& unit);
    // Asks with the bytes that are done.
    bool fill_vram(const std::vector<NetworkShare*>& resident, const std::function<bool(uint64_t)>& go_on);

    ggml_backend_dev_t card_;
    HostWeightsOptions options_;
    std::map<UnitId, HostUnit> units_;
    std::unordered_map<const ggml_tensor*, const HostUnit*> unit_of_;
    std::map<uint32_t, HostNetwork> networks_;  // by layer
    std::unordered_map<const ggml_tensor*, HostNetwork*> network_of_;
    std::map<uint32_t, NetworkTensors> mixture_tensors_;  // by layer
    std::map<uint32_t, std::unique_ptr<HostMixture>> mixtures_;
    std::unordered_map<const ggml_tensor*, HostMixture*> mixture_of_;
    std::atomic<uint64_t> expert_uses_{0};
    std::atomic<uint64_t> expert_hits_{0};
    std::vector<ggml_backend_buffer_ptr> pinned_;
    size_t largest_result_ = 0;
    bool refused_ = false;  // there was no memory to list a weight while llama.cpp loaded
    std::atomic<ggml_threadpool_t> threadpool_ = nullptr;
    std::unique_ptr<Ggml> ggml_;
};

}  // namespace nmos
