#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <cmath>
#include <cstdlib>
#include <random>

#include "check.h"
#include "device/streaming_device.h"
#include "device/weight_unit.h"
#include "runtime/backends.h"
#include "runtime/log.h"
#include "simulated_cards.h"
#include "small_model.h"
#include "streamed_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

using Tokens = std::vector<llama_token>;

constexpr uint32_t layers = 30;

void check_unit(std::string_view name, std::optional<UnitId> expected, Location at = Location::here()) {
    const auto unit = unit_of_tensor(name, layers);
    expect(unit == expected, std::string(name) + " to belong to " + (expected ? "another unit" : "none"), at);
}

ggml_backend_dev_t processor() {
    take_over_library_log();
    load_backends(library_directory(), true);
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
}

Tokens some_tokens(size_t count, int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    Tokens tokens(count);
    for (llama_token& token : tokens) token = static_cast<llama_token>(random() % 49000);
    return tokens;
}

// The logits of a wide pass, a narrow one, single tokens and a wide one again.
std::vector<std::vector<float>> logits_of(StreamedModel& model) {
    std::vector<std::vector<float>> all;
    for (const size_t width : {size_t{24}, size_t{5}, size_t{1}, size_t{1}, size_t{1}, size_t{17}}) {
        all.push_back(model.compute(some_tokens(width, static_cast<int>(all.size()))));
    }
    return all;
}

Streaming random_streaming(std::mt19937& random) {
    Streaming streaming;
    streaming.slots = 1 + random() % 4;
    streaming.memory = random() % 2 == 0 ? HostMemory::Mapped : HostMemory::Pinned;
    const std::vector<uint32_t> widths{1, 1, 4, 16, never_streamed};
    for (uint32_t layer = 0; layer < layers; ++layer) {
        for (const UnitGroup group : {UnitGroup::Attention, UnitGroup::FeedForward}) {
            if (random() % 2 == 0) streaming.stream_from_width[{layer, group}] = widths[random() % widths.size()];
        }
    }
    return streaming;
}

constexpr uint32_t pieces = 6;

Streaming random_cuts(std::mt19937& random) {
    Streaming streaming;
    streaming.slots = 1 + random() % 4;
    streaming.memory = random() % 2 == 0 ? HostMemory::Mapped : HostMemory::Pinned;
    const std::vector<uint32_t> widths{2, 8, 20, never_streamed};
    const uint32_t width = widths[random() % widths.size()];
    for (uint32_t layer = 0; layer < layers; ++layer) {
        if (random() % 4 == 0) continue;
        NetworkCut cut{pieces};
        cut.resident = random() % pieces;
        cut.streamed = random() % (pieces - cut.resident + 1);
        cut.early = random() % (cut.rest() + 1);
        cut.stream_early_from_width = std::min(width, widths[random() % widths.size()]);
        cut.stream_rest_from_width = width;
        streaming.networks[layer] = cut;
    }
    return streaming;
}

Streaming all_feed_forward(uint32_t width, uint32_t slots) {
    Streaming streaming;
    streaming.slots = slots;
    for (uint32_t layer = 0; layer < layers; ++layer) streaming.stream_from_width[{layer, UnitGroup::FeedForward}] = width;
    return streaming;
}

std::vector<std::vector<float>> resident_logits(StreamingDevice& device) {
    StreamedModel model(device, {});
    return logits_of(model);
}

void check_equal(const std::vector<std::vector<float>>& actual, const std::vector<std::vector<float>>& expected, const std::string& where,
                 Location at = Location::here()) {
    for (size_t pass = 0; pass < expected.size(); ++pass) {
        expect(actual[pass] == expected[pass], "the resident model's logits from pass " + std::to_string(pass) + " " + where, at);
    }
}

// Kullback-Leibler divergence of the distributions over the next token, in nats.
double divergence(const std::vector<float>& from, const std::vector<float>& to) {
    const auto log_sum = [](const std::vector<float>& logits) {
        const double most = *std::ranges::max_element(logits);
        double sum = 0;
        for (const float logit : logits) sum += std::exp(logit - most);
        return most + std::log(sum);
    };
    const double from_sum = log_sum(from);
    const double to_sum = log_sum(to);
    double divergence = 0;
    for (size_t i = 0; i < from.size(); ++i) divergence += std::exp(from[i] - from_sum) * ((from[i] - from_sum) - (to[i] - to_sum));
    return divergence;
}

