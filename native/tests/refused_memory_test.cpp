// Memory that is refused at any point of a model's life, by a card or by the system: what was asked for ends with an error of its
// kind or with what the processor alone computes, and afterwards everything works again with the same engine.
//
// A card is asked for memory, pinned memory, queues and events; the system by `operator new` (refused_new.h), on the thread that
// each step has in use. Every request of a card is refused once alone, every third one once with all behind it; those of the
// system both ways. Of steps with many requests every p-th one is refused, where p is a prime: no loop over a number of weights,
// layers or tokens that p does not divide is hit at the same place each time.
#include <chrono>
#include <functional>
#include <future>
#include <new>
#include <set>
#include <thread>

#include "check.h"
#include "device/streaming_device.h"
#include "model_life.h"
#include "refused_new.h"
#include "runtime/log.h"
#include "simulated_cards.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

// How often what was refused ended something, and how often nothing came of it.
struct Endings {
    int failed = 0;
    int survived = 0;

    // What may come of a refusal: an error of a kind. Of those, the binding hands std::bad_alloc on as OUT_OF_MEMORY.
    template <typename Action> bool allow(Action action) {
        try {
            action();
            ++survived;
            return true;
        } catch (const EngineError&) {
        } catch (const std::bad_alloc&) {
        }
        ++failed;
        return false;
    }
};

// A first answer.
void begin(Life& life) {
    life.load();
    life.open();
    life.listen();
    life.check_answer();
}

// All of it, as far as it goes.
void live(Life& life, Endings& endings) {
    const auto answer = [&] {
        endings.allow([&] { life.check_answer(); });
    };
    if (!endings.allow([&] { life.load(); })) return;
    if (!endings.allow([&] { life.open(); })) return;
    life.listen();
    answer();
    SnapshotPtr snapshot;
    endings.allow([&] { snapshot = life.copy_cache(nullptr); });
    if (snapshot) endings.allow([&] { life.copy_cache(snapshot); });
    endings.allow([&] { life.model()->release(UINT64_MAX); });
    answer();
    endings.allow([&] { life.engine().prefetch(*life.model(), std::make_shared<Cancellation>()); });
    answer();
}

// Whoever has computed last may still let go of a session that was closed.
void expect_all_free(const std::function<uint64_t()>& free_now, uint64_t bytes, Location at = Location::here()) {
    for (int patience = 1000; patience > 0 && free_now() != bytes; --patience) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    expect_equal(free_now(), bytes, at);
}

void check_card(const synthetic::Shape& shape, Location at = Location::here()) {
    sim::SimDevice& card = exact_card();
    Life life(shape, true);
    const uint64_t before = free_bytes_of(card);
    // What a card and its restorer have for good is there then.
    Endings endings;
    live(life, endings);
    life.close();
    expect_equal(endings.failed, 0, at);
    for (const bool lasting : {false, true}) {
        // What a lasting refusal begins with is mostly what it comes to.
        for (uint64_t granted = 0;; granted += lasting ? 3 : 1) {
            card.refuse({granted, lasting});
            live(life, endings);
            const bool refused = card.requests() > granted;
            card.refuse({});
            life.close();
            expect_all_free([&] { return free_bytes_of(card); }, before, at);
            if (!refused) break;
            begin(life);
            life.close();
            expect_all_free([&] { return free_bytes_of(card); }, before, at);
        }
    }
    expect(endings.failed > 0 && endings.survived > endings.failed, "some refusals to end something and most not to, got " + show(endings.failed) + " and " + show(endings.survived), at);
}

// The smallest prime of which so many steps reach the end.
uint64_t stride_of(uint64_t requests, uint64_t most) {
    const auto is_prime = [](uint64_t number) {
        for (uint64_t factor = 2; factor * factor <= number; ++factor) {
            if (number % factor == 0) return false;
        }
        return number > 1;
    };
    uint64_t stride = (requests + most - 1) / most;
    while (stride > 1 && !is_prime(stride)) ++stride;
    return std::max<uint64_t>(1, stride);
}

// Something that is asked of the engine. Throws what it ended with, and returns how often memory was asked for.
using Step = std::function<uint64_t(uint64_t granted, bool lasting)>;

// Refuses memory at the requests of a step, at most `most` of them; in between it is done as it should be, with what `check` says.
void check_step(const std::string& name, uint64_t most, const Step& step, const std::function<void()>& check, Location at = Location::here()) {
    const uint64_t requests = step(never, false);
    check();
    expect(requests > 0, name + " to need memory", at);
    Endings endings;
    for (const bool lasting : {false, true}) {
        for (uint64_t granted = 0; granted < requests; granted += stride_of(requests, most)) {
            if (endings.allow([&] { step(granted, lasting); })) check();
            step(never, false);
            check();
        }
    }
    expect(endings.failed > 0, name + " to fail now and then", at);
}

template <typename Work> uint64_t with_refusal(uint64_t granted, bool lasting, Work work) {
    refuse_new(granted, lasting);
    try {
        work();
    } catch (...) {
        grant_new();
        throw;
    }
    return grant_new();
}

// On the engine's loading thread, whose tasks must not throw.
template <typename Work> Step on_loader(Engine& engine, Work work) {
    return [&engine, work](uint64_t granted, bool lasting) {
        std::promise<uint64_t> requests;
        const auto task = [&] {
            try {
                requests.set_value(with_refusal(granted, lasting, work));
            } catch (...) {
                requests.set_exception(std::current_exception());
            }
        };
        expect(engine.on_loader(task), "the loading thread to take a task");
        return requests.get_future().get();
    };
}

