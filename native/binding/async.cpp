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

namespace {

// Made together with the reference, as whoever lets go of that last cannot fail.
class FreeReference final : public MainThread::Task {
  public:
    explicit FreeReference(Napi::FunctionReference* reference) : reference_(reference) {}

  private:
    void run(Napi::Env) override { delete reference_; }

    Napi::FunctionReference* reference_;
};

}  // namespace

Callback hold_callback(std::shared_ptr<MainThread> main, const Napi::Function& function) {
    auto reference = std::make_unique<Napi::FunctionReference>(Napi::Persistent(function));
    const auto free = [main = std::move(main), task = std::make_shared<FreeReference>(reference.get())](Napi::FunctionReference*) { main->post_task(task); };
    return Callback(reference.release(), free);
}

}  // namespace nmos::binding
