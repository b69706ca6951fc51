// The thread that copies units from RAM into the upload slots of a card.
//
// It copies in pieces and never has more than a few of them under way, because a card copies one thing at a time: what
// the processor has computed must get to the card between two pieces of a unit, not behind all of it. Memory that the
// card cannot read by itself is copied piece by piece into pinned memory first. Only for cards with asynchronous copies
// and events. All functions may be called from any thread, but those of one slot from one at a time.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace nmos {

struct Upload {
    struct Part {
        const void* data = nullptr;
        size_t offset = 0;  // bytes from the beginning of the slot
        size_t size = 0;    // bytes
    };

    ggml_tensor* slot = nullptr;           // I8, the whole slot
    std::vector<Part> parts;               // stay valid until `wait_until_given`
    bool pinned = false;                   // the card can read the parts by itself
    ggml_backend_event_t after = nullptr;  // what has to happen first; null: nothing
    ggml_backend_event_t ready = nullptr;  // recorded behind the last piece
};

class Uploader {
  public:
    explicit Uploader(ggml_backend_dev_t card);
    // Finishes what was begun.
    ~Uploader();
    Uploader(const Uploader&) = delete;
    Uploader& operator=(const Uploader&) = delete;

    // Returns a ticket. Uploads happen in the order of their tickets.
    uint64_t begin(Upload upload);
    // Returns when all pieces have been given to the card and `ready` is recorded: a queue can wait for it from then on.
    void wait_until_given(uint64_t ticket);
    // Returns when the card has copied everything that was begun.
    void synchronize();

  private:
    // Pieces under way.
    static constexpr size_t depth = 2;

    struct Piece {
        ggml_backend_event_ptr copied;
        ggml_backend_buffer_ptr staging;  // pinned; null when the card has no such memory to give
        bool under_way = false;
    };

    void run();
    void copy(const Upload& upload);
    void copy_piece(const Upload& upload, const char* data, size_t offset, size_t size);

    ggml_backend_ptr queue_;
    std::array<Piece, depth> pieces_;
    size_t next_piece_ = 0;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable given_changed_;
    std::deque<Upload> waiting_;
    uint64_t begun_ = 0;
    uint64_t given_ = 0;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace nmos
