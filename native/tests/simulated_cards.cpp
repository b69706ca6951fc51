#include "simulated_cards.h"

#include <map>

#include "platform/os.h"
#include "runtime/backends.h"
#include "runtime/log.h"
#include "runtime/profile_cache.h"
#include "runtime/speed_key.h"
#include "small_model.h"

namespace nmos::testing {

namespace {

// As fast as a real card, with these types of weights.
MeasuredDevice fast_device(std::span<const TypeShare> types) {
    MeasuredDevice fast;
    fast.bus.upload_bytes_per_second = fast.bus.staged_bytes_per_second = 12e9;
    for (const TypeShare& share : types) fast.types[share.type] = {WidthCurve({{1, 0.01e-9}, {512, 0.2e-9}}), WidthCurve({{1, 0.05e-9}, {64, 3e-9}}), true};
    return fast;
}

}  // namespace

sim::SimDevice& exact_card(const std::string& profile) {
    take_over_library_log();
    load_backends(library_directory(), true);
    static std::map<std::string, sim::SimDevice*> made;
    sim::SimDevice*& card = made[profile];
    if (!card) card = &sim::SimDevice::create(*sim::find_card_profile(profile), sim::Mode::Exact);
    return *card;
}

std::string name_of(const sim::SimDevice& card) {
    return ggml_backend_dev_name(card.handle());
}

uint64_t free_bytes_of(const sim::SimDevice& card) {
    size_t free = 0;
    size_t total = 0;
    ggml_backend_dev_memory(card.handle(), &free, &total);
    return free;
}

LoadOptions tight_options(uint64_t vram_limit) {
    LoadOptions options;
    options.plan.path = small_model_path();
    options.plan.context_length = placed_context;
    options.plan.vram_limit = vram_limit;
    return options;
}

FastCards::FastCards(const LoadOptions& options, std::span<sim::SimDevice* const> cards) {
    const MeasuredDevice fast = fast_device(main_types(read_model_profile(options.plan.path)));
    const int32_t threads = options.plan.threads > 0 ? options.plan.threads : static_cast<int32_t>(os::physical_cores());
    for (const sim::SimDevice* card : cards) {
        const CardState state = card_state(card->handle());
        ProfileCache(folder_.path()).keep(cache_name(name_of(*card), state), speed_key(card->handle(), threads, state), fast);
    }
}

OneThread::OneThread() : pool(nullptr, cpu_functions().threadpool_free) {
    ggml_threadpool_params params = ggml_threadpool_params_default(1);
    pool.reset(cpu_functions().threadpool_new(&params));
}

}  // namespace nmos::testing
