// Memory of Windows: what is read ahead, what counts as the process's, and what is granted of cards.
#include "platform/windows_api.h"

#include <memory>
#include <string>

#include "check.h"
#include "gguf_file.h"
#include "platform/os.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr size_t page = 4096;
constexpr size_t file_bytes = 64 << 20;

// A mapped file of its own, none of which is in the working set.
class Mapping {
  public:
    Mapping() {
        file_.write(std::string(file_bytes, 'x'));
        handle_ = CreateFileW(os::widen(file_.path()).c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr);
        expect(handle_ != INVALID_HANDLE_VALUE, "to open " + file_.path());
        mapping_ = CreateFileMappingW(handle_, nullptr, PAGE_READONLY, 0, 0, nullptr);
        data_ = static_cast<const char*>(MapViewOfFile(mapping_, FILE_MAP_READ, 0, 0, 0));
        expect(data_ != nullptr, "to map " + file_.path());
    }
    ~Mapping() {
        UnmapViewOfFile(data_);
        CloseHandle(mapping_);
        CloseHandle(handle_);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    const char* data() const { return data_; }

  private:
    TemporaryFile file_;
    HANDLE handle_ = nullptr;
    HANDLE mapping_ = nullptr;
    const char* data_ = nullptr;
};

}  // namespace

TEST(paging, "what is read in of a mapped file is in the working set, and gives way to data") {
    const Mapping mapping;
    const os::Memory before = os::memory();
    os::page_in(mapping.data(), file_bytes);
    const os::Memory after = os::memory();
    expect(after.process > before.process + file_bytes * 9 / 10, "all of the file in the working set, got " + show(after.process - before.process));
    expect(after.available + file_bytes / 2 > before.available, "what only mirrors a file to count as available");
}

TEST(paging, "of pages that nobody may read ends nothing") {
    char* const reserved = static_cast<char*>(VirtualAlloc(nullptr, 64 * page, MEM_RESERVE, PAGE_NOACCESS));
    expect(reserved != nullptr, "to reserve addresses");
    expect(VirtualAlloc(reserved, 16 * page, MEM_COMMIT, PAGE_READWRITE) != nullptr, "to have memory for some of them");
    os::page_in(reserved + 8 * page, 16 * page);
    os::page_in(reserved + 20 * page, page);
    os::read_ahead(reserved + 8 * page, 16 * page);
    expect_equal(static_cast<int>(reserved[15 * page]), 0);
    VirtualFree(reserved, 0, MEM_RELEASE);
}

TEST(paging, "a large allocation counts as the process's once it is used") {
    constexpr size_t bytes = 256 << 20;
    const uint64_t before = os::memory().process;
    const std::unique_ptr<char[]> memory(new char[bytes]);
    expect(os::memory().process < before + bytes / 2, "memory that is not used not to be taken");
    volatile char* const used = memory.get();
    for (size_t at = 0; at < bytes; at += page) used[at] = 1;
    expect(os::memory().process > before + bytes * 9 / 10, "all of it to be taken");
}

TEST(paging, "of a card that is not there nothing is granted, and it has no driver") {
    expect(!os::video_memory("a card that nobody makes"), "no budget");
    expect_equal(os::driver_version("a card that nobody makes"), std::string());
}
