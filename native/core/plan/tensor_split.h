// How to make llama.cpp give layers to several devices as a plan has it. Pure.
//
// With LLAMA_SPLIT_MODE_LAYER, llama.cpp adds `tensor_split` up, divides by the sum and gives the p-th of the n layers that
// are not the processor's, the output head included, to the first device whose sum exceeds p / n, all in single precision
// (llama_model_base::load_tensors of the pinned version).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nmos {

// For devices that have so many layers each, and the last one the output head, too. Every border lies in the middle
// between two layers, so that no rounding moves it.
std::vector<float> tensor_split(std::span<const uint32_t> layers);

}  // namespace nmos
