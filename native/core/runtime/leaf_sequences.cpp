#include "runtime/leaf_sequences.h"

#include <algorithm>
#include <numeric>

namespace nmos {

namespace {

llama_pos position(size_t place) {
    return static_cast<llama_pos>(place);
}

}  // namespace

LeafSequences::LeafSequences() {
    std::iota(ids_.begin(), ids_.end(), 0);
}

bool LeafSequences::possible(const llama_model* model) {
    const llama_rope_type rope = llama_model_rope_type(model);
    const bool has_plain_positions = rope == LLAMA_ROPE_TYPE_NORM || rope == LLAMA_ROPE_TYPE_NEOX;
    return !llama_model_is_recurrent(model) && !llama_model_is_hybrid(model) && llama_model_n_swa(model) == 0 && has_plain_positions;
}

void LeafSequences::begin(llama_memory_t memory, size_t before, size_t tokens, std::span<const Leaf> leaves) {
    forget(memory);
    leaves_.assign(leaves.begin(), leaves.end());
    before_ = before;
    tokens_ = tokens;
    is_pending_ = true;
    shared_.resize(std::max(shared_.size(), leaves_.size()));
    for (size_t i = 0; i < leaves_.size(); ++i) {
        if (shared_[i] < before) llama_memory_seq_cp(memory, 0, static_cast<llama_seq_id>(i + 1), position(shared_[i]), position(before));
        shared_[i] = before;
    }
}

void LeafSequences::describe(llama_batch& batch) {
    counts_.clear();
    lists_.clear();
    for (size_t i = 0; i < tokens_; ++i) {
        const auto before_leaves = std::ranges::count_if(leaves_, [i](const Leaf& leaf) { return leaf.beside > i; });
        counts_.push_back(1 + static_cast<int32_t>(before_leaves));
        lists_.push_back(ids_.data());
    }
    for (size_t leaf = 0; leaf < leaves_.size(); ++leaf) {
        counts_.push_back(1);
        lists_.push_back(&ids_[static_cast<size_t>(sequence(leaf))]);
    }
    batch.n_seq_id = counts_.data();
    batch.seq_id = lists_.data();
}

void LeafSequences::forget(llama_memory_t memory) {
    if (!is_pending_) return;
    for (size_t leaf = 0; leaf < leaves_.size(); ++leaf) llama_memory_seq_rm(memory, sequence(leaf), position(before_), -1);
    is_pending_ = false;
}

void LeafSequences::cut(size_t length) {
    for (size_t& shared : shared_) shared = std::min(shared, length);
}

void LeafSequences::end(llama_memory_t memory) {
    forget(memory);
    for (size_t i = 0; i < shared_.size(); ++i) llama_memory_seq_rm(memory, static_cast<llama_seq_id>(i + 1), -1, -1);
    shared_.clear();
}

}  // namespace nmos
