// Layers for which the card has no room: the processor computes them in narrow passes, the card in wide ones.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "device/offload_width.h"
#include "gguf_file.h"
#include "passes.h"
#include "plan/placement.h"
#include "runtime/backends.h"
#include "simulated_cards.h"
#include "small_model.h"
#include "synthetic_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1 << 20;
constexpr uint32_t context = placed_context;
constexpr uint32_t wide = 64;
constexpr uint32_t batch = 256;

sim::SimDevice& card() {
    return exact_card();
}

// A card and a processor of ordinary speed.
DeviceProfile some_device() {
    DeviceProfile device;
    device.card = WidthCurve({{1, 0.01e-9}, {512, 0.2e-9}});
    device.processor = WidthCurve({{1, 0.05e-9}, {64, 3e-9}});
    device.upload_bytes_per_second = device.staged_bytes_per_second = 12e9;
    device.offload_from_width = offload_width(card().handle(), wide);
    return device;
}

// With room for the head, the buffers and so much of the layers.
Placement place(const ModelProfile& profile, double share_of_layers, uint64_t ram, const DeviceProfile& device, KvType kv_type = KvType::F16) {
    PlacementRequest request;
    request.context_length = context;
    request.batch_size = batch;
    request.kv_type = kv_type;
    const auto layers = static_cast<double>(profile.weight_bytes() - profile.output_bytes - profile.embedding_bytes + profile.kv_bytes(context));
    request.vram_limit = profile.output_bytes + compute_buffer_bytes(profile, context, batch) + static_cast<uint64_t>(share_of_layers * layers);
    request.cards.push_back({name_of(card()), "a card", 3000 * mib, false, device});
    request.ram_total = request.ram_available = ram;
    return plan_placement(profile, request);
}

uint64_t bytes_below(const ModelProfile& profile, const Placement& placement) {
    uint64_t bytes = 0;
    for (uint32_t layer = 0; layer + placement.device_layers < profile.layers; ++layer) bytes += profile.layer_bytes[layer];
    return bytes;
}

// The last half of the layers on the card, through `slots` upload slots if there are any.
Placement half_on_card(const ModelProfile& profile, uint32_t slots, bool copies) {
    Placement placement = place(profile, 1, 8000 * mib, some_device());
    UnitPlan units = whole_layers(profile, profile.layers / 2);
    units.slots = slots;
    for (size_t i = 0; i < profile.layers; ++i) {
        LayerPlan& layer = units.layers[i];
        if (layer.on_card) layer.network.resident /= 2;
        else if (slots > 0) layer.stream_from_width = 32;
    }
    const std::string device = name_of(card());
    placement.device = device;
    placement.device_layers = profile.layers / 2;
    placement.output_on_device = true;
    placement.cards = {{device, profile.layers - placement.device_layers, placement.device_layers, 0, 0, slots, 0}};
    placement.units = std::move(units);
    placement.copies_host_weights = copies;
    return placement;
}

std::shared_ptr<Model> load(const ModelProfile& profile, const Placement& placement) {
    LoadOptions options;
    options.plan.path = profile.path;
    return Model::load(options, profile, placement);
}

uint64_t uploaded_by(const std::function<void()>& work) {
    const uint64_t before = card().traffic().uploaded;
    work();
    return card().traffic().uploaded - before;
}

std::vector<llama_token> wide_prompt(SmallModel& small) {
    std::vector<llama_token> prompt = long_prompt(small, wide);
    prompt.resize(wide);
    return prompt;
}

void check_wide_passes(const std::string& path) {
    SmallModel small(path);
    const ModelProfile profile = read_model_profile(path);
    const OneThread one;
    for (const uint32_t slots : {0u, 2u, 3u}) {
        for (const bool copies : {false, true}) {
            const Placement placement = half_on_card(profile, slots, copies);
            const std::shared_ptr<Model> model = load(profile, placement);
            const std::string with = "with " + show(slots) + " slots";
            BesideProcessor both(Session::create(model, {context, batch}, one.threads()), small.session(context, batch), wide_prompt(small));
            const uint64_t below = bytes_below(profile, placement);
            const uint64_t before = model->activity().uploads.bytes;
            const uint64_t in_wide = uploaded_by([&] { both.check_pass("behind a wide pass " + with); });
            // But for what is no operand of a product, such as the weights of norms.
            expect(in_wide > below * 9 / 10, "the layers below to be uploaded for a wide pass " + with + ", " + show(below) + " bytes, got " + show(in_wide));
            const uint64_t through_slots = model->activity().uploads.bytes - before;
            if (slots == 0) expect_equal(through_slots, uint64_t{0});
            // Behind the pass the ring begins with the next one.
            const uint64_t ahead = slots * profile.network_bytes.front();
            if (slots > 0) expect(through_slots > below * 9 / 10 && through_slots <= below + ahead, "each layer to pass through the slots once " + with + ", " + show(below) + " bytes, got " + show(through_slots));
            for (int step = 0; step < 4; ++step) {
                const uint64_t in_narrow = uploaded_by([&] { both.check_pass("behind a narrow pass " + with); });
                // What the ring begins with for the next wide pass, and activations.
                if (step > 0) expect(in_narrow < below / 4, "no layers to be uploaded for a narrow pass " + with + ", got " + show(in_narrow));
            }
        }
    }
}

}  // namespace

