// What the benchmark programs share: simulated cards, as fast as NMOS finds them, and models placed on them by NMOS's planner.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan/device_profile.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "sim_device.h"

namespace nmos::bench {

ComputeThreads make_threads(int count);

// Timed cards by the names of their profiles, with "+" between them; "none": none. Throws std::invalid_argument.
std::vector<sim::SimDevice*> make_cards(const std::string& names);

class SimMachine {
  public:
    // `cards` as make_cards takes them. Loads the processor's backend from the folder `libraries`. Throws
    // std::invalid_argument for a card that is not known.
    SimMachine(const std::string& libraries, const std::string& cards, int threads, uint32_t widest_pass);

    const std::vector<sim::SimDevice*>& cards() const { return cards_; }
    const ComputeThreads& threads() const { return threads_; }
    double measure_seconds() const { return measure_seconds_; }  // of all cards

    // Into all that is free on the cards: the margin for other programs is not kept.
    std::shared_ptr<Model> load(const ModelProfile& profile, uint32_t context_length) const;

  private:
    ComputeThreads threads_;
    uint32_t widest_pass_;
    std::vector<sim::SimDevice*> cards_;
    std::vector<DeviceProfile> profiles_;  // (card)
    double measure_seconds_ = 0;
};

}  // namespace nmos::bench
