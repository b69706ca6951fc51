// The sequences of a KV cache in which a pass verifies leaves: tokens beside those of a chain, at the same positions, each of which
// sees what is before the chain and the tokens of the chain before its own, and is seen by nobody.
//
// The cache's sequence 0 is the text. Every leaf of a pass has a further sequence, which shares the text's cells, so that only the
// leaf itself takes one. Sharing them costs time for every token of the text, so they stay shared from one pass to the next, until
// `end`; what another part of the program sees is sequence 0 alone. ("SpecInfer", Miao et al., 2024, verifies trees with such a mask.)
//
// The cell of a leaf never becomes one of the text: it lies behind those that are free again then, and attention that sums the
// cells up in another order rounds in another way. Of a 135M in Q4_1, whose passes are otherwise the same bit for bit behind few
// tokens, logits differ by 0.2 for it, which is enough to change answers. So a leaf that was right is computed again, as one more
// token of the next pass.
//
// Of the compute thread.
#pragma once

#include <llama.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "speculative/pass_costs.h"

namespace nmos {

struct Leaf {
    size_t beside;  // the token of the pass in whose place it is; not the first one
    llama_token token;
};

class LeafSequences {
  public:
    // Whether sequences share cells in the memory of a model. Recurrent states belong to one sequence, a window that slides frees
    // the cells of one sequence only, and positions of several dimensions were not tried.
    static bool possible(const llama_model* model);

    LeafSequences();

    // A pass begins over so many tokens behind `before` cached ones, with these leaves, by place.
    void begin(llama_memory_t memory, size_t before, size_t tokens, std::span<const Leaf> leaves);
    // Says of the pass which sequences its tokens and then its leaves belong to. Holds until the next `begin`.
    void describe(llama_batch& batch);
    // Where the leaf is in the text.
    size_t place(size_t leaf) const { return before_ + leaves_[leaf].beside; }
    // Forgets the leaves of the pass.
    void forget(llama_memory_t memory);
    // All cells behind the first `length` tokens were removed.
    void cut(size_t length);
    // Leaves sequence 0 alone.
    void end(llama_memory_t memory);
    // Whether there are others than that.
    bool any() const { return !shared_.empty(); }

  private:
    // That of the last leaf is 1, so that every token of the chain belongs to 0 and the next few.
    llama_seq_id sequence(size_t leaf) const { return static_cast<llama_seq_id>(leaves_.size() - leaf); }

    std::vector<size_t> shared_;  // (sequence, from 1) tokens of the text whose cells it shares
    std::vector<Leaf> leaves_;    // of the last pass that had some
    size_t before_ = 0;           // tokens before that
    size_t tokens_ = 0;           // of that, without leaves
    bool is_pending_ = false;     // its leaves have cells
    std::array<llama_seq_id, widest_verification> ids_{};  // 0, 1, 2, …
    std::vector<int32_t> counts_;                          // (batch)
    std::vector<llama_seq_id*> lists_;                     // (batch)
};

}  // namespace nmos
