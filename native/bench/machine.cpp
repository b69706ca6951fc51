#include "machine.h"

#include <algorithm>

#include "device/offload_width.h"
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

Machine::Machine(const std::string& libraries, const std::string& cards, int threads, uint32_t widest_pass, const std::vector<TypeShare>& types) : widest_pass_(widest_pass) {
    cards_ = open_cards(libraries, cards);
    threads_ = make_threads(threads);
    const double begin = sim::now();
    for (const Card& card : cards_) {
        MeasuredDevice measured;
        measure_device(measured, card.handle, threads_, widest_pass, types);
        profiles_.push_back(measured.profile_for(types));
        profiles_.back().offload_from_width = offload_width(card.handle, widest_pass);
    }
    measure_seconds_ = sim::now() - begin;
}

std::shared_ptr<Model> Machine::load(const ModelProfile& profile, uint32_t context_length) const {
    const os::Memory memory = os::memory();
    PlacementRequest request;
    request.context_length = context_length;
    request.batch_size = widest_pass_;
    request.use_gpu = !cards_.empty();
    request.ram_total = memory.total;
    request.ram_available = memory.available;
    // The whole cards, as upstream's best split takes them: nothing stays free for other programs.
    for (size_t i = 0; i < cards_.size(); ++i) {
        const Card& card = cards_[i];
        const uint64_t used = used_bytes(card);
        const uint64_t left = card.planned > used ? card.planned - used : 1;
        request.cards.push_back({ggml_backend_dev_name(card.handle), card.name, left + vram_margin, false, profiles_[i]});
    }
    LoadOptions options;
    options.plan.path = profile.path;
    return Model::load(options, profile, plan_placement(profile, request));
}

}  // namespace nmos::bench
