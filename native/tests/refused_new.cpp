#include "refused_new.h"

#include <array>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string_view>
#include <unordered_map>

#include "sim_device.h"

#if !defined(_WIN32)
#include <dlfcn.h>
#include <execinfo.h>
#endif

#if defined(_MSC_VER)
#include <intrin.h>
#define NMOS_CALLER _ReturnAddress()
#define NMOS_NOT_INLINE __declspec(noinline)
#else
#define NMOS_CALLER __builtin_return_address(0)
#define NMOS_NOT_INLINE [[gnu::noinline]]
#endif

namespace nmos::testing {

namespace {

struct Refusing {
    bool counts = false;
    bool lasting = false;
    uint64_t granted = 0;
    uint64_t requests = 0;
    int own = 0;  // depth of OwnMemory
};

thread_local Refusing refusing;

#if defined(_WIN32)

bool is_of_this_program(const void*) {
    return true;
}

#else

// In the standard library, or a copy of what its templates are: libraries may have taken this program's copies for theirs.
bool is_standard(const Dl_info& place) {
    const std::string_view file = place.dli_fname ? place.dli_fname : "";
    if (file.find("libstdc++") != std::string_view::npos || file.find("libc++") != std::string_view::npos) return true;
    const std::string_view name = place.dli_sname ? place.dli_sname : "";
    return name.starts_with("_ZNSt") || name.starts_with("_ZNKSt") || name.starts_with("_ZSt") || name.starts_with("_ZNSa") || name.starts_with("_ZN9__gnu_cxx");
}

enum class Code : uint8_t { Standard, OfThisProgram, OfLibraries };

Code code_at(const void* address) {
    static const char place_of_this_program = 0;
    Dl_info own{};
    Dl_info place{};
    if (!dladdr(&place_of_this_program, &own) || !dladdr(address, &place)) return Code::OfLibraries;
    if (is_standard(place)) return Code::Standard;
    return place.dli_fbase == own.dli_fbase ? Code::OfThisProgram : Code::OfLibraries;
}

// As `code_at`, which looks through all names of a library.
Code known_code_at(const void* address) {
    static std::mutex mutex;
    static auto& known = *new std::unordered_map<const void*, Code>;
    std::lock_guard lock(mutex);
    const auto [entry, is_new] = known.try_emplace(address);
    if (is_new) entry->second = code_at(address);
    return entry->second;
}

// Whether it was this program's code that called the operator from `caller`.
bool is_of_this_program(const void* caller) {
    if (const Code code = known_code_at(caller); code != Code::Standard) return code == Code::OfThisProgram;
    std::array<void*, 32> frames{};
    const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
    int frame = 0;
    while (frame < count && frames[static_cast<size_t>(frame)] != caller) ++frame;
    for (; frame < count; ++frame) {
        if (const Code code = known_code_at(frames[static_cast<size_t>(frame)]); code != Code::Standard) return code == Code::OfThisProgram;
    }
    return false;
}

#endif

bool is_refused(const void* caller) {
    if (!refusing.counts || refusing.own > 0 || sim::is_inside_card()) return false;
    const OwnMemory own;
    if (!is_of_this_program(caller)) return false;
    const uint64_t request = refusing.requests++;
    return refusing.lasting ? request >= refusing.granted : request == refusing.granted;
}

}  // namespace

void refuse_new(uint64_t granted, bool lasting) {
    refusing = {true, lasting, granted, 0, refusing.own};
}

uint64_t grant_new() {
    refusing.counts = false;
    return refusing.requests;
}

OwnMemory::OwnMemory() {
    ++refusing.own;
}

OwnMemory::~OwnMemory() {
    --refusing.own;
}

}  // namespace nmos::testing

// Where they are inlined here, GCC takes one for the other's malloc or free.
NMOS_NOT_INLINE void* operator new(std::size_t size) {
    void* const memory = nmos::testing::is_refused(NMOS_CALLER) ? nullptr : std::malloc(size > 0 ? size : 1);
    if (!memory) throw std::bad_alloc();
    return memory;
}

// Its memory is given back by the same operators, and a sanitizer has one of its own that goes with none of them.
NMOS_NOT_INLINE void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return nmos::testing::is_refused(NMOS_CALLER) ? nullptr : std::malloc(size > 0 ? size : 1);
}

NMOS_NOT_INLINE void operator delete(void* memory) noexcept {
    std::free(memory);
}

NMOS_NOT_INLINE void operator delete(void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}

NMOS_NOT_INLINE void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
