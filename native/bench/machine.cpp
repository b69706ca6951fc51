#include "sim_machine.h"

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

SimMachine::SimMachine(const std::string& libraries, const std::string& card, int threads, uint32_t widest_pass) : widest_pass_(widest_pass) {
    load_backends(libraries, true);
    threads_ = make_threads(threads);
    const auto profile = sim::find_card_profile(card);
    if (!profile && card != "none") throw std::invalid_argument("Expected the name of a simulated card, got " + card + ".");
    if (!profile) return;
    card_ = &sim::SimDevice::create(*profile, sim::Mode::Timed);
    const double begin = sim::now();
    device_ = measure_device(card_->handle(), threads_, widest_pass);
    measure_seconds_ = sim::now() - begin;
}

std::shared_ptr<Model> SimMachine::load(const ModelProfile& profile, uint32_t context_length) const {
    const os::Memory memory = os::memory();
    PlacementRequest request;
    request.context_length = context_length;
    request.batch_size = widest_pass_;
    request.use_gpu = card_ != nullptr;
    request.ram_total = memory.total;
    request.ram_available = memory.available;
    if (card_) {
        size_t total = 0;
        size_t free = 0;
        ggml_backend_dev_memory(card_->handle(), &free, &total);
        request.vram_limit = free;
        // The whole card, as upstream's best split takes it; the margin for other programs comes on top.
        constexpr uint64_t margin = uint64_t{1} << 30;
        request.cards.push_back({ggml_backend_dev_name(card_->handle()), card_->profile().name, request.vram_limit + margin, false, device_});
    }
    LoadOptions options;
    options.plan.path = profile.path;
    return Model::load(options, profile, plan_placement(profile, request));
}

}  // namespace nmos::bench
