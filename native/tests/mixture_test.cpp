#include <ggml-cpp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

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
constexpr int64_t hidden = 64;
constexpr int64_t experts = 8;
constexpr int64_t used = 3;
constexpr uint32_t rest_from_width = 8;
constexpr uint64_t expert_bytes = 3 * embedding * hidden * sizeof(float);

sim::SimDevice& card() {
    return exact_card();
}

// The experts of one layer.
struct Mixture : LayerWeights {
    explicit Mixture(ggml_backend_buffer_type_t type) : LayerWeights(type, embedding, hidden, "_exps", experts) {}
};

enum class Shape {
    Usual,
    OwnInputs,     // every expert of a token has an input of its own
    HiddenIsRead,  // what is hidden in the experts is an output, too
    NoGate,        // only two of the three weights are there
};

// Experts of a pass, (used, tokens): different ones for a token.
using Chosen = std::vector<int32_t>;

Chosen any_experts(uint32_t width, int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    Chosen chosen;
    std::array<int32_t, experts> all{0, 1, 2, 3, 4, 5, 6, 7};
    for (uint32_t token = 0; token < width; ++token) {
        std::ranges::shuffle(all, random);
        for (size_t i = 0; i < used; ++i) chosen.push_back(all[i]);
    }
    return chosen;
}

// A pass over the mixture that was given to a queue: the experts' outputs, each with its weight, and what the input is twice.
class Pass {
  public:
    Pass(ggml_backend_t queue, const Mixture& mixture, const Chosen& chosen, Shape shape) : queue_(queue) {
        const auto width = static_cast<int64_t>(chosen.size()) / used;
        context_.reset(ggml_init({32 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true}));
        ggml_context* const context = context_.get();
        // As a view of all experts in their order, which is how a router gives them.
        ggml_tensor* const order = ggml_new_tensor_2d(context, GGML_TYPE_I32, experts, width);
        ggml_tensor* const ids = ggml_view_2d(context, order, used, width, order->nb[1], 0);
        const int64_t rows = shape == Shape::OwnInputs ? used : 1;
        ggml_tensor* const raw = ggml_new_tensor_3d(context, GGML_TYPE_F32, embedding, rows, width);
        ggml_tensor* const shares = ggml_new_tensor_3d(context, GGML_TYPE_F32, 1, used, width);
        ggml_tensor* const input = ggml_scale(context, raw, 2.0f);
        ggml_tensor* const up = ggml_mul_mat_id(context, mixture.up, input, ids);
        ggml_tensor* const glu = shape == Shape::NoGate ? ggml_silu(context, up) : ggml_swiglu_split(context, ggml_mul_mat_id(context, mixture.gate, input, ids), up);
        ggml_tensor* const down = ggml_mul_mat_id(context, mixture.down, glu, ids);
        output_ = ggml_add(context, ggml_mul(context, down, shares), input);
        ggml_cgraph* const graph = ggml_new_graph(context);
        if (shape == Shape::HiddenIsRead) ggml_set_output(glu);
        ggml_build_forward_expand(graph, output_);
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context, ggml_backend_get_default_buffer_type(queue)));
        Chosen ordered(static_cast<size_t>(experts * width), 0);
        for (size_t pair = 0; pair < chosen.size(); ++pair) ordered[pair / used * experts + pair % used] = chosen[pair];
        ggml_backend_tensor_set(order, ordered.data(), 0, ggml_nbytes(order));
        for (ggml_tensor* tensor : {raw, shares}) {
            const std::vector<float> numbers = random_numbers(static_cast<size_t>(ggml_nelements(tensor)), 9);
            ggml_backend_tensor_set(tensor, numbers.data(), 0, ggml_nbytes(tensor));
        }
        status_ = ggml_backend_graph_compute_async(queue, graph);
    }
    ~Pass() { ggml_backend_synchronize(queue_); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

    ggml_status status() const { return status_; }
    std::vector<float> numbers() const {
        ggml_backend_synchronize(queue_);
        std::vector<float> numbers(static_cast<size_t>(ggml_nelements(output_)));
        ggml_backend_tensor_get(output_, numbers.data(), 0, ggml_nbytes(output_));
        return numbers;
    }

  private:
    ggml_backend_t queue_;
    ggml_context_ptr context_;
    ggml_backend_buffer_ptr buffer_;
    ggml_tensor* output_ = nullptr;
    ggml_status status_ = GGML_STATUS_SUCCESS;
};

NetworkCut cut(uint32_t resident, uint32_t from = rest_from_width) {
    NetworkCut cut{experts, resident};
    cut.stream_rest_from_width = from;
    return cut;
}

