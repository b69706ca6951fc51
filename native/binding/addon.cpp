// Entry point: what `require` of the addon returns. See `NativeAddon` in src/engine/native/addon.ts.
#include <napi.h>

#include "addon_data.h"
#include "async.h"
#include "cancellation_object.h"
#include "engine_object.h"
#include "model_object.h"
#include "options.h"
#include "platform/os.h"
#include "platform/pipe_access.h"
#include "runtime/engine_error.h"
#include "session_object.h"
#include "snapshot_object.h"

namespace {

// `process.exit` goes straight to the C library's exit, which destroys the statics of the engine libraries while their
// threads would still compute: Node runs no clean-up hooks then, but it does tell JavaScript.
void close_engines_at_exit(Napi::Env env) {
    const Napi::Value process = env.Global().Get("process");
    if (!process.IsObject()) return;
    const auto close_all = [](const Napi::CallbackInfo& info) { nmos::binding::AddonData::of(info.Env()).engines->close_all(); };
    const Napi::Value on = process.As<Napi::Object>().Get("on");
    on.As<Napi::Function>().Call(process, {Napi::String::New(env, "exit"), Napi::Function::New(env, close_all)});
}

Napi::Value keep_pipe_to_user(const Napi::CallbackInfo& info) {
    using namespace nmos;
    return binding::guarded(info.Env(), [&]() -> Napi::Value {
        const std::string name = binding::Options(info[0], "keepPipeToUser").text("name");
        std::string error;
        const std::string list = os::keep_pipe_to_user(name, error);
        if (list.empty()) throw EngineError(ErrorCode::Internal, "The access list of the pipe " + name + " cannot be changed: " + error + ".");
        return Napi::String::New(info.Env(), list);
    });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
    using namespace nmos::binding;
    nmos::os::search_own_folders_only();
    auto data = std::make_unique<AddonData>();
    data->model = Napi::Persistent(ModelObject::define(env));
    data->session = Napi::Persistent(SessionObject::define(env));
    data->snapshot = Napi::Persistent(SnapshotObject::define(env));
    exports.Set("Engine", EngineObject::define(env));
    exports.Set("Cancellation", CancellationObject::define(env));
    exports.Set("keepPipeToUser", Napi::Function::New<keep_pipe_to_user>(env, "keepPipeToUser"));
    env.SetInstanceData(data.release());
    close_engines_at_exit(env);
    return exports;
}

}  // namespace

NODE_API_MODULE(nmos, init)
