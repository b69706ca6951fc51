#include "plan/model_profile.h"

#include <gguf.h>

#include <memory>
#include <random>

#include "check.h"
#include "gguf_file.h"
#include "plan/model_outline.h"
#include "runtime/log.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

void describe_two_layers(GgufFile& file) {
    file.text("general.architecture", "llama").text("general.name", "Tiny");
    file.u32("llama.block_count", 2).u32("llama.context_length", 512).u32("llama.embedding_length", 8);
    file.u32("llama.feed_forward_length", 16).u32("llama.attention.head_count", 4).u32("llama.attention.head_count_kv", 2);
}

void add_two_layers(GgufFile& file) {
    file.tensor("token_embd.weight", 8, 3).tensor("blk.0.ffn_up.weight", 8, 16).tensor("blk.1.ffn_up.weight", 8, 8);
    file.tensor("output_norm.weight", 8);
}

// A model of two layers, 8 wide, without a tensor for its output head.
GgufFile two_layers() {
    GgufFile file;
    describe_two_layers(file);
    file.texts("tokenizer.ggml.tokens", {"a", "b", "c"});
    add_two_layers(file);
    return file;
}

// The same model without vocabulary and data.
std::string outline_of_two_layers(uint64_t file_bytes) {
    GgufFile file;
    describe_two_layers(file);
    file.u64("nmos.outline.file_bytes", file_bytes);
    add_two_layers(file);
    return file.header();
}

// The header of a model whose metadata are those of `more` after an architecture with one layer of 64 × 4.
GgufFile one_layer() {
    GgufFile file;
    file.text("general.architecture", "llama").u32("llama.block_count", 1);
    return file;
}

ModelProfile profile_of(std::string_view bytes) {
    take_over_library_log();
    const TemporaryFile file(bytes);
    return read_model_profile(file.path());
}

void check_error(std::string_view bytes, ErrorCode code, std::string_view part, Location at = Location::here()) {
    expect_error(code, part, [&] { profile_of(bytes); }, at);
}

void check_kv(const GgufFile& file, uint64_t bytes_per_token, Location at = Location::here()) {
    expect_equal(profile_of(file.bytes()).kv_bytes_per_token.at(0), bytes_per_token, at);
}

template <typename T> std::string with(std::string bytes, size_t offset, T value) {
    for (size_t i = 0; i < sizeof value; ++i) bytes.at(offset + i) = static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xFF);
    return bytes;
}

size_t offset_of(const std::string& bytes, std::string_view text) {
    const size_t offset = bytes.find(text);
    expect(offset != std::string::npos, "the file to contain " + std::string(text));
    return offset;
}

// Any outcome but a crash, another exception or a profile that contradicts itself.
void check_survives(std::string_view bytes, TemporaryFile& file) {
    file.write(bytes);
    try {
        const ModelProfile profile = read_model_profile(file.path());
        expect_equal(profile.layer_bytes.size(), size_t{profile.layers});
        expect_equal(profile.kv_bytes_per_token.size(), size_t{profile.layers});
        expect(profile.weight_bytes() <= 2 * profile.file_bytes, "weights that fit into the file");
    } catch (const EngineError& error) {
        const ErrorCode code = error.code();
        expect(code == ErrorCode::ModelInvalid || code == ErrorCode::ModelTruncated || code == ErrorCode::ModelUnsupported,
               "an error about the model, got " + show(code) + ": " + error.what());
    }
}

}  // namespace

