// Computes mixtures of experts whose experts are in several places, card and processor at the same time.
//
// Which experts the router chose has to be known on the processor, so it comes there together with the input. The card then
// computes the tokens' experts that it has, in VRAM and, for wide passes, in an upload slot, while the processor computes the
// others from RAM; a row of results for each pair of a token and an expert, which the card puts into their order in the end.
// Where VRAM has all that were chosen, the card computes what it would without us, bit for bit.
//
// One for each queue of a streaming device, which calls it under its lock and that of the queue.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "device/host_weights.h"
#include "device/mixture.h"
#include "device/processor.h"
#include "device/upload_ring.h"

namespace nmos {

class MixtureComputer {
  public:
    MixtureComputer(ggml_backend_t queue, Processor& processor, UploadRing& ring);

    ggml_status compute(HostWeights& weights, HostMixture& mixture, const MixtureNodes& nodes);

  private:
    struct Work;

    // The chain of operations for some pairs, as a graph over tensors of its own.
    struct Chain {
        std::array<ggml_tensor, 3> weights{};
        ggml_tensor input{}, places{}, gate{}, up{}, glu{}, down{};
        ggml_context_ptr context;
        ggml_cgraph* graph = nullptr;
    };
    // Rows of a tensor in another order.
    struct Selection {
        ggml_tensor from{}, rows{}, to{};
        ggml_context_ptr context;
        ggml_cgraph* graph = nullptr;

        ggml_cgraph* select(const Memory& source, const ggml_tensor& like, int64_t source_rows, const Memory& which, int64_t count, const Memory& target);
    };
    // Where the chain finds what it works with; pairs are (used, tokens) or, gathered, (1, pairs).
    struct Places {
        std::array<Memory, 3> weights;
        int64_t experts = 0;
        Memory input, chosen, gate, up, glu, result;
        int64_t used = 0, tokens = 0, input_rows = 0;
    };
    static ggml_cgraph* build(Chain& chain, const MixtureNodes& nodes, const HostMixture& mixture, const Places& places);

    bool reserve_on_card(const Work& work);
    bool reserve(const Work& work);
    ggml_status compute_in_vram(Work& work);
    ggml_status compute_divided(Work& work);
    ggml_status compute_on_card(Work& work, ExpertSource source);
    ggml_status compute_on_processor(Work& work);
    ggml_status compute_on_processor(Work& work, ExpertSource source, size_t first_row);

    ggml_backend_t queue_;
    Processor& processor_;
    UploadRing& ring_;
    ggml_backend_buffer_ptr numbers_;  // on the card: lists of numbers, I32 (mixture_computer.cpp)
    ggml_backend_buffer_ptr rows_;     // (embedding, pairs) F32 on the card: inputs, and then results
    std::vector<int32_t> chosen_;
    std::array<Chain, card_sources.size()> card_chains_;
    Chain processor_chain_;
    Selection gather_;
    Selection order_;
};

}  // namespace nmos