constexpr const char* sample_text =
    "The library keeps every book on the shelf where a reader would look for it first. When a book comes back, somebody "
    "writes down the day, puts a new card into the pocket inside the cover, and carries it to its place. Nothing about this "
    "is difficult, but all of it has to be done every time, and in the same order, or the next reader will not find what "
    "she came for. def find(shelf, title): return [book for book in shelf if book.title == title]";

// How near a model comes to another one over the sample text, a token at a time behind a wide pass.
struct Agreement {
    double divergence = 0;  // the mean, in nats
    double widest_gap = 0;  // by how much, at most, the logit of the likeliest token exceeds that of the one the model finds
};

Agreement agreement(StreamedModel& model, StreamedModel& reference) {
    const Tokens text = VocabularyOnly()->tokenize({{sample_text, false}}, false);
    constexpr size_t beginning = 16;
    const size_t passes = text.size() - beginning + 1;
    Agreement result;
    for (size_t pass = 0; pass < passes; ++pass) {
        const auto at = text.begin() + static_cast<std::ptrdiff_t>(beginning + pass);
        const Tokens tokens = pass == 0 ? Tokens(text.begin(), at) : Tokens(at - 1, at);
        const std::vector<float> expected = reference.compute(tokens);
        const std::vector<float> actual = model.compute(tokens);
        result.divergence += divergence(expected, actual) / static_cast<double>(passes);
        const auto found = static_cast<size_t>(std::ranges::max_element(actual) - actual.begin());
        result.widest_gap = std::max<double>(result.widest_gap, *std::ranges::max_element(expected) - expected[found]);
    }
    return result;
}

// Sums of another order round differently in the last bit, and the processor's kernels round activations to 8 bits, so that a
// last bit now and then becomes a 127th: the same tokens differ by 0.004 nats, whichever layer the first one is in. So both
// find the same token the likeliest unless two of them are nearly as likely.
constexpr double most_divergence = 0.01;
constexpr double widest_tie = 0.5;

}  // namespace

TEST(streaming, "knows a tensor's unit by its name") {
    check_unit("blk.0.attn_q.weight", UnitId{0, UnitGroup::Attention});
    check_unit("blk.12.attn_norm.weight", UnitId{12, UnitGroup::Attention});
    check_unit("blk.7.ffn_up.weight", UnitId{7, UnitGroup::FeedForward});
    check_unit("blk.7.ffn_gate_inp.weight", UnitId{7, UnitGroup::FeedForward});
    check_unit("blk.7.ffn_gate_exps.weight", UnitId{7, UnitGroup::Experts});
    check_unit("blk.7.ffn_down_shexp.weight", UnitId{7, UnitGroup::FeedForward});
    check_unit("output.weight", UnitId{layers, UnitGroup::Output});
    check_unit("token_embd.weight", std::nullopt);
    check_unit("blk.x.ffn_up.weight", std::nullopt);
    check_unit("blk.7", std::nullopt);
    check_unit("", std::nullopt);
}

TEST(streaming, "computes over the processor what a resident model computes, bit for bit") {
    StreamingDevice& device = StreamingDevice::over(processor());
    const auto expected = resident_logits(device);
    std::mt19937 random(1);
    for (int run = 0; run < 3; ++run) {
        StreamedModel model(device, random_streaming(random));
        check_equal(logits_of(model), expected, "of run " + std::to_string(run));
    }
}

TEST(streaming, "computes the same whatever the order in which a card's queues work") {
    StreamingDevice& device = StreamingDevice::over(exact_card().handle());
    const auto expected = resident_logits(device);
    std::mt19937 random(2);
    for (int run = 0; run < 6; ++run) {
        exact_card().set_seed(random());
        StreamedModel model(device, random_streaming(random));
        check_equal(logits_of(model), expected, "of run " + std::to_string(run));
    }
}

TEST(streaming, "agrees with the processor when the two share the networks, whatever the order of the queues") {
    StreamingDevice& device = StreamingDevice::over(exact_card().handle());
    std::mt19937 random(4);
    for (int run = 0; run < 4; ++run) {
        exact_card().set_seed(random());
        StreamedModel reference(StreamingDevice::over(processor()), {});
        exact_card().refuse_pinned(random() % 3);
        StreamedModel model(device, random_cuts(random));
        exact_card().refuse_pinned(0);
        const Agreement found = agreement(model, reference);
        expect(found.divergence < most_divergence, "a divergence below " + show(most_divergence) + ", got " + show(found.divergence));
        expect(found.widest_gap < widest_tie, "the same token unless two are as likely, got one that is less likely by " + show(found.widest_gap));
    }
}