TEST(model_profile, "reads what a planner needs") {
    const std::string bytes = two_layers().bytes();
    const ModelProfile profile = profile_of(bytes);
    expect_equal(profile.architecture, std::string("llama"));
    expect_equal(profile.name, std::string("Tiny"));
    expect_equal(profile.file_bytes, uint64_t{bytes.size()});
    expect_equal(profile.layers, 2u);
    expect_equal(profile.trained_context, 512u);
    expect_equal(profile.embedding, 8u);
    expect_equal(profile.feed_forward, 16u);
    expect_equal(profile.vocabulary, 3u);
    expect_equal(profile.layer_bytes, std::vector<uint64_t>{8 * 16 * 4, 8 * 8 * 4});
    expect_equal(profile.embedding_bytes, uint64_t{8 * 3 * 4});
    // The norm, and the embedding once more because it is the head too.
    expect_equal(profile.output_bytes, uint64_t{8 * 4 + 8 * 3 * 4});
    expect_equal(profile.weight_bytes(), uint64_t{(8 * 16 + 8 * 8 + 8 + 2 * 8 * 3) * 4});
    // Keys and values of 2 heads, 2 wide, 2 bytes a number.
    expect_equal(profile.kv_bytes_per_token, std::vector<uint64_t>{16, 16});
    expect_equal(profile.kv_bytes(100), uint64_t{3200});
    // Heads that are narrower than a block.
    expect_equal(profile.with_kv(KvType::Q8_0).kv_bytes(100), uint64_t{3200});
}

TEST(model_profile, "counts an output head of its own instead of the embedding") {
    const ModelProfile profile = profile_of(two_layers().tensor("output.weight", 8, 3).bytes());
    expect_equal(profile.output_bytes, uint64_t{8 * 4 + 8 * 3 * 4});
    expect_equal(profile.embedding_bytes, uint64_t{8 * 3 * 4});
}

TEST(model_profile, "adds up what passes multiply by its type") {
    const auto file = [] {
        return one_layer().tensor_of(GGML_TYPE_Q4_K, "blk.0.ffn_up.weight", 256, 4).tensor_of(GGML_TYPE_Q6_K, "blk.0.ffn_down.weight", 256, 2).tensor_of(GGML_TYPE_Q8_0, "token_embd.weight", 256, 3);
    };
    const auto bytes_of = [](ggml_type type, int64_t rows) { return uint64_t{ggml_row_size(type, 256)} * static_cast<uint64_t>(rows); };
    const std::map<std::string, uint64_t> layer{{"q4_K", bytes_of(GGML_TYPE_Q4_K, 4)}, {"q6_K", bytes_of(GGML_TYPE_Q6_K, 2)}};
    std::map<std::string, uint64_t> tied = layer;
    tied["q8_0"] = bytes_of(GGML_TYPE_Q8_0, 3);
    expect(profile_of(file().bytes()).type_bytes == tied, "the embedding, which is the head, too");
    std::map<std::string, uint64_t> own = layer;
    own["q6_K"] += bytes_of(GGML_TYPE_Q6_K, 3);
    expect(profile_of(file().tensor_of(GGML_TYPE_Q6_K, "output.weight", 256, 3).bytes()).type_bytes == own, "the head instead of the embedding");
}

TEST(model_profile, "knows the ways in which models state their attention") {
    const auto file = [] { return one_layer().u32("llama.embedding_length", 64); };
    check_kv(file(), 64 * 2 * 2);
    check_kv(file().u32("llama.attention.head_count", 4), 64 * 2 * 2);
    check_kv(file().u32("llama.attention.head_count", 4).u32("llama.attention.head_count_kv", 1), 16 * 2 * 2);
    check_kv(file().u64("llama.attention.head_count", 4).i32("llama.attention.head_count_kv", 2), 32 * 2 * 2);
    check_kv(file().u32("llama.attention.head_count", 4).u32("llama.attention.key_length", 32), 4 * (32 + 16) * 2);
    check_kv(file().u32("llama.attention.head_count", 4).i32s("llama.attention.head_count_kv", {1, 2, 1}), 32 * 2 * 2);
    check_kv(file().u32("llama.attention.head_count", 0), 64 * 2 * 2);
    // Negative numbers mean nothing here, and must not become huge ones.
    check_kv(file().i32("llama.attention.head_count", 4).i32("llama.attention.head_count_kv", -1), 0);
    check_kv(file().u32("llama.attention.head_count", 4).i32s("llama.attention.head_count_kv", {-1, 2}), 32 * 2 * 2);
    check_kv(file().u32("llama.attention.head_count", 4).i32s("llama.attention.head_count_kv", {}), 64 * 2 * 2);
    check_kv(file().u32("llama.attention.head_count", 4).text("llama.attention.head_count_kv", "two"), 64 * 2 * 2);
}

