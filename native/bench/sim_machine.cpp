#include "sim_machine.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "plan/placement.h"
#include "platform/os.h"
#include "runtime/backends.h"
#include "runtime/measure_device.h"
#include "sim_clock.h"

namespace nmos::bench {

ComputeThreads make_threads(int count) {
    ggml_threadpool_params params = ggml_threadpool_params_default(count);
    return {cpu_functions().threadpool_new(&params), count};
}

std::vector<sim::SimDevice*> make_cards(const std::string& names) {
    std::vector<sim::SimDevice*> cards;
    if (names == "none") return cards;
    std::stringstream words(names);
    for (std::string name; std::getline(words, name, '+');) {
        const auto profile = sim::find_card_profile(name);
        if (!profile) throw std::invalid_argument("Expected the name of a simulated card, got " + name + ".");
        cards.push_back(&sim::SimDevice::create(*profile, sim::Mode::Timed));
    }
    return cards;
}

SimMachine::SimMachine(const std::string& libraries, const std::string& cards, int threads, uint32_t widest_pass) : widest_pass_(widest_pass) {
    load_backends(libraries, true);
    threads_ = make_threads(threads);
    cards_ = make_cards(cards);
    const double begin = sim::now();
    for (const sim::SimDevice* card : cards_) profiles_.push_back(measure_device(card->handle(), threads_, widest_pass));
    measure_seconds_ = sim::now() - begin;
}

std::shared_ptr<Model> SimMachine::load(const ModelProfile& profile, uint32_t context_length) const {
    const os::Memory memory = os::memory();
    PlacementRequest request;
    request.context_length = context_length;
    request.batch_size = widest_pass_;
    request.use_gpu = !cards_.empty();
    request.ram_total = memory.total;
    request.ram_available = memory.available;
    // The whole cards, as upstream's best split takes them; the margin for other programs comes on top.
    constexpr uint64_t margin = uint64_t{1} << 30;
    for (size_t i = 0; i < cards_.size(); ++i) {
        size_t total = 0;
        size_t free = 0;
        ggml_backend_dev_memory(cards_[i]->handle(), &free, &total);
        request.cards.push_back({ggml_backend_dev_name(cards_[i]->handle()), cards_[i]->profile().name, free + margin, false, profiles_[i]});
        request.vram_limit = std::max<uint64_t>(request.vram_limit, free);
    }
    for (CardMemory& card : request.cards) card.used = request.vram_limit - (card.free - margin);
    LoadOptions options;
    options.plan.path = profile.path;
    return Model::load(options, profile, plan_placement(profile, request));
}

}  // namespace nmos::bench
