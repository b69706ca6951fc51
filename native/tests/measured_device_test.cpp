#include "plan/measured_device.h"

#include <cmath>
#include <filesystem>
#include <future>
#include <iterator>
#include <set>
#include <utility>

#include "check.h"
#include "plan/unit_plan.h"
#include "plan_models.h"
#include "random_device.h"
#include "runtime/backends.h"
#include "runtime/log.h"
#include "runtime/measure_device.h"
#include "runtime/profile_cache.h"
#include "runtime/speed_key.h"
#include "simulated_cards.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr uint64_t mib = 1 << 20;

ModelProfile model_of(const std::map<std::string, uint64_t>& type_bytes) {
    ModelProfile model;
    model.type_bytes = type_bytes;
    return model;
}

void check_types(const std::map<std::string, uint64_t>& type_bytes, const std::vector<std::pair<std::string, double>>& expected, Location at = Location::here()) {
    const std::vector<TypeShare> types = main_types(model_of(type_bytes));
    expect_equal(types.size(), expected.size(), at);
    for (size_t i = 0; i < types.size(); ++i) {
        expect_equal(types[i].type, expected[i].first, at);
        expect(std::abs(types[i].share - expected[i].second) < 1e-12, show(expected[i].second) + " of " + types[i].type + ", got " + show(types[i].share), at);
    }
}

size_t files_in(const std::string& folder) {
    std::error_code none;
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder, none), std::filesystem::directory_iterator()));
}

std::vector<uint32_t> widths_of(const WidthCurve& curve) {
    std::vector<uint32_t> widths;
    for (const WidthCurve::Point& point : curve.points()) widths.push_back(point.width);
    return widths;
}

}  // namespace

TEST(measured_device, "finds the types that carry most of a model's bytes") {
    check_types({{"q4_K", 100}}, {{"q4_K", 1}});
    check_types({{"q4_K", 60}, {"q6_K", 40}}, {{"q4_K", 0.6}, {"q6_K", 0.4}});
    check_types({{"bf16", 40}, {"q8_0", 60}}, {{"q8_0", 0.6}, {"bf16", 0.4}});
    // The tensors that lose most, and norms.
    check_types({{"q4_K", 71}, {"q6_K", 28}, {"f32", 1}}, {{"q4_K", 1}});
    check_types({{"f32", 4}, {"iq4_xs", 96}}, {{"iq4_xs", 1}});
    check_types({{"f32", 4}, {"q2_K", 48}, {"q3_K", 48}}, {{"q2_K", 0.5}, {"q3_K", 0.5}});
    // Of many, the largest at least.
    check_types({{"q3_K", 20}, {"q4_K", 30}, {"q5_K", 25}, {"q6_K", 25}}, {{"q4_K", 1}});
    check_types({{"q4_0", 0}, {"f16", 1}}, {{"f16", 1}});
    check_types({}, {{"q4_K", 1}});
}

TEST(measured_device, "knows whether it was measured for a model") {
    std::mt19937_64 random(1);
    const MeasuredDevice measured = random_measured(random, {"q4_K", "q6_K"});
    const auto check = [&](std::vector<TypeShare> types, bool expected, Location at = Location::here()) { expect_equal(measured.covers(types), expected, at); };
    check({{"q4_K", 1}}, true);
    check({{"q4_K", 0.6}, {"q6_K", 0.4}}, true);
    // Not at all widths.
    check({{"q6_K", 0.6}, {"q4_K", 0.4}}, false);
    check({{"q4_K", 0.6}, {"q8_0", 0.4}}, false);
    check({{"q8_0", 1}}, false);
    expect(!MeasuredDevice{}.covers(std::vector<TypeShare>{{"q4_K", 1}}), "nothing to be known");
}