TEST(model_profile, "names what is wrong with a file") {
    expect_error(ErrorCode::ModelNotFound, "cannot be opened", [] { read_model_profile("no/such/model.gguf"); });
    expect_error(ErrorCode::ModelNotFound, "cannot be opened", [] { read_model_profile(""); });
    expect_error(ErrorCode::ModelNotFound, "", [] {
        read_model_profile(std::filesystem::temp_directory_path().string());
    });
    check_error("", ErrorCode::ModelInvalid, "does not begin with \"GGUF\"");
    check_error("GGU", ErrorCode::ModelInvalid, "does not begin with \"GGUF\"");
    check_error("<!doctype html><title>404</title>", ErrorCode::ModelInvalid, "Choose a model in GGUF format");
    check_error("GGUF", ErrorCode::ModelInvalid, "Download the model again");
    const std::string bytes = two_layers().bytes();
    for (const uint32_t version : {0u, 1u, 4u, 0x03000000u}) check_error(with(bytes, 4, version), ErrorCode::ModelInvalid, "version");
    check_error(with<uint64_t>(bytes, 8, UINT64_MAX), ErrorCode::ModelInvalid, "cannot be read");
    check_error(with<uint64_t>(bytes, 8, uint64_t{1} << 40), ErrorCode::ModelInvalid, "cannot be read");
    check_error(with<uint64_t>(bytes, 16, UINT64_MAX), ErrorCode::ModelInvalid, "cannot be read");
    check_error(with<uint64_t>(bytes, 16, uint64_t{1} << 40), ErrorCode::ModelInvalid, "cannot be read");
    check_error(GgufFile().bytes(), ErrorCode::ModelUnsupported, "no language model");
    check_error(GgufFile().text("general.architecture", "llama").bytes(), ErrorCode::ModelUnsupported, "no language model");
    check_error(GgufFile().u32("llama.block_count", 2).bytes(), ErrorCode::ModelUnsupported, "no language model");
    check_error(GgufFile().u32("general.architecture", 1).u32("llama.block_count", 2).bytes(), ErrorCode::ModelUnsupported, "no language model");
    for (const uint64_t layers : {uint64_t{0}, uint64_t{10001}, uint64_t{1} << 32, UINT64_MAX}) {
        check_error(GgufFile().text("general.architecture", "llama").u64("llama.block_count", layers).bytes(), ErrorCode::ModelUnsupported,
                    "no language model");
    }
}

TEST(model_profile, "refuses lengths that reach beyond the file") {
    const std::string bytes = two_layers().bytes();
    const std::vector<uint64_t> lengths = {uint64_t{bytes.size()}, uint64_t{1} << 31, uint64_t{1} << 40, uint64_t{1} << 63, UINT64_MAX};
    for (const uint64_t length : lengths) {
        check_error(with(bytes, 24, length), ErrorCode::ModelInvalid, "cannot be read");                                  // a key
        check_error(with(bytes, offset_of(bytes, "Tiny") - 8, length), ErrorCode::ModelInvalid, "cannot be read");        // a text
        const size_t tokens = offset_of(bytes, "tokenizer.ggml.tokens") + std::string_view("tokenizer.ggml.tokens").size();
        check_error(with(bytes, tokens + 8, length), ErrorCode::ModelInvalid, "cannot be read");                          // an array
        check_error(with(bytes, offset_of(bytes, "blk.0") - 8, length), ErrorCode::ModelInvalid, "cannot be read");       // a tensor's name
        const size_t sizes = offset_of(bytes, "blk.0.ffn_up.weight") + std::string_view("blk.0.ffn_up.weight").size() + 4;
        check_error(with(bytes, sizes, length), ErrorCode::ModelInvalid, "cannot be read");                               // a tensor's width
    }
}

TEST(model_profile, "tells a file that was cut short at any point") {
    const std::string bytes = two_layers().bytes();
    const size_t header = two_layers().header().size();
    for (size_t length = 0; length < bytes.size(); ++length) {
        check_error(std::string_view(bytes).substr(0, length), length < header ? ErrorCode::ModelInvalid : ErrorCode::ModelTruncated,
                    length < header ? "" : "should hold " + std::to_string(bytes.size()));
    }
    profile_of(bytes);
    profile_of(bytes + "what follows does not matter");
}

