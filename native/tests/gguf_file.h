// Model files for tests: small GGUF files written value by value, and damaged ones.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace nmos::testing {

// A file of its own in the system's folder for temporary files, removed at the end.
class TemporaryFile {
  public:
    explicit TemporaryFile(std::string_view content = "");
    ~TemporaryFile();
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    std::string path() const;
    void write(std::string_view content);
    // Grows with zeros, which take no room on most file systems, or shrinks.
    void resize(uint64_t bytes);

  private:
    std::filesystem::path path_;
};

// A folder that is not there yet, removed with all that is put there.
class TemporaryFolder {
  public:
    ~TemporaryFolder();

    std::string path() const { return beside_.path() + ".d"; }
    // Fails when there is none, or more.
    std::filesystem::path only_file() const;

  private:
    TemporaryFile beside_;
};

// The bytes of a GGUF file, version 3, in the order of the calls: first values, then tensors.
class GgufFile {
  public:
    GgufFile& text(std::string_view key, std::string_view value);
    GgufFile& u16(std::string_view key, uint16_t value);
    GgufFile& u32(std::string_view key, uint32_t value);
    GgufFile& u64(std::string_view key, uint64_t value);
    GgufFile& i32(std::string_view key, int32_t value);
    GgufFile& f32(std::string_view key, float value);
    GgufFile& i32s(std::string_view key, const std::vector<int32_t>& values);
    GgufFile& texts(std::string_view key, const std::vector<std::string>& values);
    // A tensor of floats; its data are zeros.
    GgufFile& tensor(std::string_view name, uint64_t width, uint64_t height = 1);
    // A tensor of another type, one of ggml's; `width` is of whole blocks. Its data are zeros.
    GgufFile& tensor_of(ggml_type type, std::string_view name, uint64_t width, uint64_t height = 1);

    std::string header() const;
    // Header and tensor data.
    std::string bytes() const;

  private:
    GgufFile& key(std::string_view key, uint32_t type);

    uint64_t values_ = 0;
    uint64_t tensors_ = 0;
    std::string value_bytes_;
    std::string tensor_bytes_;
    uint64_t data_size_ = 0;
};

// The first `bytes` of a file.
std::string read_beginning(const std::string& path, size_t bytes);

}  // namespace nmos::testing