void check_system(const synthetic::Shape& shape, bool on_card) {
    Life life(shape, on_card);
    const auto free_now = [&] { return on_card ? free_bytes_of(exact_card()) : 0; };
    const uint64_t before = free_now();
    const auto nothing = [] {};
    Engine& engine = life.engine();
    check_step("a plan", 40, on_loader(engine, [&] { engine.plan(life.main_options().plan); }), nothing);
    check_step("loading", 30, on_loader(engine, [&] { engine.load(life.main_options()); }), [&] { expect_equal(free_now(), before); });
    life.load();
    check_step("a session", 40, on_loader(engine, [&] { engine.create_session(life.model(), {life_context, life_batch}, 1); }), nothing);
    life.open();
    life.listen();
    if (on_card) expect(life.model()->placement().units && life.model()->placement().cards.at(0).slots > 0, "a plan that cuts the model up");
    GenerationResult result;
    const Step answer = [&](uint64_t granted, bool lasting) {
        result = life.answer(granted, lasting);
        return life.requests();
    };
    check_step("an answer", 40, answer, [&] { life.check(result); });
    expect(result.speculation.model_accepted_tokens > 0, "guesses of the draft model");
    const auto submit = [&](uint64_t granted, bool lasting) {
        GenerationRequest request = generate_request(life_prompt(), 1);
        std::promise<Generation::Outcome> outcome;
        const Generation::OnDone done = [&](Generation::Outcome ended) { outcome.set_value(std::move(ended)); };
        const uint64_t requests = with_refusal(granted, lasting, [&] { engine.submit(life.session(), std::move(request), nullptr, done); });
        expect(std::holds_alternative<GenerationResult>(outcome.get_future().get()), "an answer");
        return requests;
    };
    check_step("a request", 60, submit, nothing);
    SnapshotPtr snapshot;
    const Tokens cached = life.session()->cached_tokens();
    const Step save = [&](uint64_t granted, bool lasting) {
        snapshot = life.copy_cache(nullptr, granted, lasting);
        return life.requests();
    };
    check_step("a snapshot", 60, save, [&] { expect(snapshot && snapshot->tokens == cached, "a snapshot of what is cached"); });
    // There is room for it already.
    life.copy_cache(snapshot, 0, true);
    expect_equal(life.session()->cached_tokens(), cached);
    if (on_card) {
        const auto release_and_restore = [&] {
            life.model()->release(UINT64_MAX);
            engine.prefetch(*life.model(), nullptr);
        };
        check_step("what is released and restored", 20, on_loader(engine, release_and_restore), [&] { life.check_answer(); });
        engine.prefetch(*life.model(), nullptr);
        expect_equal(life.model()->activity().released_bytes(), uint64_t{0});
    }
    // Closing has no error to end with, and needs no memory for it.
    const auto check_closing = [&](auto close) {
        refuse_new(0, true);
        close();
        grant_new();
        expect_all_free(free_now, before);
    };
    check_closing([&] { life.close(); });
    life.load();
    life.open();
    check_closing([&] { engine.close(); });
}

}  // namespace

TEST(refused_memory, "what a card refuses ends with an error or with the processor's answer, and nothing stays there") {
    check_card(dense_shape());
}

TEST(refused_memory, "what a card refuses to a mixture of experts ends with an error or with the processor's answer, too") {
    check_card(mixture_shape());
}

TEST(refused_memory, "a card that refuses what its first model needs of it has all of it for the next one") {
    load_backends(library_directory(), true);
    std::vector<sim::SimDevice*> cards;
    Endings endings;
    for (bool refused = true; refused;) {
        sim::SimDevice& card = sim::SimDevice::create(*sim::find_card_profile("gtx1650-4gb"), sim::Mode::Exact);
        // None for the tests behind this one.
        card.set_foreign_bytes(UINT64_MAX >> 1);
        const uint64_t granted = cards.size();
        cards.push_back(&card);
        card.refuse({granted, false});
        endings.allow([&] { StreamingDevice::over(card.handle()); });
        refused = card.requests() > granted;
        card.refuse({});
        expect(cards.size() < 100, "a device to be made with some requests");
    }
    expect(endings.failed > 0, "some refusals to be in the way");
    std::set<std::string> names;
    for (const sim::SimDevice* card : cards) {
        StreamingDevice& device = StreamingDevice::over(card->handle());
        expect(&StreamingDevice::over(card->handle()) == &device, "one device over a card");
        names.insert(ggml_backend_dev_name(device.handle()));
    }
    expect_equal(names.size(), cards.size());
}

TEST(refused_memory, "what the system refuses ends with an error or with the processor's answer, on a card") {
    check_system(dense_shape(), true);
}

TEST(refused_memory, "what the system refuses to a mixture of experts on a card ends with an error or with the processor's answer, too") {
    check_system(mixture_shape(), true);
}

TEST(refused_memory, "what the system refuses ends with an error or with the same answer, without a card") {
    check_system(dense_shape(), false);
}

TEST(refused_memory, "a log sink that there is no memory for is not there, and the next message waits for nobody") {
    // For its place in the list, and for the handle.
    for (const uint64_t granted : {uint64_t{0}, uint64_t{1}}) {
        size_t lines = 0;
        bool is_refused = false;
        refuse_new(granted, false);
        try {
            const auto sink = add_log_sink([&](LogLevel, std::string_view) { ++lines; });
        } catch (const std::bad_alloc&) {
            is_refused = true;
        }
        grant_new();
        expect(is_refused, "memory to be refused behind " + show(granted) + " requests");
        log(LogLevel::Debug, "a line");
        expect_equal(lines, size_t{0});
    }
}
