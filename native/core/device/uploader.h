// Copies units from RAM into the upload slots of a card.
//
// What the card can read by itself is given to it at once, by the calling thread: no thread has to wake up for it, which
// takes long on a processor that computes. Other memory is copied piece by piece into pinned memory first, by a thread of
// the uploader's, which never has more than a few pieces under way: a card copies one thing at a time, and what the
// processor has computed must get there between two pieces. Only for cards with asynchronous copies and events. All
// functions may be called from any thread, but those of one slot from one at a time.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>

#include <array>
#include <atomic>
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
        size_t size = 0;    // bytes of a row; in the slot rows lie one right behind the other
        size_t rows = 1;
        size_t stride = 0;  // bytes from a row to the next in RAM

        static Part of(const ggml_tensor* weight, size_t offset);
        // Copies whole rows one right behind the other.
        void pack(size_t first_row, size_t count, char* to) const;
    };

    ggml_tensor* slot = nullptr;           // I8, the whole slot
    std::vector<Part> parts;               // stay valid until `wait_until_given`
    bool pinned = false;                   // the card can read the parts by itself
    ggml_backend_event_t after = nullptr;  // what has to happen first; null: nothing
    ggml_backend_event_t ready = nullptr;  // recorded behind the last piece; null: nothing waits for it
};

// All of a buffer as a tensor of I8, to copy into.
ggml_tensor bytes_of(ggml_backend_buffer_t buffer);

class Uploader {
  public:
    explicit Uploader(ggml_backend_dev_t card);
    // Finishes what was begun.
    ~Uploader();
    Uploader(const Uploader&) = delete;
    Uploader& operator=(const Uploader&) = delete;

    // Returns a ticket, 0 when all has been given to the card already.
    uint64_t begin(Upload upload);
    // Whether all pieces of it have been given to the card.
    bool given(uint64_t ticket);
    // Returns when all pieces have been given to the card and `ready` is recorded: a queue can wait for it from then on.
    void wait_until_given(uint64_t ticket);
    // Leaves off what was begun and has not been given to the card yet, in the middle of an upload, too; it counts as given. Its
    // `ready` says nothing. Nobody else may begin anything meanwhile.
    void drop();
    // Returns when the card has copied everything that was begun.
    void synchronize();
    // Of an event that has happened already: drivers gather what belongs to it until they are asked.
    void tidy(ggml_backend_event_t happened);

  private:
    // Pieces under way.
    static constexpr size_t depth = 2;

    struct Piece {
        ggml_backend_event_ptr copied;
        ggml_backend_buffer_ptr staging;  // pinned, or ordinary memory when the card has no other to give
        bool under_way = false;
    };

    void run();
    // Of pinned memory; `after` and `ready` included.
    void copy_at_once(const Upload& upload);
    // Now and then waits for the queue, which gathers what it was given until then. Under queue_mutex_.
    void tidy_queue();
    void copy(const Upload& upload);
    void copy_rows(const Upload& upload, const Upload::Part& part);
    // Begins a piece when there is one to begin; its staging memory is free then.
    Piece& next_piece();
    void send(Piece& piece, const Upload& upload, const void* data, size_t offset, size_t size);

    std::mutex queue_mutex_;
    ggml_backend_ptr queue_;    // guarded by queue_mutex_
    uint32_t untidied_ = 0;     // uploads; guarded by queue_mutex_
    std::array<Piece, depth> pieces_;
    size_t next_piece_ = 0;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable given_changed_;
    std::deque<Upload> waiting_;
    uint64_t begun_ = 0;
    uint64_t given_ = 0;
    std::atomic<bool> dropping_ = false;  // the rest of the upload that is being copied; written under mutex_
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace nmos