TEST(layers_below, "the width from which weights in RAM are offered is the card's own") {
    expect_equal(offload_width(card().handle(), 512), 32u);
    expect_equal(offload_width(card().handle(), 31), never_streamed);
    // Its own memory is RAM.
    expect_equal(offload_width(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), 512), never_streamed);
}

TEST(layers_below, "wide passes upload them and go on with the processor's text") {
    card();
    check_wide_passes(small_model_path());
}

TEST(layers_below, "wide passes upload them and go on with the processor's text also where products have biases") {
    const TemporaryFile file;
    synthetic::write_model(*synthetic::find_shape("tiny"), small_model_path(), file.path());
    card();
    check_wide_passes(file.path());
}

TEST(layers_below, "wide passes upload those of a mixture and go on with the processor's text") {
    const TemporaryFile file;
    synthetic::write_model(*synthetic::find_shape("tiny-moe"), small_model_path(), file.path());
    card();
    const ModelProfile profile = read_model_profile(file.path());
    SmallModel small(file.path());
    const OneThread one;
    const Placement placement = half_on_card(profile, 0, false);
    BesideProcessor both(Session::create(load(profile, placement), {context, batch}, one.threads()), small.session(context, batch), wide_prompt(small));
    expect(uploaded_by([&] { both.check_pass("behind a wide pass"); }) > bytes_below(profile, placement) / 2, "the experts that are chosen to be uploaded");
    for (int step = 0; step < 4; ++step) both.check_pass("behind a narrow pass");
}

TEST(layers_below, "a wide pass that was cancelled comes again") {
    card();
    SmallModel small;
    const ModelProfile profile = read_model_profile(small_model_path());
    const OneThread one;
    for (const uint32_t slots : {0u, 2u}) {
        const std::shared_ptr<Model> model = load(profile, half_on_card(profile, slots, true));
        const auto session = Session::create(model, {context, batch}, one.threads());
        {
            const auto cancelled = std::make_shared<Cancellation>();
            cancelled->cancel();
            session->acquire(cancelled);
            expect(!session->compute(wide_prompt(small), 1), "a cancelled pass");
            session->release();
        }
        BesideProcessor both(session, small.session(context, batch), wide_prompt(small));
        both.check_pass("behind a pass that was cancelled");
    }
}

TEST(layers_below, "take no more of the card's memory than was planned") {
    card();
    const OneThread one;
    const TemporaryFile file;
    synthetic::write_model(*synthetic::find_shape("tiny"), small_model_path(), file.path());
    size_t with_slots = 0;
    size_t with_layers_below = 0;
    for (const std::string& path : {small_model_path(), file.path()}) {
        SmallModel small(path);
        const ModelProfile profile = read_model_profile(path);
        for (int run = 0; run < 6; ++run) {
            DeviceProfile device = some_device();
            // Keys and values take little room in these models, so that only what is slow on the card stays below it.
            device.upload_bytes_per_second *= run + 1;
            const Placement placement = place(profile, 0.1 + 0.05 * run, run % 2 == 0 ? 8000 * mib : 600 * mib, device, run % 3 == 0 ? KvType::Q8_0 : KvType::F16);
            const uint64_t before = free_bytes_of(card());
            const std::shared_ptr<Model> model = load(profile, placement);
            const auto session = Session::create(model, {context, batch}, one.threads());
            BesideProcessor both(session, small.session(context, batch), wide_prompt(small));
            for (int step = 0; step < 3; ++step) both.check_pass("after " + show(step) + " steps of run " + show(run));
            const uint64_t used = before - free_bytes_of(card());
            expect(used <= placement.device_bytes, "at most " + show(placement.device_bytes) + " bytes, got " + show(used) + " in run " + show(run));
            with_layers_below += placement.device_layers > 0 && placement.device_layers < profile.layers;
            if (placement.units) with_slots += placement.units->slots > 0;
        }
    }
    expect(with_layers_below >= 3, "some plans with layers below the card, got " + show(with_layers_below));
    expect(with_slots >= 1, "some plans with upload slots, got " + show(with_slots));
}
