#include "device/uploader.h"

#include <ggml-cpp.h>

#include <algorithm>
#include <vector>

#include "check.h"
#include "simulated_cards.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr size_t slot_bytes = 24 << 20;

// VRAM of a card, all of it one byte, to upload into.
struct Slot {
    explicit Slot(ggml_backend_dev_t card) : memory(ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(card), slot_bytes)) {
        expect(memory != nullptr, "graphics memory");
        ggml_backend_buffer_clear(memory.get(), 0);
        whole = bytes_of(memory.get());
    }

    std::vector<char> read() {
        std::vector<char> bytes(slot_bytes);
        ggml_backend_tensor_get(&whole, bytes.data(), 0, bytes.size());
        return bytes;
    }

    ggml_backend_buffer_ptr memory;
    ggml_tensor whole{};
};

}  // namespace

TEST(uploader, "leaves off what is dropped, at any place, and goes on with what is begun after that") {
    const ggml_backend_dev_t card = exact_card().handle();
    Uploader uploader(card);
    Slot slot(card);
    const std::vector<char> ones(slot_bytes, 1);
    const std::vector<char> twos(slot_bytes, 2);
    const size_t row = slot_bytes / 64;
    int cut_short = 0;
    for (int round = 0; round < 40; ++round) {
        const bool in_rows = round % 2 == 1;
        const std::vector<Upload::Part> parts = in_rows ? std::vector<Upload::Part>{{ones.data(), 0, row, 64, row}} : std::vector<Upload::Part>{{ones.data(), 0, slot_bytes, 1, 0}};
        uint64_t last = 0;
        for (int i = 0; i < 3; ++i) last = uploader.begin({&slot.whole, parts, false, nullptr, nullptr});
        // The thread has got to any place by then.
        for (int i = 0; i < round * round * 100 && !uploader.given(last); ++i) {
        }
        uploader.drop();
        uploader.wait_until_given(last);
        uploader.synchronize();
        expect(uploader.given(last), "nothing to be waited for");
        const std::vector<char> half = slot.read();
        expect(std::ranges::all_of(half, [&](char byte) { return byte == 1 || byte == (round == 0 ? 0 : 2); }), "nothing else in the slot");
        cut_short += half != ones;
        // All of it, though what was before was not.
        uploader.begin({&slot.whole, {{twos.data(), 0, slot_bytes, 1, 0}}, false, nullptr, nullptr});
        uploader.synchronize();
        expect(slot.read() == twos, "what was begun after that");
    }
    expect(cut_short > 0, "some of the uploads to be cut short");
    // Where nothing is under way there is nothing to drop.
    uploader.drop();
    uploader.begin({&slot.whole, {{ones.data(), 0, slot_bytes, 1, 0}}, false, nullptr, nullptr});
    uploader.synchronize();
    expect(slot.read() == ones, "what was begun after a drop of nothing");
}