TEST(measured_device, "is for a model of one type what was measured with that") {
    std::mt19937_64 random(2);
    for (int i = 0; i < 20; ++i) {
        const MeasuredDevice measured = random_measured(random, {"q4_K", "q8_0"});
        const DeviceProfile profile = measured.profile_for(std::vector<TypeShare>{{"q8_0", 1}});
        const TypeSpeed& speed = measured.types.at("q8_0");
        for (const uint32_t width : {1u, 3u, 4u, 64u, 100u, 512u, 2000u}) {
            expect(std::abs(profile.card.at(width) / speed.card.at(width) - 1) < 1e-12, "the card's time of " + show(width));
            expect(std::abs(profile.processor.at(width) / speed.processor.at(width) - 1) < 1e-12, "the processor's time of " + show(width));
        }
        expect_equal(profile.upload_bytes_per_second, measured.bus.upload_bytes_per_second);
        expect_equal(profile.exchange_seconds, measured.bus.exchange_seconds);
    }
}

TEST(measured_device, "is for a model of several types the mean over its bytes, whatever the widths each was measured at") {
    MeasuredDevice measured;
    measured.types["q4_K"] = {WidthCurve({{1, 2.0}, {2, 2.0}, {4, 6.0}}), WidthCurve({{1, 10.0}, {2, 20.0}, {4, 40.0}}), true};
    measured.types["q6_K"] = {WidthCurve({{1, 1.0}, {4, 4.0}}), WidthCurve({{1, 30.0}, {4, 60.0}}), false};
    const DeviceProfile profile = measured.profile_for(std::vector<TypeShare>{{"q4_K", 0.75}, {"q6_K", 0.25}});
    const auto check = [&](uint32_t width, double card, double processor, Location at = Location::here()) {
        expect(std::abs(profile.card.at(width) - card) < 1e-12, show(card) + " on the card, got " + show(profile.card.at(width)), at);
        expect(std::abs(profile.processor.at(width) - processor) < 1e-12, show(processor) + " on the processor, got " + show(profile.processor.at(width)), at);
    };
    check(1, 1.75, 15);
    check(2, 2, 25);
    check(4, 5.5, 45);
    check(8, 11, 90);
}

TEST(measured_device, "lets predictions lie between those for the types of a model, the nearer to one the more of it there is") {
    std::mt19937_64 random(3);
    const ModelProfile model = alike_layers(12);
    for (int i = 0; i < 10; ++i) {
        MeasuredDevice measured = random_measured(random, {"q4_K", "q8_0"});
        // Slower everywhere.
        TypeSpeed& slow = measured.types["q8_0"];
        const auto slower = [&](const WidthCurve& curve) {
            std::vector<WidthCurve::Point> points = curve.points();
            for (WidthCurve::Point& point : points) point.seconds_per_byte *= between(random, 1.1, 3);
            return WidthCurve(std::move(points));
        };
        slow = {slower(measured.types["q4_K"].card), slower(measured.types["q4_K"].processor), true};
        const auto profile_of = [&](double share) { return measured.profile_for(std::vector<TypeShare>{{"q4_K", 1 - share}, {"q8_0", share}}); };
        const UnitPlan plan = plan_units(model, profile_of(0.5), {1024, 512, 700 * mib});
        for (const uint32_t width : predicted_widths(512)) {
            double before = 0;
            for (const double share : {0.0, 0.2, 0.5, 0.8, 1.0}) {
                const double seconds = predict_pass(model, profile_of(share), plan, width);
                expect(seconds >= before * (1 - 1e-9), "no less time for a pass of " + show(width) + " with " + show(share) + " of the slower type");
                before = seconds;
            }
        }
        // What is chosen for the mixture is no worse for it than what is chosen for either type.
        for (const double share : {0.0, 1.0}) {
            const UnitPlan other = plan_units(model, profile_of(share), {1024, 512, 700 * mib});
            const auto request_of = [&](const UnitPlan& chosen) {
                return typical_request_seconds(512, [&](uint32_t width) { return predict_pass(model, profile_of(0.5), chosen, width); });
            };
            expect(request_of(plan) <= request_of(other) * 1.05, "a plan for the mixture of types");
        }
    }
}

