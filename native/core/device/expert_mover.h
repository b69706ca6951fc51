// Brings experts that are used more into VRAM, in the place of some that are used less, while passes go on.
//
// Now and then, between two passes, one swap is begun: the expert that is to leave is computed by the processor from then on,
// and a thread of the mover's copies the other one there, on a queue of its own. The pass after that computes with it. One
// at a time and at most with every second pass, so that what the copies take of the bus is a small share. `step`, `settle` and
// `forget` are called under the streaming device's lock.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>

#include <functional>
#include <memory>

#include "device/host_weights.h"
#include "device/upload_ring.h"
#include "runtime/worker.h"

namespace nmos {

class ExpertMover {
  public:
    ExpertMover(ggml_backend_dev_t card, UploadRing& ring);
    // Finishes the copy under way.
    ~ExpertMover();

    // At the beginning of a pass over these weights. `settle` has to let all that the card's queues were given happen: what
    // they still read is about to be overwritten.
    void step(HostWeights& weights, const std::function<void()>& settle);
    // Waits for the copy under way to these weights' VRAM and ends the move.
    void settle(const HostWeights& weights);
    // The weights are about to be freed: waits for a copy that reads them.
    void forget(const HostWeights& weights);

  private:
    struct Job;

    void copy(const Job& job);
    // Waits for what was begun, before its memory may be given back. Throws nothing.
    void end_copies();
    bool is_moving(const HostWeights& weights) const;
    void finish();

    ggml_backend_dev_t card_;
    UploadRing& ring_;
    ggml_backend_ptr queue_;  // of the thread; made with the first job
    std::shared_ptr<Job> job_;  // the thread's, too, until it is done
    std::unique_ptr<Worker> thread_;  // the last member: nothing else goes before it has ended
};

}  // namespace nmos
