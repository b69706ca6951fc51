#include "device/copy_rows.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <thread>

namespace nmos {

namespace {

// More do not make memory faster, and somebody else may compute meanwhile.
constexpr size_t most_threads = 4;

// Takes a thread ten times as long as beginning it does.
constexpr size_t bytes_of_a_thread = 4 << 20;

}  // namespace

void copy_in_parts(size_t count, size_t bytes, const std::function<void(size_t, size_t)>& copy) {
    const size_t processors = std::max(1u, std::thread::hardware_concurrency());
    const size_t parts = std::clamp<size_t>(bytes / bytes_of_a_thread, 1, std::min(most_threads, processors));
    std::array<std::thread, most_threads - 1> threads;
    size_t given = 0;
    try {
        for (size_t part = 0; part + 1 < parts; ++part) {
            const size_t end = count * (part + 1) / parts;
            threads[part] = std::thread(std::cref(copy), given, end);
            given = end;
        }
    } catch (const std::exception&) {
        // There is none to be had.
    }
    copy(given, count);
    for (std::thread& thread : threads) {
        if (thread.joinable()) thread.join();
    }
}

void copy_rows(char* to, size_t to_stride, const char* from, size_t from_stride, size_t bytes, size_t count) {
    if (to_stride == bytes && from_stride == bytes) {
        copy_bytes(to, from, bytes * count);
        return;
    }
    const auto copy = [&](size_t begin, size_t end) {
        for (size_t row = begin; row < end; ++row) std::memcpy(to + row * to_stride, from + row * from_stride, bytes);
    };
    // By reference, which needs no memory.
    copy_in_parts(count, bytes * count, std::cref(copy));
}

void copy_bytes(char* to, const char* from, size_t bytes) {
    const auto copy = [&](size_t begin, size_t end) { std::memcpy(to + begin, from + begin, end - begin); };
    copy_in_parts(bytes, bytes, std::cref(copy));
}

}  // namespace nmos
