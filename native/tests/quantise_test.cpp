#include "runtime/quantise.h"

#include <filesystem>
#include <fstream>

#include "check.h"
#include "gguf_file.h"
#include "runtime/backends.h"
#include "runtime/log.h"
#include "runtime/model_divergence.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

const std::string text =
    "Binary search finds the position of a value in a sorted list. It compares the value with the middle element and goes on in the half "
    "that can hold it, so that a list of a million elements takes twenty steps.\n\n"
    "def binary_search(items, value):\n    low, high = 0, len(items) - 1\n    while low <= high:\n        middle = (low + high) // 2\n";

QuantiseOptions options_for(const std::string& target) {
    QuantiseOptions options;
    options.source = small_model_path();
    options.target = target;
    options.type = "Q4_0";
    return options;
}

// The first part says what the model is.
GgufFile first_part() {
    GgufFile file;
    file.text("general.architecture", "llama").u32("llama.block_count", 1).u16("split.no", 0).u16("split.count", 2);
    return file.tensor("blk.0.ffn_up.weight", 8, 16);
}

GgufFile second_part() {
    GgufFile file;
    return file.u16("split.no", 1).u16("split.count", 2).tensor("blk.0.ffn_down.weight", 16, 8);
}

void write(const std::string& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace

TEST(quantise, "a model is as large as was predicted and predicts much the same") {
    take_over_library_log();
    load_backends(library_directory(), true);
    const TemporaryFile target;
    QuantiseOptions options = options_for(target.path());
    options.from_low_precision = true;
    quantise(options);
    const uint64_t predicted = predict_quantised_bytes(options.source, options.type);
    const uint64_t size = std::filesystem::file_size(target.path());
    expect((predicted > size ? predicted - size : size - predicted) < 10 * 1024, "a size as predicted");
    expect_equal(summarise_weights(target.path()).type, std::string("q4_0"));
    const Divergence divergence = compare_models(target.path(), options.source, text, 1);
    expect(*divergence.mean_kl > 0.01 && *divergence.mean_kl < 1, "predictions that are near those of the source, and not the same");
    expect(*divergence.same_top > 0.4, "mostly the same favourites");
}

TEST(quantise, "weights of low precision lose nothing more unless that is asked for") {
    take_over_library_log();
    const TemporaryFile target("old");
    expect_error(ErrorCode::ModelUnsupported, "re-quantising loses quality", [&] { quantise(options_for(target.path())); });
    expect_equal(std::filesystem::file_size(target.path()), uint64_t{3});
}

TEST(quantise, "a few weights of low precision are no matter, more are, whatever most weights are") {
    struct Case {
        ggml_type type;
        uint64_t rows;  // of that type, beside 100 of another
        ggml_type other;
        std::string expected;
        double share;
        bool low;
    };
    const Case cases[] = {
        {GGML_TYPE_Q8_0, 300, GGML_TYPE_Q4_K, "q4_K", 0.25, true},   // an embedding larger than the layers
        {GGML_TYPE_Q8_0, 1500, GGML_TYPE_Q4_K, "q4_K", 0.0625, true},
        {GGML_TYPE_F16, 3900, GGML_TYPE_Q6_K, "f16", 0.975, false},
        {GGML_TYPE_Q8_0, 300, GGML_TYPE_F32, "q8_0", 0.75, false},
        {GGML_TYPE_BF16, 300, GGML_TYPE_F16, "bf16", 0.75, false},
        {GGML_TYPE_Q4_0, 300, GGML_TYPE_Q6_K, "q4_0", 0.75, true},
        {GGML_TYPE_IQ4_XS, 100, GGML_TYPE_IQ4_XS, "iq4_xs", 1, true},
    };
    for (const Case& given : cases) {
        GgufFile file;
        file.text("general.architecture", "llama").u32("llama.block_count", 1);
        file.tensor_of(given.type, "token_embd.weight", 256, given.rows).tensor_of(given.other, "blk.0.ffn_up.weight", 256, 100);
        const TemporaryFile written(file.bytes());
        const WeightSummary summary = summarise_weights(written.path());
        expect_equal(summary.type, given.expected);
        expect_equal(summary.type_share, given.share);
        expect_equal(summary.low_precision, given.low);
        expect_equal(summary.file_bytes, uint64_t{file.bytes().size()});
    }
}

TEST(quantise, "what cannot be done says why") {
    take_over_library_log();
    const TemporaryFile no_model("Hello");
    expect_error(ErrorCode::ModelInvalid, "no GGUF file", [&] { summarise_weights(no_model.path()); });
    expect_error(ErrorCode::InvalidArgument, "\"Q9\"", [] { predict_quantised_bytes(small_model_path(), "Q9"); });
    QuantiseOptions options = options_for(no_model.path() + ".d/x.gguf");
    options.from_low_precision = true;
    expect_error(ErrorCode::Internal, "cannot be written", [&] { quantise(options); });
}

TEST(quantise, "a model without a reference is judged by the text") {
    take_over_library_log();
    load_backends(library_directory(), true);
    const Divergence divergence = compare_models(small_model_path(), std::nullopt, text, 1);
    expect(!divergence.mean_kl && !divergence.same_top, "nothing to compare with");
    expect(divergence.surprise > 0.1 && divergence.surprise < 6, "a text that makes sense");
}

TEST(quantise, "the parts of a split model count together, and all of them have to be there") {
    take_over_library_log();
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.path());
    const std::string first = folder.path() + "/model-00001-of-00002.gguf";
    const std::string second = folder.path() + "/model-00002-of-00002.gguf";
    write(first, first_part().bytes());
    expect_error(ErrorCode::ModelNotFound, "00002-of-00002", [&] { summarise_weights(first); });
    const std::string bytes = second_part().bytes();
    write(second, bytes.substr(0, bytes.size() - 64));
    expect_error(ErrorCode::ModelTruncated, "00002-of-00002", [&] { summarise_weights(first); });
    write(second, bytes);
    const WeightSummary summary = summarise_weights(first);
    expect_equal(summary.type, std::string("f32"));
    expect_equal(summary.file_bytes, uint64_t{first_part().bytes().size() + bytes.size()});
    const std::string renamed = folder.path() + "/model.gguf";
    std::filesystem::rename(first, renamed);
    expect_error(ErrorCode::ModelInvalid, "must keep its name", [&] { summarise_weights(renamed); });
}
