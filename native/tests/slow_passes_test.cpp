#include "runtime/slow_passes.h"

#include "check.h"
#include "platform/os.h"
#include "runtime/pass_watch.h"
#include "sim_device.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

constexpr int processors = 8;
constexpr double usual_seconds = 0.05;

// A model whose passes come one behind the other, with a clock of its own.
class Passes {
  public:
    explicit Passes(bool on_processor = false) : slow_(on_processor), on_processor_(on_processor) {}

    // Passes that take so long each. `others`: processors that other programs keep busy meanwhile.
    Passes& run(int count, double seconds, double others = 0.1) {
        for (int i = 0; i < count; ++i) {
            now_ += seconds;
            times_.all += seconds * processors;
            times_.others += seconds * others;
            observe(seconds);
        }
        return *this;
    }
    Passes& wait(double seconds) {
        now_ += seconds;
        times_.all += seconds * processors;
        return *this;
    }
    Passes& width(uint32_t width) {
        width_ = width;
        return *this;
    }
    Passes& predicted(double seconds) {
        predicted_ = seconds;
        return *this;
    }
    Passes& on_battery() {
        saves_energy_ = true;
        return *this;
    }
    Passes& without_times() {
        tells_times_ = false;
        return *this;
    }
    Passes& forget() { return forget(on_processor_); }
    Passes& forget(bool on_processor, bool as_planned = true) {
        slow_.forget(on_processor, as_planned);
        return *this;
    }
    bool found() const { return slow_.times_as_long() > 0; }
    double times() const { return slow_.times_as_long(); }

  private:
    void observe(double seconds) {
        const TimedPass pass{width_, seconds, predicted_, now_};
        std::optional<Surroundings> around;
        if (slow_.suspects(pass)) around = Surroundings{tells_times_ ? os::ProcessorTimes{times_.all, times_.others, processors} : os::ProcessorTimes{}, saves_energy_};
        slow_.observe(pass, around);
    }

    SlowPasses slow_;
    bool on_processor_;
    double now_ = 100;
    os::ProcessorTimes times_;
    uint32_t width_ = 1;
    double predicted_ = 0;
    bool saves_energy_ = false;
    bool tells_times_ = true;
};

Passes used(bool on_processor = false) {
    return Passes(on_processor).run(30, usual_seconds);
}

void expect_found(const Passes& passes, bool found, Location at = Location::here()) {
    expect_equal(passes.found(), found, at);
}

}  // namespace

TEST(slow_passes, "are those that suddenly take several times as long, for a while") {
    expect_found(used().run(20, 10 * usual_seconds), true);
    expect_found(used().run(20, 4.1 * usual_seconds), true);
    expect_found(used().run(200, 3.9 * usual_seconds), false);
    // Too few, then too short a time.
    expect_found(used().run(7, 10 * usual_seconds), false);
    expect_found(Passes().run(30, 0.002).run(20, 0.02), false);
    expect_found(Passes().run(30, 0.002).run(60, 0.02), true);
    expect_equal(used().run(9, 10 * usual_seconds).run(10, 20 * usual_seconds).times() < 10.01, true);
}

TEST(slow_passes, "are none while anything else explains them") {
    // A machine that slept within a pass, a page fault now and then.
    expect_found(used().run(1, 3600).run(30, usual_seconds), false);
    Passes now_and_then = used();
    for (int i = 0; i < 50; ++i) now_and_then.run(7, 10 * usual_seconds).run(1, usual_seconds);
    expect_found(now_and_then, false);
    // A card that wakes up after every pause.
    Passes waking = used();
    for (int i = 0; i < 50; ++i) waking.wait(5).run(3, 10 * usual_seconds).run(2, usual_seconds);
    expect_found(waking, false);
    expect_found(used().on_battery().run(100, 10 * usual_seconds), false);
    // Nobody knows how busy the processor is.
    expect_found(used().without_times().run(100, 10 * usual_seconds), false);
}

TEST(slow_passes, "are not the card's fault while others have the processor") {
    expect_found(used().run(100, 10 * usual_seconds, 0.7 * processors), true);
    expect_found(used().run(100, 10 * usual_seconds, 0.8 * processors), false);
    // Threads that compute a part of the pass wait for the slowest of them.
    expect_found(used(true).run(100, 10 * usual_seconds, 0.4), true);
    expect_found(used(true).run(100, 10 * usual_seconds, 0.6), false);
    // A part that the processor computes since it was released, until it is back on the card.
    const auto moved = [](bool from, bool to) { return used(from).forget(to).run(30, usual_seconds).run(100, 10 * usual_seconds, 0.6); };
    expect_found(moved(false, true), false);
    expect_found(moved(true, false), true);
}

