// Reading mapped weights ahead. What is in RAM Linux tells, of files on a disk.
#include <fcntl.h>
#include <ggml-backend-impl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "check.h"
#include "device/streaming_device.h"
#include "gguf_file.h"
#include "platform/os.h"
#include "simulated_cards.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

// A mapped file of its own.
class Mapping {
  public:
    explicit Mapping(size_t bytes) : bytes_(bytes) {
        file_.write(std::string(bytes, 'x'));
        descriptor_ = open(file_.path().c_str(), O_RDONLY);
        expect(descriptor_ >= 0, "to open " + file_.path());
        fsync(descriptor_);
        data_ = static_cast<char*>(mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor_, 0));
        expect(data_ != MAP_FAILED, "to map " + file_.path());
    }
    ~Mapping() {
        munmap(data_, bytes_);
        close(descriptor_);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    char* data() const { return data_; }
    static size_t page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

    // False where the file has no other place than RAM.
    bool drop() const {
        madvise(data_, bytes_, MADV_DONTNEED);
        posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
        return resident() < bytes_ / 4;
    }
    // Bytes in RAM, from a page on.
    size_t resident(size_t begin, size_t bytes) const {
        std::vector<unsigned char> pages((bytes + page() - 1) / page());
        expect_equal(mincore(data_ + begin, bytes, pages.data()), 0);
        return static_cast<size_t>(std::ranges::count_if(pages, [](unsigned char one) { return (one & 1) != 0; })) * page();
    }
    size_t resident() const { return resident(0, bytes_); }
    // Leaves a hole behind the first bytes.
    void cut(size_t bytes) {
        munmap(data_ + bytes, bytes_ - bytes);
        bytes_ = bytes;
    }

  private:
    TemporaryFile file_;
    size_t bytes_;
    int descriptor_ = -1;
    char* data_ = nullptr;
};

constexpr size_t weight_bytes = 24 << 20;

}  // namespace

TEST(paging, "what is read in is in RAM, with the pages in which it begins and ends") {
    const size_t page = Mapping::page();
    const Mapping mapping(weight_bytes);
    for (const auto& [first, pages] : {std::pair<size_t, size_t>{0, 1}, {3, 5}, {1000, 700}, {weight_bytes / page - 2, 2}}) {
        if (!mapping.drop()) return;
        os::page_in(mapping.data() + first * page + page - 1, (pages - 1) * page + 1 - (pages > 1 ? page - 1 : 0));
        expect_equal(mapping.resident(first * page, pages * page), pages * page);
        expect(mapping.resident() < weight_bytes, "not all of the file");
    }
    if (!mapping.drop()) return;
    os::page_in(mapping.data(), weight_bytes);
    expect_equal(mapping.resident(), weight_bytes);
}

TEST(paging, "of a range that is not all mapped ends nothing") {
    const size_t page = Mapping::page();
    Mapping mapping(64 * page);
    mapping.cut(16 * page);
    os::page_in(mapping.data() + 8 * page, 16 * page);
    os::page_in(mapping.data() + 20 * page, page);
    os::read_ahead(mapping.data() + 8 * page, 16 * page);
}

TEST(paging, "of weights reads all of them, and ends as soon as it is told to") {
    const Mapping mapping(weight_bytes);
    sim::SimDevice& card = exact_card();
    HostWeightsOptions options;
    options.output_layer = 1;
    options.stream_from_width[{0, UnitGroup::Attention}] = 1;
    HostWeights weights(card.handle(), options);
    const ggml_context_ptr context(ggml_init({2 * ggml_tensor_overhead(), nullptr, true}));
    ggml_tensor* const weight = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, 1024, weight_bytes / 1024 / sizeof(float));
    ggml_set_name(weight, "blk.0.attn_q.weight");
    const ggml_backend_buffer_ptr buffer(ggml_backend_dev_buffer_from_host_ptr(weights.buffer_type()->device, mapping.data(), weight_bytes, weight_bytes));
    expect_equal(ggml_backend_tensor_alloc(buffer.get(), weight, mapping.data()), GGML_STATUS_SUCCESS);
    expect(weights.settle([](float) { return true; }), "the weights to settle");
    StreamingDevice& device = StreamingDevice::over(card.handle());
    const bool drops = mapping.drop();
    for (const int granted : {0, 1, 5}) {
        int asked = 0;
        device.page_in(weights, [&] { return ++asked <= granted; });
        expect_equal(asked, granted + 1);
        // With what was on its way.
        expect(!drops || mapping.resident() < weight_bytes / 2, "most to be left, got " + show(mapping.resident()));
    }
    int asked = 0;
    device.page_in(weights, [&] { return ++asked > 0; });
    expect(asked > 20, "to be asked all the time, got " + show(asked));
    expect_equal(mapping.resident(), weight_bytes);
}