TEST(model_profile, "survives damaged headers") {
    take_over_library_log();
    const std::string bytes = two_layers().bytes();
    const size_t header = two_layers().header().size();
    std::mt19937 random(3);
    TemporaryFile file;
    for (int i = 0; i < 1500; ++i) {
        std::string damaged = bytes;
        for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
            const auto byte = static_cast<char>(random() % 2 == 0 ? random() : (random() % 2 == 0 ? 0xFF : 0));
            damaged[4 + random() % (header - 4)] = byte;
        }
        check_survives(damaged, file);
    }
}

TEST(model_profile, "an outline tells what the model would, and is none itself") {
    take_over_library_log();
    const TemporaryFile whole(two_layers().bytes());
    const ModelProfile model = read_model_profile(whole.path());
    const TemporaryFile outline(outline_of_two_layers(model.file_bytes));
    for (const std::string& path : {outline.path(), whole.path()}) {
        const ModelProfile told = read_model_or_outline(path);
        expect_equal(told.name, model.name);
        expect_equal(told.file_bytes, model.file_bytes);
        expect_equal(told.vocabulary, model.vocabulary);
        expect_equal(told.layer_bytes, model.layer_bytes);
        expect_equal(told.network_bytes, model.network_bytes);
        expect_equal(told.network_pieces, model.network_pieces);
        expect_equal(told.kv_bytes_per_token, model.kv_bytes_per_token);
        expect_equal(told.output_bytes, model.output_bytes);
        expect(told.type_bytes == model.type_bytes, "the same types of weights");
    }
    expect_error(ErrorCode::ModelTruncated, "should hold", [&] { read_model_profile(outline.path()); });
    const TemporaryFile too_small(outline_of_two_layers(100));
    expect_error(ErrorCode::ModelTruncated, "holds only 100", [&] { read_model_or_outline(too_small.path()); });
}

TEST(model_profile, "reads the real model and tells where it was cut") {
    take_over_library_log();
    const std::string path = small_model_path();
    const ModelProfile profile = read_model_profile(path);
    expect_equal(profile.architecture, std::string("llama"));
    expect_equal(profile.layers, 30u);
    expect_equal(profile.embedding, 576u);
    expect_equal(profile.feed_forward, 1536u);
    expect_equal(profile.vocabulary, 49152u);
    // 3 heads, 64 wide, keys and values, 2 bytes a number.
    expect_equal(profile.kv_bytes_per_token, std::vector<uint64_t>(30, 3 * 64 * 2 * 2));
    // A scale of 2 bytes for 32 numbers of one.
    expect_equal(profile.with_kv(KvType::Q8_0).kv_bytes_per_token, std::vector<uint64_t>(30, 3 * 64 * 2 * 34 / 32));
    expect_equal(profile.with_kv(KvType::Q8_0).with_kv(KvType::F16).kv_bytes_per_token, profile.kv_bytes_per_token);
    expect(profile.weight_bytes() - profile.embedding_bytes <= profile.file_bytes, "weights that fit into the file");
    expect(profile.weight_bytes() > profile.file_bytes * 9 / 10, "nearly all of the file to be weights");

    const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(gguf_init_from_file(path.c_str(), {true, nullptr}), &gguf_free);
    const size_t header = gguf_get_data_offset(gguf.get());
    TemporaryFile cut(read_beginning(path, header));
    for (const uint64_t length : {uint64_t{header}, uint64_t{header + 1}, profile.file_bytes / 2, profile.file_bytes - 32}) {
        cut.resize(length);
        expect_error(ErrorCode::ModelTruncated, "should hold " + std::to_string(profile.file_bytes), [&] { read_model_profile(cut.path()); });
    }
    for (const size_t length : {header - 64, header / 2, size_t{100000}, size_t{1000}, size_t{24}, size_t{12}}) {
        cut.resize(length);
        expect_error(ErrorCode::ModelInvalid, "cut short", [&] { read_model_profile(cut.path()); });
    }
}