// A mixture on a card, and the same for the processor alone.
class Divided {
  public:
    Divided(ggml_backend_dev_t on, const NetworkCut& network, HostMemory memory, uint32_t slots = 2)
        : device(StreamingDevice::over(on)), alone(processor_queue()), reference(ggml_backend_get_default_buffer_type(alone.get())),
          weights(on, HostWeightsOptions{memory, 1, {}, {}, 16, {{0, network}}}), mixture(weights.buffer_type()) {
        expect(weights.settle([](float) { return true; }), "the weights to settle");
        if (weights.largest_streamed() > 0) expect(device.reserve_slots(weights, slots), "slots");
        queue = one_thread(ggml_backend_dev_init(device.handle(), nullptr));
    }
    ~Divided() {
        queue.reset();
        device.forget(weights);
    }

    void check(const Chosen& chosen, const std::string& when, double most = 1e-5, Shape shape = Shape::Usual, Location at = Location::here()) {
        check(Pass(queue.get(), mixture, chosen, shape), chosen, when, most, shape, at);
    }
    // The same of one that was begun before.
    void check(const Pass& pass, const Chosen& chosen, const std::string& when, double most = 1e-5, Shape shape = Shape::Usual, Location at = Location::here()) {
        expect_equal(static_cast<int>(pass.status()), static_cast<int>(GGML_STATUS_SUCCESS), at);
        const double difference = relative_difference(pass.numbers(), Pass(alone.get(), reference, chosen, shape).numbers());
        expect(difference <= most, "the processor's result " + when + ", got a difference of " + show(difference), at);
    }
    HostMixture& host() { return *weights.mixtures().front(); }

    StreamingDevice& device;
    ggml_backend_ptr alone;
    Mixture reference;
    HostWeights weights;
    Mixture mixture;
    ggml_backend_ptr queue;
};

void check_widths(ggml_backend_dev_t on, const NetworkCut& network, HostMemory memory, std::initializer_list<uint32_t> widths, Shape shape, double most, Location at) {
    Divided divided(on, network, memory);
    int seed = 0;
    for (const uint32_t width : widths) {
        divided.check(any_experts(width, seed++), "of " + show(width) + " tokens with " + show(network.resident) + " experts in VRAM", most, shape, at);
    }
}

void check_mixture(ggml_backend_dev_t on, const NetworkCut& network, Shape shape = Shape::Usual, double most = 1e-5, Location at = Location::here()) {
    for (const HostMemory memory : {HostMemory::Mapped, HostMemory::Pinned}) check_widths(on, network, memory, {1u, 3u, 1u, rest_from_width, 16u, 1u, 24u, 2u}, shape, most, at);
}

}  // namespace

TEST(mixture, "gives the same result however many of its experts are in VRAM") {
    for (const uint32_t seed : {1u, 2u, 3u}) {
        card().set_seed(seed);
        for (const uint32_t resident : {0u, 1u, 4u, 7u}) check_mixture(card().handle(), cut(resident));
    }
    check_mixture(card().handle(), cut(4, never_streamed));
    check_mixture(card().handle(), cut(0, 1));
    check_mixture(card().handle(), cut(5, 1));
}

TEST(mixture, "gives the same result where the graph is not the usual one") {
    check_mixture(card().handle(), cut(4), Shape::OwnInputs);
    check_mixture(card().handle(), cut(4), Shape::HiddenIsRead);
    check_mixture(card().handle(), cut(4), Shape::NoGate);
}

TEST(mixture, "gives the same result over a card without events") {
    check_mixture(ggml_backend_dev_by_type((card(), GGML_BACKEND_DEVICE_TYPE_CPU)), cut(4));
}

TEST(mixture, "gives the processor's result over Vulkan") {
    // Where the machine has no Vulkan driver, there is nothing to compare; with NMOS_TEST_CARD, the start of a device's name, a
    // missing one is a failure.
    card();
    load_backends(library_directory(), false);
    const char* const wanted = std::getenv("NMOS_TEST_CARD");
    ggml_backend_dev_t real = nullptr;
    for (const Device& device : list_devices()) {
        if (device.name.starts_with(wanted ? wanted : "Vulkan")) real = device.handle;
    }
    expect(real || !wanted, "a card whose name begins as NMOS_TEST_CARD says");
    if (!real) return;
    // It may multiply in half precision.
    constexpr double half = 5e-3;
    // Few widths: Mesa's driver for the processor uses shaders that it has freed once their number is large.
    check_widths(real, cut(4), HostMemory::Mapped, {1u, 3u}, Shape::Usual, half, Location::here());
    check_widths(real, cut(4), HostMemory::Pinned, {1u, rest_from_width}, Shape::Usual, half, Location::here());
}