TEST(streaming, "does not agree with the processor when an exchange is lost") {
    StreamingDevice& device = StreamingDevice::over(exact_card().handle());
    StreamedModel reference(StreamingDevice::over(processor()), {});
    Streaming streaming;
    streaming.networks[15] = {pieces, 2, 2};
    StreamedModel model(device, streaming);
    constexpr size_t embedding = 576;
    exact_card().lose_downloads(embedding * sizeof(float));
    const Agreement found = agreement(model, reference);
    exact_card().lose_downloads(0);
    expect(found.divergence > most_divergence, "a divergence above " + show(most_divergence) + ", got " + show(found.divergence));
    expect(found.widest_gap > widest_tie, "another token, got one that is less likely by no more than " + show(found.widest_gap));
}

TEST(streaming, "computes over Vulkan what a resident model computes there, bit for bit") {
    // Where the machine has no Vulkan driver, there is nothing to compare; with NMOS_TEST_CARD, the start of a device's name, a
    // missing one is a failure, and another backend can be tried.
    const char* const wanted = std::getenv("NMOS_TEST_CARD");
    processor();
    load_backends(library_directory(), false);
    ggml_backend_dev_t card = nullptr;
    for (const Device& device : list_devices()) {
        if (device.name.starts_with(wanted ? wanted : "Vulkan")) card = device.handle;
    }
    expect(card || !wanted, std::string("a device ") + (wanted ? wanted : ""));
    if (!card) return;
    StreamingDevice& device = StreamingDevice::over(card);
    const auto expected = resident_logits(device);
    std::mt19937 random(3);
    for (int run = 0; run < 2; ++run) {
        Streaming streaming = random_streaming(random);
        // Units of the processor would round differently.
        for (auto& [id, width] : streaming.stream_from_width) width = 1;
        StreamedModel model(device, streaming);
        check_equal(logits_of(model), expected, "of run " + std::to_string(run));
    }
}

TEST(streaming, "uploads what comes next before it is needed, round the end of the pass") {
    StreamingDevice& device = StreamingDevice::over(exact_card().handle());
    StreamedModel model(device, all_feed_forward(1, 3));
    model.compute(some_tokens(4, 0));
    const UploadCounters before = device.counters();
    for (int pass = 0; pass < 4; ++pass) model.compute(some_tokens(1, pass));
    const UploadCounters after = device.counters();
    expect_equal(after.misses - before.misses, uint64_t{0});
    expect_equal(after.hits - before.hits, uint64_t{4 * layers});
    expect_equal(after.discarded - before.discarded, uint64_t{0});
}

TEST(streaming, "stops uploading at the end of a pass only where a benchmark wants that") {
    StreamingDevice& device = StreamingDevice::over(exact_card().handle());
    StreamedModel model(device, all_feed_forward(1, 3));
    model.compute(some_tokens(4, 0));
    const auto misses_of_a_pass = [&] {
        const uint64_t before = device.counters().misses;
        model.compute(some_tokens(1, 0));
        return device.counters().misses - before;
    };
    device.set_wraps(false);
    misses_of_a_pass();
    expect_equal(misses_of_a_pass(), uint64_t{1});
    device.set_wraps(true);
    misses_of_a_pass();
    expect_equal(misses_of_a_pass(), uint64_t{0});
}

TEST(streaming, "uploads nothing for passes that are narrower than the width of the units") {
    StreamingDevice& device = StreamingDevice::over(exact_card().handle());
    StreamedModel model(device, all_feed_forward(8, 2));
    const UploadCounters before = device.counters();
    model.compute(some_tokens(7, 0));
    expect_equal(device.counters().bytes - before.bytes, uint64_t{0});
    model.compute(some_tokens(8, 0));
    expect(device.counters().bytes > before.bytes, "uploads for a pass of 8");
}

TEST(streaming, "goes on as if nothing had been when a pass was cancelled between two units") {
    StreamingDevice& device = StreamingDevice::over(exact_card().handle());
    const auto expected = resident_logits(device);
    StreamedModel model(device, all_feed_forward(1, 2));
    for (const int asked : {1, 2, 15, 29}) {
        model.clear();
        model.cancel_after(asked);
        expect(model.compute(some_tokens(24, 0)).empty(), "the pass to be cancelled");
        model.cancel_after(0);
        check_equal(logits_of(model), expected, "after a cancel at " + std::to_string(asked));
    }
}

