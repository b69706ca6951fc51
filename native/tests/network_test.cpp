#include <ggml-cpp.h>

#include <algorithm>

#include "check.h"
#include "device/streaming_device.h"
#include "layer_weights.h"
#include "runtime/backends.h"
#include "simulated_cards.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr int64_t embedding = 96;
constexpr int64_t hidden = 320;
constexpr uint32_t pieces = 10;
constexpr uint32_t rest_from_width = 8;

sim::SimDevice& card() {
    return exact_card();
}

// In RAM or on a card.
struct Network : LayerWeights {
    explicit Network(ggml_backend_buffer_type_t type) : LayerWeights(type, embedding, hidden) {}
};

enum class Shape {
    Usual,
    HiddenIsRead,  // what is hidden in the network is an output, too
    NoGate,        // only two of the three weights are there, so it is no network
};

// What a queue makes of a pass over the network, twice its input added to its output.
std::vector<float> compute(ggml_backend_t queue, const Network& network, uint32_t width, Shape shape) {
    const ggml_context_ptr context(ggml_init({16 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true}));
    ggml_tensor* const raw = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, embedding, width);
    ggml_tensor* const input = ggml_scale(context.get(), raw, 2.0f);
    ggml_tensor* const up = ggml_mul_mat(context.get(), network.up, input);
    ggml_tensor* const glu = shape == Shape::NoGate ? ggml_silu(context.get(), up) : ggml_swiglu_split(context.get(), ggml_mul_mat(context.get(), network.gate, input), up);
    ggml_tensor* const down = ggml_mul_mat(context.get(), network.down, glu);
    ggml_tensor* const output = ggml_add(context.get(), down, input);
    ggml_cgraph* const graph = ggml_new_graph(context.get());
    if (shape == Shape::HiddenIsRead) ggml_set_output(glu);
    ggml_build_forward_expand(graph, output);
    const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors_from_buft(context.get(), ggml_backend_get_default_buffer_type(queue)));
    const std::vector<float> numbers = random_numbers(static_cast<size_t>(embedding) * width, 9);
    ggml_backend_tensor_set(raw, numbers.data(), 0, ggml_nbytes(raw));
    expect_equal(static_cast<int>(ggml_backend_graph_compute(queue, graph)), static_cast<int>(GGML_STATUS_SUCCESS));
    std::vector<float> result(numbers.size());
    ggml_backend_tensor_get(output, result.data(), 0, ggml_nbytes(output));
    return result;
}

void check_network(const NetworkCut& cut, Shape shape = Shape::Usual, Location at = Location::here()) {
    StreamingDevice& device = StreamingDevice::over(card().handle());
    const ggml_backend_ptr processor = processor_queue();
    const Network alone(ggml_backend_get_default_buffer_type(processor.get()));
    for (const HostMemory memory : {HostMemory::Mapped, HostMemory::Pinned}) {
        HostWeights weights(card().handle(), {memory, 1, {}, {{0, cut}}, 16});
        {
            const Network shared(weights.buffer_type());
            expect(weights.settle([](float) { return true; }), "the weights to settle", at);
            if (weights.largest_streamed() > 0) expect(device.reserve_slots(weights, 2), "slots", at);
            const ggml_backend_ptr queue = one_thread(ggml_backend_dev_init(device.handle(), nullptr));
            for (const uint32_t width : {1u, 3u, rest_from_width, 16u, 1u, 24u}) {
                const auto expected = compute(processor.get(), alone, width, shape);
                const double difference = relative_difference(compute(queue.get(), shared, width, shape), expected);
                expect(difference < 1e-5, "the processor's result of " + show(width) + " tokens, got a difference of " + show(difference), at);
            }
        }
        device.forget(weights);
    }
}

// Of ten pieces, the last ones in RAM; `early` ones and the rest are uploaded from different widths on.
NetworkCut cut(uint32_t resident, uint32_t streamed, uint32_t early = 0) {
    return {pieces, resident, streamed, early, 3, rest_from_width};
}

void check_refused(const NetworkCut& cut, Location at = Location::here()) {
    HostWeights weights(card().handle(), {HostMemory::Mapped, 1, {}, {{0, cut}}});
    const Network network(weights.buffer_type());
    expect_error(ErrorCode::ModelUnsupported, "pieces", [&] { weights.settle([](float) { return true; }); }, at);
}

}  // namespace

TEST(network, "gives the same result however it is divided between card, slots and processor") {
    check_network(cut(0, 0));
    check_network(cut(4, 0));
    check_network(cut(9, 0));
    check_network(cut(0, 4));
    check_network(cut(0, 10));
    check_network(cut(4, 6));
    check_network(cut(3, 4));
    check_network(cut(1, 8));
    check_network(cut(3, 2, 2));
    check_network(cut(0, 0, 5));
    check_network(cut(0, 0, 10));
    check_network(cut(2, 3, 5));
}

TEST(network, "gives the same result where the graph is not the usual one") {
    check_network(cut(3, 4), Shape::HiddenIsRead);
    check_network(cut(3, 4, 2), Shape::NoGate);
    check_network(cut(0, 0), Shape::NoGate);
}