TEST(mixture, "computes bit for bit what it would as a whole where all that is chosen is in VRAM") {
    Divided divided(card().handle(), cut(5), HostMemory::Mapped);
    for (const Chosen& chosen : {Chosen{0, 1, 2}, Chosen{4, 0, 3}, Chosen{1, 2, 3, 4, 3, 2, 0, 1, 4}}) divided.check(chosen, "bit for bit", 0);
    expect_equal(divided.weights.expert_hits(), divided.weights.expert_uses());
    expect_equal(divided.weights.expert_uses(), uint64_t{15});
    divided.check({5, 6, 0}, "of experts in RAM");
    expect_equal(divided.weights.expert_hits() + 2, divided.weights.expert_uses());
}

TEST(mixture, "uploads what is not in VRAM for wide passes, and nothing for narrow ones") {
    Divided divided(card().handle(), cut(5), HostMemory::Pinned);
    const uint64_t before = divided.device.counters().bytes;
    divided.check(any_experts(rest_from_width - 1, 1), "of a narrow pass");
    expect_equal(divided.device.counters().bytes, before);
    divided.check(any_experts(rest_from_width, 2), "of a wide pass");
    expect_equal(divided.device.counters().bytes - before, 3 * expert_bytes);
}

TEST(mixture, "brings the experts that are used into VRAM, while passes go on and stay right") {
    for (const HostMemory memory : {HostMemory::Mapped, HostMemory::Pinned}) {
        Divided divided(card().handle(), cut(3), memory);
        const Chosen hot{7, 5, 6};
        const auto in_vram = [&] {
            std::vector<int32_t> experts = divided.host().expert_in_vram();
            std::ranges::sort(experts);
            return experts;
        };
        const std::vector<int32_t> wanted{5, 6, 7};
        // How soon a copy is done is up to its thread.
        for (int pass = 0; pass < 20'000 && in_vram() != wanted; ++pass) {
            divided.check(hot, "while experts move");
            if (pass % 16 == 0) divided.check(any_experts(pass % 32 == 0 ? 16 : 3, pass), "of any experts meanwhile");
        }
        expect(in_vram() == wanted, "the three that are used in VRAM");
        const uint64_t misses = divided.weights.expert_uses() - divided.weights.expert_hits();
        divided.check(hot, "bit for bit", 0);
        expect_equal(divided.weights.expert_uses() - divided.weights.expert_hits(), misses);
        for (int pass = 0; pass < 8; ++pass) divided.check(any_experts(rest_from_width + 1, pass), "of wide passes");
    }
}

TEST(mixture, "moves no expert over one that the card has not computed with yet") {
    Divided divided(card().handle(), cut(3), HostMemory::Pinned);
    // Asked between the beginning of a move and the pass itself: so the copy is the first to happen.
    const ggml_backend_reg_t registry = ggml_backend_dev_backend_reg(divided.device.handle());
    const auto set = reinterpret_cast<ggml_backend_set_abort_callback_t>(ggml_backend_reg_get_proc_address(registry, "ggml_backend_set_abort_callback"));
    const ggml_abort_callback hesitate = [](void*) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        return false;
    };
    set(divided.queue.get(), hesitate, nullptr);
    const std::array<Chosen, 2> sets{Chosen{0, 1, 2}, Chosen{5, 6, 7}};
    size_t moved = 0;
    for (size_t round = 0; round < 8; ++round) {
        const std::vector<int32_t> before = divided.host().expert_in_vram();
        const Chosen& cold = sets[round % 2];
        const Chosen& hot = sets[(round + 1) % 2];
        for (int pass = 0; pass < 150; ++pass) {
            // The card computes nothing before somebody waits for it.
            const Pass pending(divided.queue.get(), divided.mixture, cold, Shape::Usual);
            for (int more = 0; more < 4; ++more) divided.check(hot, "meanwhile");
            divided.check(pending, cold, "of a pass that was begun before");
        }
        moved += divided.host().expert_in_vram() != before;
    }
    expect(moved > 0, "experts to have moved");
}

TEST(mixture, "gives the same result while its experts are released and when they are restored, also in the middle of a move") {
    for (const HostMemory memory : {HostMemory::Mapped, HostMemory::Pinned}) {
        Divided divided(card().handle(), cut(3), memory);
        const auto check = [&](const std::string& when) {
            for (const uint32_t width : {1u, 5u, 16u}) divided.check(any_experts(width, static_cast<int>(width)), when);
        };
        const auto go_on = [] { return true; };
        constexpr uint64_t bytes = 3 * expert_bytes;
        check("before");
        for (int round = 0; round < 12; ++round) {
            // So many that a swap is begun, and so few that it is not always ended.
            for (int pass = 0; pass < 40 + round; ++pass) divided.check(round % 2 == 0 ? Chosen{7, 5, 6} : Chosen{0, 1, 2}, "while experts move");
            expect_equal(divided.device.release(divided.weights, 1), bytes);
            expect_equal(divided.device.release(divided.weights, UINT64_MAX), uint64_t{0});
            expect_equal(divided.host().in_vram(), size_t{0});
            check("while they are released");
            expect_equal(divided.device.restore(divided.weights, [] { return false; }), uint64_t{0});
            expect_equal(divided.device.restore(divided.weights, [asked = 0]() mutable { return ++asked < 3; }), uint64_t{0});
            card().fail_allocation(0);
            expect_equal(divided.device.restore(divided.weights, go_on), uint64_t{0});
            card().fail_allocation(-1);
            card().break_allocations(0);
            expect_equal(divided.device.restore(divided.weights, go_on), uint64_t{0});
            card().break_allocations(-1);
            expect_equal(divided.device.restore(divided.weights, go_on, bytes - 1), uint64_t{0});
            check("after restores that did not come to anything");
            expect_equal(divided.device.restore(divided.weights, go_on), bytes);
            expect_equal(divided.device.restore(divided.weights, go_on), uint64_t{0});
            check("when they are restored");
        }
    }
}

