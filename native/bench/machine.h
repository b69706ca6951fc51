// What the benchmark programs share: a simulated card, as fast as NMOS finds it, and models placed on it by NMOS's planner.
#pragma once

#include <memory>
#include <string>

#include "plan/device_profile.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "sim_device.h"

namespace nmos::bench {

ComputeThreads make_threads(int count);

class SimMachine {
  public:
    // `card` is the name of a profile, or "none". Loads the processor's backend from the folder `libraries`. Throws
    // std::invalid_argument for a card that is not known.
    SimMachine(const std::string& libraries, const std::string& card, int threads, uint32_t widest_pass);

    sim::SimDevice* card() const { return card_; }  // null: none
    const ComputeThreads& threads() const { return threads_; }
    const DeviceProfile& device() const { return device_; }
    double measure_seconds() const { return measure_seconds_; }

    // Into all that is free on the card: the margin for other programs is not kept.
    std::shared_ptr<Model> load(const ModelProfile& profile, uint32_t context_length) const;

  private:
    ComputeThreads threads_;
    uint32_t widest_pass_;
    sim::SimDevice* card_ = nullptr;
    DeviceProfile device_;
    double measure_seconds_ = 0;
};

}  // namespace nmos::bench
