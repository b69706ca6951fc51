// What the benchmark programs share: cards, as fast as NMOS finds them, and models placed on them by NMOS's planner.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "card.h"
#include "plan/measured_device.h"
#include "runtime/model.h"
#include "runtime/session.h"

namespace nmos::bench {

ComputeThreads make_threads(int count);

class Machine {
  public:
    // Loads backends from the folder `libraries` and opens the cards of these names, with what open_cards throws. They are measured
    // for a model of these types of weights.
    Machine(const std::string& libraries, const std::string& cards, int threads, uint32_t widest_pass, const std::vector<TypeShare>& types);

    const std::vector<Card>& cards() const { return cards_; }
    const std::vector<DeviceProfile>& profiles() const { return profiles_; }  // (card)
    const ComputeThreads& threads() const { return threads_; }
    double measure_seconds() const { return measure_seconds_; }  // of all cards

    // Into all that is planned of the cards: the margin for other programs is not kept.
    std::shared_ptr<Model> load(const ModelProfile& profile, uint32_t context_length) const;

  private:
    ComputeThreads threads_;
    uint32_t widest_pass_;
    std::vector<Card> cards_;
    std::vector<DeviceProfile> profiles_;
    double measure_seconds_ = 0;
};

}  // namespace nmos::bench
