// Remembers on disk how fast a card and the processor beside it are, because measuring takes seconds.
//
// A file a device. What was measured holds for the same devices, number of threads and library, and not for ever, because a
// driver does not tell ggml its version. A file that cannot be read, or that says anything else, counts as none; one that
// cannot be written is only logged. Any thread; two processes may write at the same time.
#pragma once

#include <optional>
#include <string>

#include "plan/device_profile.h"

namespace nmos {

class ProfileCache {
  public:
    // A folder, made when it is needed; UTF-8. Empty: nothing is remembered.
    explicit ProfileCache(std::string directory) : directory_(std::move(directory)) {}

    // `machine` says in one line all that the measurement depends on.
    std::optional<DeviceProfile> find(const std::string& device, const std::string& machine) const;
    void keep(const std::string& device, const std::string& machine, const DeviceProfile& profile) const;

  private:
    std::string directory_;
};

// A few lines of text; exactly the same numbers come back.
std::string to_text(const DeviceProfile& profile);
// None when it is not such a text, or not a profile a machine can have.
std::optional<DeviceProfile> profile_from_text(const std::string& text);

}  // namespace nmos
