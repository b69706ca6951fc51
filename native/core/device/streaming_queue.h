// A queue of computations on a streaming device: cuts graphs at what is not on the card as a whole, and computes the pieces on the card and
// on the processor. Of the device's own.
#pragma once

#include <ggml-backend-impl.h>
#include <ggml-cpp.h>

#include <cstddef>
#include <mutex>
#include <set>
#include <vector>

#include "device/graph_tensors.h"
#include "device/mixture_computer.h"
#include "device/network.h"
#include "device/processor.h"
#include "device/streaming_device.h"

namespace nmos {

// One queue of computations, as every llama_context has.
struct StreamingDevice::Backend {
    StreamingDevice& device;
    std::mutex mutex;          // held by whoever uses `compute`: cards' queues are not thread-safe; locked after the device's
    ggml_backend_ptr compute;
    Processor processor;
    ggml_backend_buffer_ptr scratch;  // two results of shares, on the card
    Sum sum;
    MixtureComputer mixtures;
    ggml_abort_callback is_cancelled = nullptr;
    void* cancelled_data = nullptr;
    ggml_backend interface{};

    Backend(StreamingDevice& device, ggml_backend_t compute);

    static Backend& self(ggml_backend_t backend) { return *static_cast<Backend*>(backend->context); }
    static bool is_one(ggml_backend_t backend);
    // The wrapped queue of a streaming one, any other queue itself.
    static ggml_backend_t unwrapped(ggml_backend_t backend);
    // Calls `use` with the wrapped queue.
    template <typename Use> static auto with(ggml_backend_t backend, Use use) {
        std::lock_guard lock(self(backend).mutex);
        return use(self(backend).compute.get());
    }

    ggml_status compute_graph(ggml_cgraph* graph);
    // Waits for all that the queue was given.
    void synchronize();
    // Lets ggml keep the input of networks that are cut up: shares read it one after the other. False when there is none.
    static bool keep_inputs(ggml_cgraph* graph, ggml_backend_graph_optimize_params* parameters);
    ggml_status compute_segment(ggml_cgraph* graph, int begin, int end, const HostUnit* unit, HostWeights* weights);
    // A mixture whose experts are in VRAM or not, one by one; `nodes` counts how many nodes of the graph that was.
    ggml_status compute_mixture(HostWeights& weights, HostMixture& mixture, ggml_cgraph* graph, int begin, int& nodes);
    // A network whose shares card and processor compute at the same time.
    ggml_status compute_network(HostWeights& weights, HostNetwork& network, const NetworkNodes& nodes);
    // A share whose input is in RAM already; adds the result to what is in `processor.result()`, or puts it there.
    ggml_status compute_on_processor(NetworkShare& share, const NetworkNodes& nodes, bool add);
    // A multiplication with the weight of a network or mixture that is not part of its usual nodes.
    ggml_status compute_on_processor(HostWeights& weights, ggml_tensor* node);
    bool begin_exchange(HostWeights& weights, const NetworkNodes& nodes, const std::vector<HostNetwork::Share*>& shares);
    bool cancelled() const { return is_cancelled && is_cancelled(cancelled_data); }
};

class StreamingDevice::StoppedQueues {
  public:
    explicit StoppedQueues(const std::set<Backend*>& queues) : queues_(queues) {
        try {
            for (Backend* queue : queues_) {
                queue->mutex.lock();
                ++stopped_;
                ggml_backend_synchronize(queue->compute.get());
            }
        } catch (...) {
            let_go();
            throw;
        }
    }
    ~StoppedQueues() { let_go(); }
    StoppedQueues(const StoppedQueues&) = delete;
    StoppedQueues& operator=(const StoppedQueues&) = delete;

  private:
    void let_go() {
        for (auto queue = queues_.begin(); stopped_ > 0; ++queue, --stopped_) (*queue)->mutex.unlock();
    }

    const std::set<Backend*>& queues_;
    size_t stopped_ = 0;  // the first so many
};

}  // namespace nmos
