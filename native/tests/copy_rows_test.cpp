#include "device/copy_rows.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "check.h"
#include "refused_new.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

std::vector<char> numbered(size_t bytes) {
    std::vector<char> memory(bytes);
    for (size_t i = 0; i < bytes; ++i) memory[i] = static_cast<char>(i * 2654435761u >> 16);
    return memory;
}

// Rows of so many bytes, with so many more between them on either side; nothing else may be written.
void check_rows(size_t bytes, size_t count, size_t between_from, size_t between_to, Location at = Location::here()) {
    const size_t from_stride = bytes + between_from;
    const size_t to_stride = bytes + between_to;
    const std::vector<char> from = numbered(from_stride * count);
    std::vector<char> to(to_stride * count, 'x');
    copy_rows(to.data(), to_stride, from.data(), from_stride, bytes, count);
    for (size_t row = 0; row < count; ++row) {
        const char* const copied = to.data() + row * to_stride;
        const char* const behind = copied + bytes;
        if (std::memcmp(copied, from.data() + row * from_stride, bytes) != 0) throw Failure(at, "row " + show(row) + " is not what was copied");
        if (!std::all_of(behind, behind + between_to, [](char byte) { return byte == 'x'; })) throw Failure(at, "something was written behind row " + show(row));
    }
}

constexpr size_t mib = 1 << 20;

}  // namespace

TEST(copy_rows, "copies every row and nothing else, however many there are") {
    for (const size_t between_to : {size_t{0}, size_t{7}}) {
        for (const size_t between_from : {size_t{0}, size_t{300}}) {
            check_rows(1, 1, between_from, between_to);
            check_rows(144, 1000, between_from, between_to);
            // Not to be divided evenly.
            check_rows(1001, 40'013, between_from, between_to);
            check_rows(33 * mib + 1, 1, between_from, between_to);
        }
    }
}

TEST(copy_rows, "copies large parts on several threads, where there are processors for them") {
    std::mutex mutex;
    std::set<std::thread::id> threads;
    std::vector<int> copied(100, 0);
    copy_in_parts(copied.size(), 64 * mib, [&](size_t begin, size_t end) {
        std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
        for (size_t i = begin; i < end; ++i) ++copied[i];
    });
    expect(copied == std::vector<int>(100, 1), "every piece to be copied once");
    expect(threads.size() > 1 || std::thread::hardware_concurrency() < 2, "several threads");
    threads.clear();
    copy_in_parts(100, mib, [&](size_t, size_t) { threads.insert(std::this_thread::get_id()); });
    expect(threads == std::set{std::this_thread::get_id()}, "little to be copied at once");
}

TEST(copy_rows, "copies all by itself where there is no memory for a thread") {
    const std::vector<char> from = numbered(64 * mib);
    for (const uint64_t granted : {uint64_t{0}, uint64_t{1}}) {
        std::vector<char> to(from.size());
        refuse_new(granted, true);
        copy_bytes(to.data(), from.data(), from.size());
        const uint64_t requests = grant_new();
        expect(to == from, "all to be copied");
        expect(requests > granted || std::thread::hardware_concurrency() < 3, "memory to be refused, after " + show(granted) + " requests");
    }
}
