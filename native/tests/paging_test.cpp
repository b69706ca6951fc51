// Reading ahead, on every system. What of a mapped file is in RAM is told by each in its own way: linux_paging_test.cpp and
// windows_paging_test.cpp.
#include <algorithm>
#include <vector>

#include "check.h"
#include "platform/os.h"

using namespace nmos;
using namespace nmos::testing;

TEST(paging, "of memory that is no file's, of none, and of a part of a page just returns") {
    const std::vector<char> memory(3 << 20, 7);
    os::page_in(memory.data(), memory.size());
    os::page_in(memory.data() + 1, 1);
    os::page_in(memory.data(), 0);
    os::page_in(nullptr, 0);
    os::read_ahead(memory.data() + 4095, 2);
    os::read_ahead(nullptr, 0);
    expect(std::ranges::all_of(memory, [](char byte) { return byte == 7; }), "what was there");
}
