// The one place that makes promises and turns C++ exceptions into JavaScript errors.
#pragma once

#include <napi.h>

#include <exception>
#include <functional>
#include <memory>
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

// Settles one promise, once, from any thread.
template <typename Result> class Settler {
  public:
    using ToJs = std::function<Napi::Value(Napi::Env, Result&)>;

    // `owner` is kept alive until the promise is settled.
    Settler(Napi::Env env, const std::shared_ptr<MainThread>& main, std::shared_ptr<void> owner, ToJs to_js)
        : state_(std::make_shared<State>(Napi::Promise::Deferred::New(env), main, main->begin_operation(std::move(owner)), std::move(to_js))) {}

    Napi::Promise promise() const { return state_->deferred.Promise(); }

    // What happens on the main thread before the promise settles, and in what order, is the order of the posts.
    MainThread& main() const { return *state_->main; }

    void resolve(Result result) const {
        post([result = std::make_shared<Result>(std::move(result))](Napi::Env env, State& state) {
            state.deferred.Resolve(state.to_js(env, *result));
        });
    }

    void reject(std::exception_ptr thrown) const {
        post([thrown](Napi::Env env, State& state) { state.deferred.Reject(to_js_error(env, thrown).Value()); });
    }

    // Settles with what `work` returns or throws.
    template <typename Work> void settle_with(Work work) const {
        try {
            resolve(work());
        } catch (...) {
            reject(std::current_exception());
        }
    }

  private:
    struct State {
        State(Napi::Promise::Deferred made, std::shared_ptr<MainThread> thread, MainThread::Operation begun, ToJs convert)
            : deferred(made), main(std::move(thread)), operation(begun), to_js(std::move(convert)) {}

        Napi::Promise::Deferred deferred;
        std::shared_ptr<MainThread> main;
        MainThread::Operation operation;
        ToJs to_js;
    };

    template <typename Settle> void post(Settle settle) const {
        state_->main->post([state = state_, settle = std::move(settle)](Napi::Env env) {
            try {
                settle(env, *state);
            } catch (...) {
                state->deferred.Reject(to_js_error(env, std::current_exception()).Value());
            }
            state->main->end_operation(state->operation);
        });
    }

    std::shared_ptr<State> state_;
};

// Makes a promise and calls `start` with its settler. What `start` throws rejects the promise; a wrong argument of the
// caller does too, so that an asynchronous method never throws. `owner` is what works on it, and has a `main`.
template <typename Result, typename Owner, typename Start>
Napi::Value async(Napi::Env env, const std::shared_ptr<Owner>& owner, typename Settler<Result>::ToJs to_js, Start start) {
    const Settler<Result> settler(env, owner->main(), owner, std::move(to_js));
    const Napi::Promise promise = settler.promise();
    try {
        start(settler);
    } catch (...) {
        settler.reject(std::current_exception());
    }
    return promise;
}

}  // namespace nmos::binding
