#include "device/uploader.h"

#include <algorithm>
#include <cstring>

#include "device/pinned_memory.h"
#include "platform/os.h"
#include "runtime/engine_error.h"

namespace nmos {

namespace {

// Long enough to be worth the cost of a copy, short enough to wait for: about 0.3 ms over PCIe 3.0.
constexpr size_t piece_bytes = 4 << 20;

// Seldom enough to cost nothing: the next units are waited for once in some dozen passes.
constexpr uint32_t untidied_uploads = 1024;

}  // namespace

void Upload::Part::pack(size_t first_row, size_t count, char* to) const {
    const char* from = static_cast<const char*>(data) + first_row * stride;
    for (size_t row = 0; row < count; ++row) std::memcpy(to + row * size, from + row * stride, size);
}

Upload::Part Upload::Part::of(const ggml_tensor* weight, size_t offset) {
    const size_t row = ggml_row_size(weight->type, weight->ne[0]);
    if (weight->nb[1] == row) return {weight->data, offset, ggml_nbytes(weight), 1, 0};
    return {weight->data, offset, row, static_cast<size_t>(weight->ne[1]), weight->nb[1]};
}

ggml_tensor bytes_of(ggml_backend_buffer_t buffer) {
    const size_t bytes = ggml_backend_buffer_get_size(buffer);
    ggml_tensor whole{};
    whole.type = GGML_TYPE_I8;
    whole.ne[0] = static_cast<int64_t>(bytes);
    whole.ne[1] = whole.ne[2] = whole.ne[3] = 1;
    whole.nb[0] = 1;
    whole.nb[1] = whole.nb[2] = whole.nb[3] = bytes;
    whole.buffer = buffer;
    whole.data = ggml_backend_buffer_get_base(buffer);
    return whole;
}

Uploader::Uploader(ggml_backend_dev_t card) : queue_(ggml_backend_dev_init(card, nullptr)) {
    if (!queue_) {
        throw EngineError(ErrorCode::BackendUnavailable, std::string("The device ") + ggml_backend_dev_name(card) + " gives no second queue.");
    }
    const ggml_backend_dev_t processor = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    for (Piece& piece : pieces_) {
        piece.copied.reset(ggml_backend_event_new(card));
        piece.staging = allocate_pinned(card, piece_bytes);
        if (!piece.staging) piece.staging.reset(ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(processor), piece_bytes));
        if (!piece.copied || !piece.staging) throw EngineError(ErrorCode::OutOfMemory, "There is no memory for a piece of an upload. Close other programs.");
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
    if (upload.pinned) {
        copy_at_once(upload);
        return 0;
    }
    uint64_t ticket = 0;
    {
        std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(upload));
        ticket = ++begun_;
    }
    wake_.notify_one();
    return ticket;
}

bool Uploader::given(uint64_t ticket) {
    std::lock_guard lock(mutex_);
    return given_ >= ticket;
}

void Uploader::wait_until_given(uint64_t ticket) {
    std::unique_lock lock(mutex_);
    given_changed_.wait(lock, [&] { return given_ >= ticket; });
}

void Uploader::drop() {
    {
        std::lock_guard lock(mutex_);
        given_ += waiting_.size();
        waiting_.clear();
        dropping_ = given_ < begun_;
    }
    given_changed_.notify_all();
}

void Uploader::synchronize() {
    uint64_t last = 0;
    {
        std::lock_guard lock(mutex_);
        last = begun_;
    }
    wait_until_given(last);
    std::lock_guard lock(queue_mutex_);
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
        dropping_ = false;
        given_changed_.notify_all();
    }
}

void Uploader::copy_at_once(const Upload& upload) {
    std::lock_guard lock(queue_mutex_);
    if (upload.after) ggml_backend_event_wait(queue_.get(), upload.after);
    for (const Upload::Part& part : upload.parts) ggml_backend_tensor_set_async(queue_.get(), upload.slot, part.data, part.offset, part.size);
    if (upload.ready) ggml_backend_event_record(upload.ready, queue_.get());
    tidy_queue();
}

void Uploader::tidy_queue() {
    if (++untidied_ < untidied_uploads) return;
    ggml_backend_synchronize(queue_.get());
    untidied_ = 0;
}

void Uploader::tidy(ggml_backend_event_t happened) {
    std::lock_guard lock(queue_mutex_);
    ggml_backend_event_synchronize(happened);
}

void Uploader::copy(const Upload& upload) {
    if (upload.after) {
        std::lock_guard lock(queue_mutex_);
        ggml_backend_event_wait(queue_.get(), upload.after);
    }
    for (const Upload::Part& part : upload.parts) {
        if (part.rows > 1) {
            copy_rows(upload, part);
            continue;
        }
        for (size_t done = 0; done < part.size && !dropping_; done += piece_bytes) {
            const size_t size = std::min(piece_bytes, part.size - done);
            Piece& piece = next_piece();
            const void* data = std::memcpy(ggml_backend_buffer_get_base(piece.staging.get()), static_cast<const char*>(part.data) + done, size);
            send(piece, upload, data, part.offset + done, size);
        }
    }
    std::lock_guard lock(queue_mutex_);
    if (upload.ready) ggml_backend_event_record(upload.ready, queue_.get());
    tidy_queue();
}

void Uploader::copy_rows(const Upload& upload, const Upload::Part& part) {
    const size_t at_once = std::max<size_t>(1, piece_bytes / part.size);
    for (size_t row = 0; row < part.rows && !dropping_; row += at_once) {
        const size_t count = std::min(at_once, part.rows - row);
        Piece& piece = next_piece();
        char* const staging = static_cast<char*>(ggml_backend_buffer_get_base(piece.staging.get()));
        part.pack(row, count, staging);
        send(piece, upload, staging, part.offset + row * part.size, count * part.size);
    }
}

Uploader::Piece& Uploader::next_piece() {
    Piece& piece = pieces_[next_piece_++ % depth];
    if (piece.under_way) tidy(piece.copied.get());
    return piece;
}

void Uploader::send(Piece& piece, const Upload& upload, const void* data, size_t offset, size_t size) {
    std::lock_guard lock(queue_mutex_);
    ggml_backend_tensor_set_async(queue_.get(), upload.slot, data, offset, size);
    ggml_backend_event_record(piece.copied.get(), queue_.get());
    piece.under_way = true;
}

}  // namespace nmos
