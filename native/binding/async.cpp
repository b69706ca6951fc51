#include "async.h"

#include "runtime/engine_error.h"

namespace nmos::binding {

Napi::Error to_js_error(Napi::Env env, std::exception_ptr thrown) {
    const auto make = [env](ErrorCode code, const std::string& message) {
        Napi::Error error = Napi::Error::New(env, message);
        error.Set("code", Napi::String::New(env, std::string(name_of(code))));
        return error;
    };
    try {
        std::rethrow_exception(thrown);
    } catch (const EngineError& error) {
        return make(error.code(), error.what());
    } catch (const Napi::Error& error) {
        return error;
    } catch (const std::bad_alloc&) {
        return make(ErrorCode::OutOfMemory, "There is not enough memory. Close other programs or choose a smaller model.");
    } catch (const std::exception& error) {
        return make(ErrorCode::Internal, error.what());
    } catch (...) {
        return make(ErrorCode::Internal, "An unknown failure in the native core.");
    }
}

Callback hold_callback(std::shared_ptr<MainThread> main, const Napi::Function& function) {
    const auto free = [main = std::move(main)](Napi::FunctionReference* reference) {
        main->post([reference](Napi::Env) { delete reference; });
    };
    return Callback(new Napi::FunctionReference(Napi::Persistent(function)), free);
}

}  // namespace nmos::binding
