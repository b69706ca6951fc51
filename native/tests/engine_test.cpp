#include "runtime/engine.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "check.h"
#include "gguf_file.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

// An answer that goes on until it is cancelled, or for longer than any test.
GenerationRequest endless_request(const SmallModel& small) {
    auto request = generate_request(small.tokens("Once"), 4000);
    request.decode->sampler.grammar = "root ::= \" a\"*";
    return request;
}

// Runs an endless answer in a session of its own until its first text has come.
Running started(SmallModel& small, const std::shared_ptr<Session>& session) {
    const auto first_text = std::make_shared<std::promise<void>>();
    Running running(small, session, endless_request(small), [first_text, first = true](const std::string&) mutable {
        if (std::exchange(first, false)) first_text->set_value();
    });
    first_text->get_future().wait();
    return running;
}

LoadOptions load_options(const std::string& path) {
    LoadOptions options;
    options.plan.path = path;
    options.plan.context_length = 512;
    options.plan.use_gpu = false;
    options.cancellation = std::make_shared<Cancellation>();
    return options;
}

// A file that any reader of GGUF takes, of an architecture that the library does not know.
std::string unknown_architecture() {
    GgufFile file;
    file.text("general.architecture", "alloc-net").u32("alloc-net.block_count", 1).u32("alloc-net.context_length", 2048);
    return file.tensor("token_embd.weight", 8, 3).tensor("blk.0.ffn_up.weight", 8, 16).bytes();
}

}  // namespace

// The first one, because backends stay loaded in a process that runs all tests.
TEST(engine, "says so when there are no backends") {
    const TemporaryFile file;
    expect_error(ErrorCode::BackendUnavailable, "Reinstall", [&] { Engine(file.path(), true); });
    expect_error(ErrorCode::BackendUnavailable, "Reinstall", [&] { Engine("/no/such/folder", false); });
    // The threads of the failed ones are gone, and the right folder still works.
    SmallModel small;
    expect_equal(run(small, small.session(), generate_request(small.tokens("Hello"), 2)).tokens.size(), size_t{2});
}

TEST(engine, "lists the processor first and knows its memory") {
    const Engine engine(library_directory(), true);
    const auto devices = list_devices();
    expect(!devices.empty() && devices[0].kind == DeviceKind::Cpu, "the processor");
    expect(devices[0].memory_total > 0 && devices[0].memory_free <= devices[0].memory_total, "its memory");
}

TEST(engine, "loads with progress that only grows") {
    SmallModel small;
    std::vector<float> fractions;
    LoadOptions options = load_options(small_model_path());
    options.on_progress = [&](float fraction) { fractions.push_back(fraction); };
    const auto model = small.engine.load(options);
    expect(model != nullptr, "the model to load");
    expect(fractions.size() > 2 && std::is_sorted(fractions.begin(), fractions.end()), "progress that grows, got " + show(fractions));
    expect(fractions.front() >= 0.0f && fractions.back() == 1.0f, "progress from 0 to 1, got " + show(fractions));
    expect_equal(model->info().architecture, std::string("llama"));
    expect_equal(model->info().layers, 30u);
    expect_equal(model->placement().device, std::string("CPU"));
}

TEST(engine, "stops loading when cancelled") {
    SmallModel small;
    LoadOptions options = load_options(small_model_path());
    options.cancellation->cancel();
    expect(small.engine.load(options) == nullptr, "no model when cancelled before");
    options.cancellation = std::make_shared<Cancellation>();
    int calls = 0;
    options.on_progress = [&](float) {
        if (++calls == 2) options.cancellation->cancel();
    };
    expect(small.engine.load(options) == nullptr, "no model when cancelled on the way");
    expect_equal(calls, 2);
}

TEST(engine, "names what is wrong with a model, and goes on") {
    SmallModel small;
    const auto check = [&](const std::string& path, ErrorCode code, std::string_view part, Location at = Location::here()) {
        expect_error(code, part, [&] { small.engine.load(load_options(path)); }, at);
    };
    const TemporaryFile unknown(unknown_architecture());
    const TemporaryFile cut(unknown_architecture().substr(0, unknown_architecture().size() - 1));
    const TemporaryFile text("no model");
    check("/no/such/file.gguf", ErrorCode::ModelNotFound, "/no/such/file.gguf");
    check(unknown.path(), ErrorCode::ModelUnsupported, "alloc-net");
    check(cut.path(), ErrorCode::ModelTruncated, cut.path());
    check(text.path(), ErrorCode::ModelInvalid, text.path());
    LoadOptions too_long = load_options(small_model_path());
    too_long.plan.context_length = 1 << 20;
    expect_error(ErrorCode::ContextTooLong, "8192", [&] { small.engine.load(too_long); });
    expect_equal(run(small, small.session(), generate_request(small.tokens("Hello"), 2)).tokens.size(), size_t{2});
}