TEST(network, "gives the same result while its share of the card's memory is released and when it is restored") {
    StreamingDevice& device = StreamingDevice::over(card().handle());
    const ggml_backend_ptr processor = processor_queue();
    const Network alone(ggml_backend_get_default_buffer_type(processor.get()));
    HostWeights weights(card().handle(), {HostMemory::Pinned, 1, {}, {{0, cut(4, 2, 2)}}});
    {
        const Network shared(weights.buffer_type());
        weights.settle([](float) { return true; });
        expect(device.reserve_slots(weights, 2), "slots");
        const ggml_backend_ptr queue = one_thread(ggml_backend_dev_init(device.handle(), nullptr));
        const auto check = [&](const std::string& when) {
            for (const uint32_t width : {1u, 5u, 16u}) {
                const double difference = relative_difference(compute(queue.get(), shared, width, Shape::Usual), compute(processor.get(), alone, width, Shape::Usual));
                expect(difference < 1e-5, "the processor's result " + when + ", got a difference of " + show(difference));
            }
        };
        constexpr uint64_t bytes = hidden * 4 / pieces * embedding * 3 * sizeof(float);
        check("before");
        expect_equal(device.release(weights, UINT64_MAX), bytes);
        expect_equal(device.release(weights, UINT64_MAX), uint64_t{0});
        check("while it is released");
        expect_equal(device.restore(weights, [] { return false; }), uint64_t{0});
        expect_equal(device.restore(weights, [asked = 0]() mutable { return ++asked < 3; }), uint64_t{0});
        card().fail_allocation(0);
        expect_equal(device.restore(weights, [] { return true; }), uint64_t{0});
        card().fail_allocation(-1);
        card().break_allocations(0);
        expect_equal(device.restore(weights, [] { return true; }), uint64_t{0});
        card().break_allocations(-1);
        expect_equal(device.restore(weights, [] { return true; }, bytes - 1), uint64_t{0});
        check("after restores that did not come to anything");
        expect_equal(device.restore(weights, [] { return true; }), bytes);
        expect_equal(device.restore(weights, [] { return true; }), uint64_t{0});
        check("when it is restored");
    }
    device.forget(weights);
}

TEST(network, "is computed by the card as any other one while all of it is there, bit for bit") {
    StreamingDevice& device = StreamingDevice::over(card().handle());
    const ggml_backend_ptr processor = processor_queue();
    const Network alone(ggml_backend_get_default_buffer_type(processor.get()));
    const ggml_backend_ptr plain(ggml_backend_dev_init(card().handle(), nullptr));
    const Network resident(ggml_backend_dev_buffer_type(card().handle()));
    HostWeights weights(card().handle(), {HostMemory::Mapped, 1, {}, {{0, {pieces, pieces}}}});
    {
        const Network shared(weights.buffer_type());
        weights.settle([](float) { return true; });
        const ggml_backend_ptr queue = one_thread(ggml_backend_dev_init(device.handle(), nullptr));
        const auto check = [&](bool released, const std::string& when) {
            for (const Shape shape : {Shape::Usual, Shape::HiddenIsRead, Shape::NoGate}) {
                for (const uint32_t width : {1u, 5u, 16u}) {
                    const std::vector<float> expected = compute(plain.get(), resident, width, shape);
                    const uint64_t before = card().traffic().downloaded;
                    const std::vector<float> found = compute(queue.get(), shared, width, shape);
                    expect((card().traffic().downloaded > before) == released, released ? "an exchange with the processor" : "none with the processor " + when);
                    if (!released) expect(found == expected, "the card's result " + when);
                    const double difference = relative_difference(found, compute(processor.get(), alone, width, shape));
                    expect(difference < 1e-5, "the processor's result " + when + ", got a difference of " + show(difference));
                }
            }
        };
        constexpr uint64_t bytes = hidden * embedding * 3 * sizeof(float);
        check(false, "before");
        expect_equal(device.release(weights, 1), bytes);
        check(true, "while it is released");
        expect_equal(device.restore(weights, [] { return true; }), bytes);
        check(false, "when it is restored");
    }
    device.forget(weights);
}

TEST(network, "refuses divisions that do not fit the weights") {
    check_refused({7, 1, 1});
    check_refused({10, 6, 5});
    check_refused({0, 0, 0});
}

TEST(network, "says so when the card has no room for its share") {
    HostWeights weights(card().handle(), {HostMemory::Mapped, 1, {}, {{0, {pieces, 5, 0}}}});
    const Network network(weights.buffer_type());
    card().set_foreign_bytes(card().profile().vram_bytes);
    expect_error(ErrorCode::OutOfMemory, "layer 0", [&] { weights.settle([](float) { return true; }); });
    card().set_foreign_bytes(0);
}

TEST(network, "stays in the mapped file when the system grants no pinned memory") {
    StreamingDevice& device = StreamingDevice::over(card().handle());
    HostWeights weights(card().handle(), {HostMemory::Pinned, 1, {}, {{0, {pieces, 0, 4}}}});
    const Network network(weights.buffer_type());
    card().fail_allocation(0);
    expect(weights.settle([](float) { return true; }), "the weights to settle");
    card().fail_allocation(-1);
    const auto units = weights.units();
    expect_equal(units.size(), size_t{2});
    expect(!units[0]->pinned && units[1]->pinned, "the second share alone to be pinned");
    expect(device.reserve_slots(weights, 1), "a slot");
    const ggml_backend_ptr queue = one_thread(ggml_backend_dev_init(device.handle(), nullptr));
    const ggml_backend_ptr processor = processor_queue();
    const Network alone(ggml_backend_get_default_buffer_type(processor.get()));
    expect(relative_difference(compute(queue.get(), network, 2, Shape::Usual), compute(processor.get(), alone, 2, Shape::Usual)) < 1e-5, "the processor's result");
    device.forget(weights);
}

TEST(network, "stops settling when it is told to") {
    HostWeights weights(card().handle(), {HostMemory::Pinned, 1, {}, {{0, {pieces, 0, 4}}}});
    const Network network(weights.buffer_type());
    expect(!weights.settle([](float) { return false; }), "the weights not to settle");
}
