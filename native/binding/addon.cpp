// Entry point: what `require` of the addon returns. See `NativeAddon` in src/engine/native/addon.ts.
#include <napi.h>

#include "addon_data.h"
#include "cancellation_object.h"
#include "engine_object.h"
#include "model_object.h"
#include "session_object.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
    using namespace nmos::binding;
    auto data = std::make_unique<AddonData>();
    data->cancellation = Napi::Persistent(CancellationObject::define(env));
    data->model = Napi::Persistent(ModelObject::define(env));
    data->session = Napi::Persistent(SessionObject::define(env));
    exports.Set("Engine", EngineObject::define(env));
    exports.Set("Cancellation", data->cancellation.Value());
    env.SetInstanceData(data.release());
    return exports;
}

}  // namespace

NODE_API_MODULE(nmos, init)