TEST(streaming, "works with as many slots as the card grants, and with none says so") {
    sim::SimDevice& card = exact_card();
    UploadRing ring(card.handle());
    card.fail_allocation(1);
    expect(ring.reserve(4, 1 << 20), "one slot");
    expect_equal(ring.slots(), 1u);
    ring.release();
    card.fail_allocation(0);
    expect(!ring.reserve(4, 1 << 20), "no slot");
    card.fail_allocation(-1);
}

TEST(streaming, "makes larger slots for all models that use them, with no more memory than all have planned") {
    sim::SimDevice& card = exact_card();
    constexpr size_t mib = 1 << 20;
    const auto check = [&](std::pair<uint32_t, size_t> first, std::pair<uint32_t, size_t> second, uint32_t expected, Location at = Location::here()) {
        UploadRing ring(card.handle());
        expect_equal(ring.reserve(first.first, first.second), first.first, at);
        expect_equal(ring.reserve(second.first, second.second), expected, at);
        expect_equal(ring.slots(), expected, at);
        expect_equal(ring.slot_bytes(), std::max(first.second, second.second), at);
    };
    check({4, mib}, {2, mib}, 4);
    check({2, mib}, {4, mib}, 4);
    check({4, 2 * mib}, {2, mib}, 4);
    check({4, mib}, {2, 2 * mib}, 4);
    check({2, mib}, {3, 2 * mib}, 3);
    check({4, mib}, {2, 3 * mib}, 3);
    check({4, mib}, {2, 5 * mib}, 2);
}

TEST(streaming, "keeps the slots that models work with when there is no room for larger ones") {
    sim::SimDevice& card = exact_card();
    UploadRing ring(card.handle());
    expect(ring.reserve(3, 1 << 20), "slots");
    card.fail_allocation(0);
    expect(!ring.reserve(2, 2 << 20), "no larger slots");
    card.fail_allocation(-1);
    expect_equal(ring.slots(), 3u);
    expect_equal(ring.slot_bytes(), size_t{1 << 20});
}

TEST(streaming, "computes with what is restored before the pass is over") {
    StreamingDevice& device = StreamingDevice::over(exact_card().handle());
    Streaming streaming;
    for (uint32_t layer = 0; layer < layers; ++layer) streaming.networks[layer] = NetworkCut{pieces, 3};
    StreamedModel model(device, streaming);
    const auto in_vram = [&] {
        return std::ranges::count_if(model.weights().networks(), [](const HostNetwork* network) { return network->shares.front().in_vram(); });
    };
    expect_equal(in_vram(), std::ptrdiff_t{layers});
    expect(device.release(model.weights(), UINT64_MAX) > 0, "memory to be released");
    expect_equal(in_vram(), std::ptrdiff_t{0});

    std::atomic<int> copied = -1;
    std::atomic<bool> may_end = false;
    constexpr int wanted = 5;
    std::thread restoring;
    std::ptrdiff_t within = 0;
    model.between_units([&] {
        if (!restoring.joinable()) {
            restoring = std::thread([&] {
                device.restore(model.weights(), [&] {
                    // Asked before a share and behind each of its three weights.
                    while (++copied > wanted * 4 && !may_end) std::this_thread::yield();
                    return true;
                });
            });
            for (int patience = 0; copied < wanted * 4 && patience < 10'000; ++patience) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        within = std::max(within, in_vram());
    });
    model.compute(some_tokens(1, 0));
    may_end = true;
    restoring.join();
    expect(within >= wanted - 1, "some shares to be on the card within the pass, got " + show(within));
    expect_equal(in_vram(), std::ptrdiff_t{layers});
}

TEST(streaming, "gives its slots back with the last model that uses them") {
    sim::SimDevice& card = exact_card();
    StreamingDevice& device = StreamingDevice::over(card.handle());
    size_t before = 0;
    size_t total = 0;
    ggml_backend_dev_memory(card.handle(), &before, &total);
    {
        StreamedModel first(device, all_feed_forward(1, 2));
        first.compute(some_tokens(1, 0));
        { StreamedModel second(device, all_feed_forward(1, 3)); }
        first.compute(some_tokens(1, 0));
    }
    size_t after = 0;
    ggml_backend_dev_memory(card.handle(), &after, &total);
    expect_equal(after, before);
}
