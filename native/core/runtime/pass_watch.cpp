#include "runtime/pass_watch.h"

#include <chrono>

#include "runtime/log.h"

namespace nmos {

namespace {

Surroundings surroundings() {
    return {os::processor_times(), os::saves_energy()};
}

bool computes_on_processor(const Placement& placement) {
    return placement.device_layers < placement.layers || placement.units.has_value();
}

}  // namespace

PassWatch::PassWatch(const Placement& placement)
    : placement_(placement), look_(&surroundings), passes_(computes_on_processor(placement)) {}

void PassWatch::observe(uint32_t width, double seconds, double predicted) {
    if (placement_.device_layers == 0) return;
    const double now = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    const TimedPass pass{width, seconds, predicted, now};
    std::unique_lock lock(mutex_);
    const bool is_suspicious = passes_.suspects(pass);
    lock.unlock();
    // Takes milliseconds on some systems: nobody who asks shall wait for it.
    std::optional<Surroundings> around;
    if (is_suspicious && under_way_ == 0) around = look_();
    lock.lock();
    passes_.observe(pass, around);
    if (is_suspicious && passes_.times_as_long() > 0) {
        log(LogLevel::Warn, "Passes over a model on " + card_names(placement_) + " take " + std::to_string(passes_.times_as_long()) +
                                " times as long as before: its memory may have been moved to RAM.");
    }
}

void PassWatch::forget(bool any_released) {
    std::lock_guard lock(mutex_);
    passes_.forget(any_released || computes_on_processor(placement_), !any_released);
}

double PassWatch::times_as_long() const {
    std::lock_guard lock(mutex_);
    return passes_.times_as_long();
}

}  // namespace nmos
