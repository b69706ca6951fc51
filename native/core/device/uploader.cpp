#include "device/uploader.h"

#include <algorithm>
#include <cstring>

#include "platform/os.h"
#include "runtime/engine_error.h"

namespace nmos {

namespace {

// Long enough to be worth the cost of a copy, short enough to wait for: about 0.3 ms over PCIe 3.0.
constexpr size_t piece_bytes = 4 << 20;

}  // namespace

Uploader::Uploader(ggml_backend_dev_t card) : queue_(ggml_backend_dev_init(card, nullptr)) {
    if (!queue_) {
        throw EngineError(ErrorCode::BackendUnavailable, std::string("The device ") + ggml_backend_dev_name(card) + " gives no second queue.");
    }
    const ggml_backend_buffer_type_t pinned = ggml_backend_dev_host_buffer_type(card);
    for (Piece& piece : pieces_) {
        piece.copied.reset(ggml_backend_event_new(card));
        if (pinned) piece.staging.reset(ggml_backend_buft_alloc_buffer(pinned, piece_bytes));
    }
    thread_ = std::thread([this] {
        os::name_this_thread("nmos-upload");
        run();
    });
}

Uploader::~Uploader() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
    ggml_backend_synchronize(queue_.get());
}

uint64_t Uploader::begin(Upload upload) {
    uint64_t ticket = 0;
    {
        std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(upload));
        ticket = ++begun_;
    }
    wake_.notify_one();
    return ticket;
}

void Uploader::wait_until_given(uint64_t ticket) {
    std::unique_lock lock(mutex_);
    given_changed_.wait(lock, [&] { return given_ >= ticket; });
}

void Uploader::synchronize() {
    uint64_t last = 0;
    {
        std::lock_guard lock(mutex_);
        last = begun_;
    }
    wait_until_given(last);
    ggml_backend_synchronize(queue_.get());
}

void Uploader::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        const Upload upload = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        copy(upload);
        lock.lock();
        ++given_;
        given_changed_.notify_all();
    }
}

void Uploader::copy(const Upload& upload) {
    if (upload.after) ggml_backend_event_wait(queue_.get(), upload.after);
    for (const Upload::Part& part : upload.parts) {
        for (size_t done = 0; done < part.size; done += piece_bytes) {
            copy_piece(upload, static_cast<const char*>(part.data) + done, part.offset + done, std::min(piece_bytes, part.size - done));
        }
    }
    ggml_backend_event_record(upload.ready, queue_.get());
}

void Uploader::copy_piece(const Upload& upload, const char* data, size_t offset, size_t size) {
    Piece& piece = pieces_[next_piece_++ % depth];
    if (piece.under_way) ggml_backend_event_synchronize(piece.copied.get());
    if (!upload.pinned && piece.staging) {
        void* const staging = ggml_backend_buffer_get_base(piece.staging.get());
        std::memcpy(staging, data, size);
        data = static_cast<const char*>(staging);
    }
    ggml_backend_tensor_set_async(queue_.get(), upload.slot, data, offset, size);
    ggml_backend_event_record(piece.copied.get(), queue_.get());
    piece.under_way = true;
}

}  // namespace nmos
