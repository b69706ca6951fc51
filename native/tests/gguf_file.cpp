#include "gguf_file.h"

#include <bit>
#include <fstream>
#include <random>

#include "check.h"

namespace nmos::testing {

namespace fs = std::filesystem;

namespace {

constexpr uint32_t type_u16 = 2;
constexpr uint32_t type_u32 = 4;
constexpr uint32_t type_i32 = 5;
constexpr uint32_t type_f32 = 6;
constexpr uint32_t type_text = 8;
constexpr uint32_t type_array = 9;
constexpr uint32_t type_u64 = 10;
constexpr uint64_t alignment = 32;

// GGUF is little-endian.
template <typename T> std::string number(T value) {
    std::string bytes;
    for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xFF);
    return bytes;
}

std::string sized(std::string_view text) {
    return number<uint64_t>(text.size()) + std::string(text);
}

uint64_t aligned(uint64_t size) {
    return (size + alignment - 1) / alignment * alignment;
}

}  // namespace

TemporaryFile::TemporaryFile(std::string_view content) {
    std::random_device random;
    path_ = fs::temp_directory_path() / ("nmos-test-" + std::to_string(random()) + std::to_string(random()) + ".gguf");
    write(content);
}

TemporaryFile::~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
}

std::string TemporaryFile::path() const {
    const std::u8string text = path_.u8string();
    return {text.begin(), text.end()};
}

void TemporaryFile::write(std::string_view content) {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    file.close();
    expect(file.good(), "to write " + path());
}

void TemporaryFile::resize(uint64_t bytes) {
    fs::resize_file(path_, bytes);
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path(), ignored);
}

fs::path TemporaryFolder::only_file() const {
    const fs::directory_iterator entries(path());
    const std::vector<fs::directory_entry> found(begin(entries), end(entries));
    expect_equal(found.size(), size_t{1});
    return found[0].path();
}

GgufFile& GgufFile::key(std::string_view key, uint32_t type) {
    ++values_;
    value_bytes_ += sized(key) + number(type);
    return *this;
}

GgufFile& GgufFile::text(std::string_view name, std::string_view value) {
    key(name, type_text).value_bytes_ += sized(value);
    return *this;
}

GgufFile& GgufFile::u16(std::string_view name, uint16_t value) {
    key(name, type_u16).value_bytes_ += number(value);
    return *this;
}

GgufFile& GgufFile::u32(std::string_view name, uint32_t value) {
    key(name, type_u32).value_bytes_ += number(value);
    return *this;
}

GgufFile& GgufFile::u64(std::string_view name, uint64_t value) {
    key(name, type_u64).value_bytes_ += number(value);
    return *this;
}

GgufFile& GgufFile::i32(std::string_view name, int32_t value) {
    key(name, type_i32).value_bytes_ += number(value);
    return *this;
}

GgufFile& GgufFile::f32(std::string_view name, float value) {
    key(name, type_f32).value_bytes_ += number(std::bit_cast<uint32_t>(value));
    return *this;
}

GgufFile& GgufFile::i32s(std::string_view name, const std::vector<int32_t>& values) {
    key(name, type_array).value_bytes_ += number(type_i32) + number<uint64_t>(values.size());
    for (const int32_t value : values) value_bytes_ += number(value);
    return *this;
}

GgufFile& GgufFile::texts(std::string_view name, const std::vector<std::string>& values) {
    key(name, type_array).value_bytes_ += number(type_text) + number<uint64_t>(values.size());
    for (const std::string& value : values) value_bytes_ += sized(value);
    return *this;
}

GgufFile& GgufFile::tensor(std::string_view name, uint64_t width, uint64_t height) {
    return tensor_of(GGML_TYPE_F32, name, width, height);
}

GgufFile& GgufFile::tensor_of(ggml_type type, std::string_view name, uint64_t width, uint64_t height) {
    ++tensors_;
    tensor_bytes_ += sized(name) + number<uint32_t>(2) + number(width) + number(height) + number(static_cast<uint32_t>(type)) + number(data_size_);
    data_size_ += aligned(ggml_row_size(type, static_cast<int64_t>(width)) * height);
    return *this;
}

std::string GgufFile::header() const {
    std::string bytes = "GGUF" + number<uint32_t>(3) + number(tensors_) + number(values_) + value_bytes_ + tensor_bytes_;
    bytes.resize(aligned(bytes.size()));
    return bytes;
}

std::string GgufFile::bytes() const {
    return header() + std::string(data_size_, '\0');
}

std::string read_beginning(const std::string& path, size_t bytes) {
    std::string content(bytes, '\0');
    std::ifstream file(fs::path(std::u8string(path.begin(), path.end())), std::ios::binary);
    file.read(content.data(), static_cast<std::streamsize>(bytes));
    expect(static_cast<size_t>(file.gcount()) == bytes, std::to_string(bytes) + " bytes in " + path);
    return content;
}

}  // namespace nmos::testing