TEST(mixture, "refuses divisions that do not fit the weights, and says when the card has no room") {
    const auto settle = [](const NetworkCut& network) {
        HostWeights weights(card().handle(), HostWeightsOptions{HostMemory::Mapped, 1, {}, {}, 16, {{0, network}}});
        const Mixture mixture(weights.buffer_type());
        weights.settle([](float) { return true; });
    };
    expect_error(ErrorCode::ModelUnsupported, "experts", [&] { settle({7, 1}); });
    expect_error(ErrorCode::ModelUnsupported, "experts", [&] { settle({experts, experts}); });
    card().fail_allocation(0);
    expect_error(ErrorCode::OutOfMemory, "layer 0", [&] { settle({experts, 3}); });
    card().fail_allocation(-1);
}

TEST(mixture, "stays in the mapped file when the system grants no pinned memory") {
    card().refuse_pinned(1);
    {
        Divided divided(card().handle(), cut(3), HostMemory::Pinned);
        expect(!divided.weights.units().front()->pinned, "no pinned memory");
        for (const uint32_t width : {1u, 5u, 16u}) divided.check(any_experts(width, 1), "without pinned memory");
    }
    card().refuse_pinned(0);
}

TEST(mixture, "is computed by the processor while the card has no memory for results") {
    for (const HostMemory memory : {HostMemory::Mapped, HostMemory::Pinned}) {
        Divided divided(card().handle(), cut(3), memory);
        const ggml_backend_reg_t registry = ggml_backend_dev_backend_reg(divided.device.handle());
        const auto set = reinterpret_cast<ggml_backend_set_abort_callback_t>(ggml_backend_reg_get_proc_address(registry, "ggml_backend_set_abort_callback"));
        // Asked when the pass has its memory, and the mixture none yet.
        const ggml_abort_callback fill_card = [](void*) {
            card().set_foreign_bytes(card().profile().vram_bytes);
            return false;
        };
        set(divided.queue.get(), fill_card, nullptr);
        for (const uint32_t width : {16u, 1u}) {
            divided.check(any_experts(width, 1), "without memory");
            card().set_foreign_bytes(0);
        }
        expect_equal(divided.weights.expert_hits(), uint64_t{0});
        set(divided.queue.get(), nullptr, nullptr);
        for (const uint32_t width : {16u, 1u}) divided.check(any_experts(width, 1), "afterwards");
        expect(divided.weights.expert_hits() > 0, "the card to compute again");
    }
}

TEST(mixture, "ends a pass that is cancelled, and goes on with the next") {
    Divided divided(card().handle(), cut(3), HostMemory::Mapped);
    const ggml_backend_reg_t registry = ggml_backend_dev_backend_reg(divided.device.handle());
    const auto set = reinterpret_cast<ggml_backend_set_abort_callback_t>(ggml_backend_reg_get_proc_address(registry, "ggml_backend_set_abort_callback"));
    for (int left : {0, 1, 2, 3}) {
        const ggml_abort_callback is_cancelled = [](void* count) { return --*static_cast<int*>(count) < 0; };
        set(divided.queue.get(), is_cancelled, &left);
        expect_equal(static_cast<int>(Pass(divided.queue.get(), divided.mixture, any_experts(4, 1), Shape::Usual).status()), static_cast<int>(GGML_STATUS_ABORTED));
        set(divided.queue.get(), nullptr, nullptr);
        divided.check(any_experts(4, 1), "after a pass that was cancelled");
    }
}

TEST(mixture, "computes nothing with numbers of experts that are none") {
    Divided divided(card().handle(), cut(3), HostMemory::Mapped);
    for (const Chosen& chosen : {Chosen{7, 8, 6}, Chosen{0, 1, -1}}) {
        expect_equal(static_cast<int>(Pass(divided.queue.get(), divided.mixture, chosen, Shape::Usual).status()), static_cast<int>(GGML_STATUS_FAILED));
    }
    divided.check({7, 0, 6}, "afterwards");
}
