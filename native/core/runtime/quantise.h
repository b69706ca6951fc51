// Another type for the weights of a model file, by libllama. It tells neither how far it is nor can it be cancelled, and
// some damaged files end the process: call it in a process of its own, which may be ended at any time.
#pragma once

#include <cstdint>
#include <string>

namespace nmos {

// What the weights of a file are, all parts of a split one together.
struct WeightSummary {
    std::string type;            // that most of them have, of a model of low precision most of those that are; ggml's name, such as "f16", "q4_K"
    double type_share = 0;       // of the weights, that have this type; from 0 to 1
    bool low_precision = false;  // more than a few percent have types other than F32, F16, BF16 and Q8_0, and would lose more
    uint64_t file_bytes = 0;     // of all parts
};

struct QuantiseOptions {
    std::string source;              // of a split model, the first part
    std::string target;              // replaced when it exists; libllama opens it by the name in the system's code page
    std::string type;                // "F16", "Q8_0", "Q4_K_M", "Q4_0" or "IQ4_XS"
    bool from_low_precision = false;  // whether weights that were quantised before may lose more
    int32_t threads = 1;
};

// Reads the headers only. Throws MODEL_NOT_FOUND, MODEL_INVALID, MODEL_TRUNCATED or MODEL_UNSUPPORTED. Any thread.
WeightSummary summarise_weights(const std::string& path);

// Bytes of the file that `quantise` would write, to about 10 KiB. Throws as `summarise_weights`, and INVALID_ARGUMENT for
// an unknown type. One thread at a time.
uint64_t predict_quantised_bytes(const std::string& path, const std::string& type);

// Writes the target as one file, with at most 64 MiB of buffers. On failure what it wrote so far stays. Throws as above,
// MODEL_UNSUPPORTED for weights of low precision that may not lose more, and INTERNAL with the library's reasons. Computes
// with `threads` threads beside the caller's and cannot be stopped. One thread at a time.
void quantise(const QuantiseOptions& options);

}  // namespace nmos
