#include "card.h"

#include <ggml-cpp.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "runtime/backends.h"

namespace nmos::bench {

namespace {

constexpr uint64_t mib = uint64_t{1} << 20;

// What backends take beside the buffers that are planned: the workspace of a library for matrices, pools for
// intermediate results. The product's margin is larger; it is for other programs, too.
constexpr uint64_t backend_bytes = 256 * mib;

// What drivers round up, and other programs do meanwhile.
constexpr uint64_t tolerated_bytes = 64 * mib;

uint64_t free_bytes(ggml_backend_dev_t device) {
    size_t free = 0;
    size_t total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    return free;
}

// Takes so many bytes, as long as the result lives.
std::vector<ggml_backend_buffer_ptr> take(ggml_backend_dev_t device, uint64_t bytes) {
    std::vector<ggml_backend_buffer_ptr> taken;
    ggml_backend_buffer_type_t const type = ggml_backend_dev_buffer_type(device);
    const uint64_t largest = std::min<uint64_t>(ggml_backend_buft_get_max_size(type), 16ull << 30);
    while (bytes >= mib) {
        const uint64_t part = std::min(bytes, largest);
        taken.emplace_back(ggml_backend_buft_alloc_buffer(type, part));
        if (!taken.back()) throw std::runtime_error("The card refuses memory that it said was free.");
        bytes -= part;
    }
    return taken;
}

Card open_real(const std::string& device, uint64_t memory) {
    std::string known;
    for (const Device& one : list_devices()) {
        if (one.kind == DeviceKind::Cpu) continue;
        known += (known.empty() ? "" : ", ") + one.name;
        if (one.name != device) continue;
        // What the driver needs for a first use is taken once free memory has been read.
        const uint64_t before = free_bytes(one.handle);
        if (before < memory) {
            throw std::runtime_error("Expected " + std::to_string(memory / mib) + " MiB of free memory on " + device + ", but there are " + std::to_string(before / mib) + ".");
        }
        std::vector<ggml_backend_buffer_ptr> taken = take(one.handle, before - memory);
        const bool limited = free_bytes(one.handle) <= memory + tolerated_bytes;
        if (!limited) taken.clear();
        // For good: there is no moment at which the card is no longer used but the process goes on.
        static auto& kept = *new std::vector<ggml_backend_buffer_ptr>;
        std::ranges::move(taken, std::back_inserter(kept));
        const uint64_t planned = memory > 2 * backend_bytes ? memory - backend_bytes : memory / 2;
        return {one.handle, nullptr, one.description, memory, planned, free_bytes(one.handle), limited};
    }
    throw std::invalid_argument("Expected a card of this machine (" + (known.empty() ? "there is none" : known) + "), got " + device + ".");
}

Card open_simulated(const std::string& name) {
    const auto profile = sim::find_card_profile(name);
    if (!profile) throw std::invalid_argument("Expected the name of a simulated card, DEVICE@MIB or none, got " + name + ".");
    sim::SimDevice& simulated = sim::SimDevice::create(*profile, sim::Mode::Timed);
    const uint64_t memory = free_bytes(simulated.handle());
    return {simulated.handle(), &simulated, profile->name, memory, memory, memory, true};
}

Card open_card(const std::string& name) {
    const size_t at = name.find('@');
    if (at == std::string::npos) return open_simulated(name);
    const std::string digits = name.substr(at + 1);
    const bool is_number = !digits.empty() && digits.size() <= 9 && digits.find_first_not_of("0123456789") == std::string::npos;
    const uint64_t memory = is_number ? std::stoull(digits) * mib : 0;
    if (memory == 0) throw std::invalid_argument("Expected DEVICE@MIB, got " + name + ".");
    return open_real(name.substr(0, at), memory);
}

}  // namespace

std::vector<Card> open_cards(const std::string& libraries, const std::string& names) {
    load_backends(libraries, names.find('@') == std::string::npos);
    std::vector<Card> cards;
    if (names == "none") return cards;
    std::stringstream words(names);
    for (std::string name; std::getline(words, name, '+');) {
        const Card card = open_card(name);
        const auto same = [&](const Card& other) { return other.handle == card.handle; };
        if (std::ranges::any_of(cards, same)) throw std::invalid_argument("Expected every card of this machine once, got " + names + ".");
        cards.push_back(card);
    }
    return cards;
}

std::string describe(const std::vector<Card>& cards) {
    std::string names;
    uint64_t memory = 0;
    bool limited = true;
    for (const Card& card : cards) {
        names += (names.empty() ? "" : " + ") + card.name;
        memory += card.memory;
        limited = limited && card.limited;
    }
    return "\"card\":\"" + names + "\",\"memoryBytes\":" + std::to_string(memory) + ",\"limited\":" + (limited ? "true" : "false");
}

uint64_t used_bytes(const Card& card) {
    const uint64_t free = free_bytes(card.handle);
    return free < card.free ? card.free - free : 0;
}

}  // namespace nmos::bench
