#include "simulated_cards.h"

#include <filesystem>
#include <fstream>
#include <map>

#include "check.h"
#include "runtime/backends.h"
#include "runtime/engine.h"
#include "runtime/log.h"
#include "runtime/profile_cache.h"
#include "small_model.h"

namespace nmos::testing {

namespace {

// As fast as a real card.
DeviceProfile fast_device() {
    DeviceProfile fast;
    fast.card = WidthCurve({{1, 0.01e-9}, {512, 0.2e-9}});
    fast.processor = WidthCurve({{1, 0.05e-9}, {64, 3e-9}});
    fast.upload_bytes_per_second = fast.staged_bytes_per_second = 12e9;
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
    {
        Engine measuring(library_directory(), false, folder_.path());
        measuring.load(options);
    }
    std::map<std::string, std::string> machines;  // by the card's name
    for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(folder_.path()))) {
        std::ifstream in(file.path());
        std::string& machine = machines[file.path().stem().string()];
        // The second line.
        std::getline(in, machine);
        std::getline(in, machine);
    }
    for (const sim::SimDevice* card : cards) {
        expect(machines.contains(name_of(*card)), "the speed of " + name_of(*card) + " to be measured");
        ProfileCache(folder_.path()).keep(name_of(*card), machines[name_of(*card)], fast_device());
    }
}

OneThread::OneThread() : pool(nullptr, cpu_functions().threadpool_free) {
    ggml_threadpool_params params = ggml_threadpool_params_default(1);
    pool.reset(cpu_functions().threadpool_new(&params));
}

}  // namespace nmos::testing
