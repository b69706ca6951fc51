#include "machine.h"

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

Machine::Machine(const std::string& libraries, const std::string& card, int threads, uint32_t widest_pass) : widest_pass_(widest_pass) {
    card_ = open_card(libraries, card);
    threads_ = make_threads(threads);
    if (!card_) return;
    const double begin = sim::now();
    device_ = measure_device(card_->handle, threads_, widest_pass);
    measure_seconds_ = sim::now() - begin;
}

std::shared_ptr<Model> Machine::load(const ModelProfile& profile, uint32_t context_length) const {
    const os::Memory memory = os::memory();
    PlacementRequest request;
    request.context_length = context_length;
    request.batch_size = widest_pass_;
    request.use_gpu = card_.has_value();
    request.ram_total = memory.total;
    request.ram_available = memory.available;
    if (card_) {
        const uint64_t used = used_bytes(*card_);
        request.vram_limit = card_->planned > used ? card_->planned - used : 1;
        // The whole card, as upstream's best split takes it; the margin for other programs comes on top.
        constexpr uint64_t margin = uint64_t{1} << 30;
        request.cards.push_back({ggml_backend_dev_name(card_->handle), card_->name, request.vram_limit + margin, false, device_});
    }
    LoadOptions options;
    options.plan.path = profile.path;
    return Model::load(options, profile, plan_placement(profile, request));
}

}  // namespace nmos::bench
