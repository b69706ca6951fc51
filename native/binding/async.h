// The one place that makes promises and turns C++ exceptions into JavaScript errors.
#pragma once

#include <napi.h>

#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "main_thread.h"

namespace nmos::binding {

// An Error with the `code` of an EngineError; anything else becomes INTERNAL.
Napi::Error to_js_error(Napi::Env env, std::exception_ptr thrown);

// A function of the caller that any thread may hold and let go of; it is called and freed on the main thread.
using Callback = std::shared_ptr<Napi::FunctionReference>;
Callback hold_callback(std::shared_ptr<MainThread> main, const Napi::Function& function);

// Runs a synchronous method body.
template <typename Body> Napi::Value guarded(Napi::Env env, Body body) {
    try {
        return body();
    } catch (const Napi::Error&) {
        throw;
    } catch (...) {
        throw to_js_error(env, std::current_exception());
    }
}

// Settles one promise, once, from any thread. All that takes memory for is made with the promise, so that what has failed for want
// of memory can be told; what JavaScript and Node need themselves they have to get.
template <typename Result> class Settler {
  public:
    using ToJs = std::function<Napi::Value(Napi::Env, Result&)>;

    // `owner` is kept alive until the promise is settled.
    Settler(Napi::Env env, const std::shared_ptr<MainThread>& main, std::shared_ptr<void> owner, ToJs to_js)
        : state_(std::make_shared<State>(Napi::Promise::Deferred::New(env), main, std::move(to_js))) {
        state_->operation = main->begin_operation(std::move(owner));
    }

    Napi::Promise promise() const { return state_->deferred.Promise(); }

    // What happens on the main thread before the promise settles, and in what order, is the order of the posts.
    MainThread& main() const { return *state_->main; }

    void resolve(Result result) const noexcept {
        try {
            state_->result.emplace(std::move(result));
        } catch (...) {
            state_->thrown = std::current_exception();
        }
        state_->main->post_task(state_);
    }

    void reject(std::exception_ptr thrown) const noexcept {
        state_->thrown = std::move(thrown);
        state_->main->post_task(state_);
    }

    // Settles with what `work` returns or throws.
    template <typename Work> void settle_with(Work work) const noexcept {
        try {
            resolve(work());
        } catch (...) {
            reject(std::current_exception());
        }
    }

  private:
    class State final : public MainThread::Task {
      public:
        State(Napi::Promise::Deferred made, std::shared_ptr<MainThread> thread, ToJs convert)
            : deferred(made), main(std::move(thread)), to_js(std::move(convert)) {}

        Napi::Promise::Deferred deferred;
        std::shared_ptr<MainThread> main;
        MainThread::Operation operation{};
        ToJs to_js;
        std::optional<Result> result;
        std::exception_ptr thrown;

      private:
        void run(Napi::Env env) override {
            try {
                if (thrown) std::rethrow_exception(thrown);
                deferred.Resolve(to_js(env, *result));
            } catch (...) {
                fail(env, std::current_exception());
            }
            // Others may hold this for longer.
            result.reset();
            main->end_operation(operation);
        }

        void fail(Napi::Env env, std::exception_ptr failure) const {
            try {
                deferred.Reject(to_js_error(env, std::move(failure)).Value());
            } catch (const std::bad_alloc&) {
                // Not even for the reason.
                deferred.Reject(env.Undefined());
            }
        }
    };

    std::shared_ptr<State> state_;
};

// Makes a promise and calls `start` with its settler. What `start` throws rejects the promise; a wrong argument of the
// caller does too, so that an asynchronous method throws only where there is no memory for the promise. `owner` is what works on it,
// and has a `main`.
template <typename Result, typename Owner, typename Start>
Napi::Value async(Napi::Env env, const std::shared_ptr<Owner>& owner, typename Settler<Result>::ToJs to_js, Start start) {
    return guarded(env, [&]() -> Napi::Value {
        const Settler<Result> settler(env, owner->main(), owner, std::move(to_js));
        const Napi::Promise promise = settler.promise();
        try {
            start(settler);
        } catch (...) {
            settler.reject(std::current_exception());
        }
        return promise;
    });
}

}  // namespace nmos::binding