TEST(slow_passes, "are slow from the beginning by what was predicted, far beyond it") {
    expect_found(Passes().predicted(usual_seconds).run(30, 9 * usual_seconds), false);
    expect_found(Passes().predicted(usual_seconds).run(30, 11 * usual_seconds), true);
    // What was learned counts more.
    expect_found(Passes().predicted(usual_seconds).run(30, 9 * usual_seconds).run(30, 20 * usual_seconds), false);
    // Weights that were given back make passes longer than planned, which is no second finding, nor a first one where it was for
    // another reason: what is usual is learned anew, also when it has changed for good. It counts again once they are back.
    const auto released = [] { return Passes().predicted(usual_seconds).run(30, usual_seconds).forget(true, false); };
    expect_found(released().run(30, 50 * usual_seconds), false);
    expect_found(released().run(30, 50 * usual_seconds).run(20, 500 * usual_seconds), true);
    expect_found(released().run(30, usual_seconds).run(201, 50 * usual_seconds, 4).run(30, 50 * usual_seconds), false);
    expect_found(released().forget(false).run(30, 11 * usual_seconds), true);
    // Without either nobody knows.
    expect_found(Passes().run(30, 10), false);
}

TEST(slow_passes, "are compared with those of their width") {
    expect_found(used().width(8).run(30, 10 * usual_seconds), false);
    expect_found(used().width(8).run(30, 2 * usual_seconds).width(1).run(30, 3 * usual_seconds), false);
    expect_found(used().width(8).run(30, 2 * usual_seconds).run(20, 10 * usual_seconds), true);
}

TEST(slow_passes, "are how things are when the weights have moved, or when it lasts") {
    expect_found(used().run(20, 10 * usual_seconds).forget(), false);
    expect_found(used().forget().run(100, 10 * usual_seconds), false);
    expect_found(used().forget().run(30, 10 * usual_seconds).run(20, 100 * usual_seconds), true);
    // With a busy processor all the time: what comes then is compared with that.
    expect_found(used(true).run(250, 10 * usual_seconds, 4).run(50, 10 * usual_seconds), false);
}

TEST(slow_passes, "are compared with what was planned only while all weights are where they were planned") {
    Placement placement;
    placement.layers = placement.device_layers = 10;
    placement.predictions = {{1, usual_seconds}};
    PassWatch watch(placement);
    os::ProcessorTimes times{0, 0, processors};
    watch.look_by([&] {
        times.all += 1;
        return Surroundings{times, false};
    });
    const auto found = [&] {
        for (int i = 0; i < 30; ++i) watch.observe(1, 20 * usual_seconds, usual_seconds);
        return watch.times_as_long() > 0;
    };
    expect_equal(found(), true);
    watch.forget(true);
    expect_equal(found(), false);
    watch.forget();
    expect_equal(found(), true);
}

TEST(slow_passes, "are found on a simulated card whose memory was moved to RAM") {
    load_backends(library_directory(), true);
    sim::SimDevice& card = sim::SimDevice::create(*sim::find_card_profile("rtx4060-laptop-8gb"), sim::Mode::Timed);
    Engine engine(library_directory(), false);
    LoadOptions options;
    options.plan.path = small_model_path();
    options.plan.context_length = 512;
    const auto times_of = [&](const Session& session) { return session.model().activity().times_as_long; };
    const auto decode = [&](Session& session, int passes) {
        session.acquire(std::make_shared<Cancellation>());
        for (int i = 0; i < passes && times_of(session) == 0; ++i) {
            session.keep(100);
            expect(session.compute(std::vector<llama_token>{1}, 1), "the pass to be computed");
            session.logits();
        }
        session.release();
    };
    // In a machine that is as busy as is said, whatever runs beside this test.
    double others = 0;
    const auto look = [&, all = 0.0, busy = 0.0]() mutable {
        all += processors;
        busy += others * processors;
        return Surroundings{{all, busy, processors}, false};
    };
    for (const bool is_busy : {true, false}) {
        others = is_busy ? 0.9 : 0.1;
        const auto model = engine.load(options);
        expect_equal(model->placement().device, std::string(ggml_backend_dev_name(card.handle())));
        expect_equal(model->placement().device_layers, model->placement().layers);
        model->watch().look_by(look);
        const auto session = engine.create_session(model, {.context_length = 512}, 1);
        decode(*session, 40);
        expect_equal(times_of(*session), 0.0);
        card.slow_down(100);
        decode(*session, 15);
        expect(is_busy ? times_of(*session) == 0 : times_of(*session) >= 4, "slow passes to be found where the processor is free, got " + show(times_of(*session)));
        // It stays where nothing has moved, and is answered where weights have.
        expect_equal(model->release(1, "another card"), uint64_t{0});
        expect_equal(times_of(*session) > 0, !is_busy);
        expect(model->release(1) > 0, "weights that can leave the card");
        expect_equal(times_of(*session), 0.0);
        card.slow_down(1);
    }
    // No card for the tests behind this one.
    card.set_foreign_bytes(UINT64_MAX >> 1);
}

TEST(slow_passes, "are judged by how busy the processors are") {
    const os::ProcessorTimes before = os::processor_times();
    expect(before.count > 0 && before.all > 0, "the system to tell");
    expect(before.others >= 0 && before.others <= before.all, "the others' share to be a part of it");
    os::ProcessorTimes after = before;
    // The system counts in steps of some milliseconds.
    while (after.all - before.all < 0.5) after = os::processor_times();
    const double others = after.others - before.others;
    expect(others >= -0.1 && others <= after.all - before.all, "the others to have a part of the time between, got " + show(others));
}