TEST(engine, "cancels everything when it is closed") {
    SmallModel small;
    Running first = started(small, small.session());
    Running second = started(small, small.session());
    Running warm(small, small.session(), prefill_request(long_prompt(small, 100), Priority::Warm));
    const auto idle = small.session();
    small.engine.close();
    expect(first.ended() && second.ended() && warm.ended(), "all answers to have ended");
    for (Running* running : {&first, &second, &warm}) expect(running->result().finish == Finish::Cancelled, "cancelled answers");
    expect_error(ErrorCode::Closed, "engine was closed", [&] { run(small, idle, prefill_request({1})); });
    expect_error(ErrorCode::Closed, "model", [&] { small.model->vocabulary(); });
    expect_error(ErrorCode::Closed, "session", [&] { idle->acquire(std::make_shared<Cancellation>()); });
    expect(!small.engine.on_desk([] {}) && !small.engine.on_loader([] {}), "no more tasks");
    expect(small.engine.load(load_options(small_model_path())) == nullptr, "no model from a closed engine");
    small.engine.close();
}

TEST(engine, "stops a load when it is closed") {
    Engine engine(library_directory(), true);
    std::promise<void> loading;
    std::promise<bool> loaded;
    std::atomic<bool> closing = false;
    const bool taken = engine.on_loader([&] {
        LoadOptions options = load_options(small_model_path());
        options.on_progress = [&, first = true](float) mutable {
            if (!std::exchange(first, false)) return;
            loading.set_value();
            while (!closing || !options.cancellation->cancelled()) std::this_thread::yield();
        };
        loaded.set_value(engine.load(options) != nullptr);
    });
    expect(taken, "the load to be taken");
    loading.get_future().wait();
    closing = true;
    engine.close();
    expect(!loaded.get_future().get(), "no model");
}

TEST(engine, "closing a model cancels its answers, and leaves other models alone") {
    SmallModel small;
    const auto other = small.engine.load(load_options(small_model_path()));
    const auto other_session = small.engine.create_session(other, {512, 0}, 1);
    Running unaffected = started(small, other_session);
    Running first = started(small, small.session());
    Running second = started(small, small.session());
    const auto idle = small.session();
    small.model->close();
    for (Running* running : {&first, &second}) expect(running->result().finish == Finish::Cancelled, "cancelled answers");
    expect_error(ErrorCode::Closed, "was closed", [&] { run(small, idle, prefill_request({1})); });
    expect_error(ErrorCode::Closed, "load it again", [&] { small.session(); });
    expect(!unaffected.ended(), "the other model to go on");
    small.model->close();
    other->close();
    expect(unaffected.result().finish == Finish::Cancelled, "a cancelled answer");
}

TEST(engine, "lets go of what nobody uses") {
    SmallModel small;
    std::weak_ptr<Session> session;
    {
        Running running = started(small, small.session());
        session = small.session();
    }
    expect(session.expired(), "a session without owner to be freed");
    const std::weak_ptr<Model> model = small.model;
    small.model.reset();
    small.engine.close();
    expect(model.expired(), "a model without owner to be freed");
}

TEST(engine, "can be closed while others submit") {
    for (int round = 0; round < 2; ++round) {
        SmallModel small;
        std::vector<std::shared_ptr<Session>> sessions = {small.session(), small.session()};
        std::atomic<int> submitted = 0;
        std::atomic<int> ended = 0;
        std::atomic<int> other_errors = 0;
        std::vector<std::thread> threads;
        for (const auto& session : sessions) {
            threads.emplace_back([&, session] {
                for (;;) {
                    try {
                        small.engine.submit(session, prefill_request({1, 2, 3}), nullptr, [&](const auto&) { ++ended; });
                        ++submitted;
                    } catch (const EngineError& error) {
                        if (error.code() == ErrorCode::Closed) return;
                        if (error.code() != ErrorCode::SessionBusy) ++other_errors;
                    }
                }
            });
        }
        while (ended < 5 + round) std::this_thread::yield();
        small.engine.close();
        for (std::thread& thread : threads) thread.join();
        expect_equal(submitted.load(), ended.load());
        expect_equal(other_errors.load(), 0);
    }
}
