// Remembers on disk how fast a card and the processor beside it are, because measuring takes seconds.
//
// A file for each name of a device, with all types of weights that were measured there. What was measured holds as long as speed_key.h says, and
// not for ever, because not every system tells the version of a driver. A file that cannot be read, or that says anything else, counts as none; one that
// cannot be written is only logged. Any thread; two processes may write at the same time.
#pragma once

#include <optional>
#include <string>

#include "plan/measured_device.h"

namespace nmos {

class ProfileCache {
  public:
    // A folder, made when it is needed; UTF-8. Empty: nothing is remembered.
    explicit ProfileCache(std::string directory) : directory_(std::move(directory)) {}

    // `machine` says in one line all that the measurement depends on.
    std::optional<MeasuredDevice> find(const std::string& device, const std::string& machine) const;
    // What was kept for the same machine is taken to be a part of it, so it gets no younger.
    void keep(const std::string& device, const std::string& machine, const MeasuredDevice& measured) const;

  private:
    std::string directory_;
};

// A few lines of text; exactly the same numbers come back.
std::string to_text(const MeasuredDevice& measured);
// None when it is not such a text, or says what cannot be of a machine.
std::optional<MeasuredDevice> measured_from_text(const std::string& text);

}  // namespace nmos
