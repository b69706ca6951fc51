// What the benchmark programs share: a card, as fast as NMOS finds it, and models placed on it by NMOS's planner.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "card.h"
#include "plan/device_profile.h"
#include "runtime/model.h"
#include "runtime/session.h"

namespace nmos::bench {

ComputeThreads make_threads(int count);

class Machine {
  public:
    // Loads backends from the folder `libraries` and opens the card of that name, with what open_card throws.
    Machine(const std::string& libraries, const std::string& card, int threads, uint32_t widest_pass);

    const Card* card() const { return card_ ? &*card_ : nullptr; }  // null: none
    const ComputeThreads& threads() const { return threads_; }
    const DeviceProfile& device() const { return device_; }
    double measure_seconds() const { return measure_seconds_; }

    // Into all that is planned of the card: the margin for other programs is not kept.
    std::shared_ptr<Model> load(const ModelProfile& profile, uint32_t context_length) const;

  private:
    ComputeThreads threads_;
    uint32_t widest_pass_;
    std::optional<Card> card_;
    DeviceProfile device_;
    double measure_seconds_ = 0;
};

}  // namespace nmos::bench
