// Simulated cards that compute, and models placed on them.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "gguf_file.h"
#include "plan/device_profile.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "sim_device.h"

namespace nmos::testing {

// Tokens, of every placed model.
constexpr uint32_t placed_context = 256;
constexpr uint32_t placed_batch = 32;

// The card of that profile. One for all tests of a process, because ggml forgets no device.
sim::SimDevice& exact_card(const std::string& profile = "gtx1650-4gb");

std::string name_of(const sim::SimDevice& card);
uint64_t free_bytes_of(const sim::SimDevice& card);

// For the small model, with less graphics memory than it needs.
LoadOptions tight_options(uint64_t vram_limit);

// A folder in which cards are said to be as fast as real ones; what is measured of them, they are only because the processor
// computes for them.
class FastCards {
  public:
    // Of those cards, for the model and the threads of `options`.
    FastCards(const LoadOptions& options, std::span<sim::SimDevice* const> cards);

    std::string path() const { return folder_.path(); }

  private:
    TemporaryFolder folder_;
};

// For sessions that compute with one thread: more threads than cores wait for each other most of the time.
struct OneThread {
    std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool_t)> pool;

    OneThread();
    ComputeThreads threads() const { return {pool.get(), 1}; }
};

}  // namespace nmos::testing
