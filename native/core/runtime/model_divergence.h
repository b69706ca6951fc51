// How far the predictions of two files of the same model are apart, for judging a quantised one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace nmos {

struct Divergence {
    uint32_t tokens = 0;             // predictions that were looked at
    double surprise = 0;             // mean of -ln p of the text's own tokens by the judged model; not a number when a logit is not finite
    std::optional<double> mean_kl;   // of the reference's predictions from the judged ones, nats per token; not a number when a logit of either is not finite
    std::optional<double> same_top;  // share of tokens for which both have the same favourite
};

// Computes one pass over `text` with each, on the processor, one after the other and straight from the mapped files, so that
// neither has to fit into RAM. Without a reference only the judged model is looked at. Throws MODEL_*, OUT_OF_MEMORY, and
// MODEL_UNSUPPORTED when a model computes no predictions. Backends must be loaded.
// Computes with `threads` threads and cannot be stopped; one thread at a time.
Divergence compare_models(const std::string& judged, const std::optional<std::string>& reference, const std::string& text, int32_t threads);

}  // namespace nmos