TEST(measured_device, "measures what is not known yet, and nothing else") {
    const ggml_backend_dev_t card = exact_card().handle();
    const OneThread one;
    std::mt19937_64 random(4);
    MeasuredDevice known = random_measured(random, {"q4_K"});
    const MeasuredDevice before = known;
    // Narrow passes, as the simulated card computes on the processor.
    const auto measure = [&](std::vector<TypeShare> types) { measure_device(known, card, one.threads(), 4, types); };
    measure({{"q4_K", 1}});
    expect_equal(to_text(known), to_text(before));
    measure({{"q4_K", 0.8}, {"q8_0", 0.2}});
    expect_equal(widths_of(known.types.at("q8_0").card), std::vector<uint32_t>({1, 4}));
    expect_equal(widths_of(known.types.at("q8_0").processor), std::vector<uint32_t>({1, 4}));
    expect(!known.types.at("q8_0").fine, "some widths of the type with fewer bytes");
    measure({{"q8_0", 0.8}, {"q4_K", 0.2}});
    expect_equal(widths_of(known.types.at("q8_0").processor), std::vector<uint32_t>({1, 2, 4}));
    expect(known.types.at("q8_0").fine, "all widths of the type with most bytes");
    known.types.erase("q8_0");
    expect_equal(to_text(known), to_text(before));
    expect_error(ErrorCode::ModelUnsupported, "q9_9", [&] { measure({{"q9_9", 1}}); });
}

TEST(measured_device, "measures of a machine without a card what the processor does") {
    SmallModel small;
    const OneThread one;
    MeasuredDevice known;
    const std::vector<TypeShare> types{{"q8_0", 1}};
    measure_device(known, ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), one.threads(), 2, types);
    expect(known.covers(types), "the type");
    expect(known.types.at("q8_0").card.empty(), "no times of a card");
    expect(known.types.at("q8_0").processor.at(1) > 0, "times of the processor");
    expect_equal(known.bus.upload_bytes_per_second, 0.0);
}

TEST(measured_device, "is measured again for another number of threads, card or driver, and when the machine saves energy") {
    const ggml_backend_dev_t card = exact_card().handle();
    const std::set<std::string> keys{speed_key(card, 2, {}), speed_key(card, 4, {}), speed_key(card, 2, {true, ""}), speed_key(card, 2, {false, "550.12"}),
                                     speed_key(card, 2, {false, "551.1"}), speed_key(card, 2, {true, "551.1"}), speed_key(exact_card("rtx4060-laptop-8gb").handle(), 2, {})};
    expect_equal(keys.size(), size_t{7});
    expect_equal(speed_key(card, 2, card_state(card)), speed_key(card, 2, card_state(card)));
    for (const std::string& key : keys) expect(key.find('\n') == std::string::npos, "one line, got " + show(key));
}

TEST(measured_device, "is measured again with the next load where a pass was computed meanwhile") {
    take_over_library_log();
    load_backends(library_directory(), true);
    // Which takes its time for nothing but measuring.
    sim::SimDevice::create(*sim::find_card_profile("gtx1650-4gb"), sim::Mode::Timed);
    const LoadOptions options = tight_options(90 * mib);
    const TemporaryFolder folder;
    Engine engine(library_directory(), false, folder.path());
    LoadOptions beside = options;
    beside.plan.use_gpu = false;
    const std::shared_ptr<Model> busy = engine.load(beside);
    GenerationRequest request = generate_request(busy->vocabulary().tokenize({{"Once", true}}, true), 4000);
    request.decode->sampler.grammar = "root ::= \" a\"*";
    request.cancellation = std::make_shared<Cancellation>();
    const CancellationPtr cancellation = request.cancellation;
    std::promise<void> begun;
    std::promise<void> ended;
    const auto on_text = [&, first = true](const std::string&) mutable {
        if (std::exchange(first, false)) begun.set_value();
    };
    engine.submit(engine.create_session(busy, {4096, placed_batch}, 1), std::move(request), on_text, [&](const Generation::Outcome&) { ended.set_value(); });
    begun.get_future().wait();
    expect(engine.load(options) != nullptr, "the model beside passes over another one");
    expect_equal(files_in(folder.path()), size_t{0});
    cancellation->cancel();
    ended.get_future().wait();
    expect(engine.load(options) != nullptr, "the model");
    expect_equal(files_in(folder.path()), size_t{1});
}
