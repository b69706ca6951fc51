// `NativeEngine` in src/engine/native/addon.ts.
#pragma once

#include <napi.h>

#include "engine_context.h"

namespace nmos::binding {

class EngineObject : public Napi::ObjectWrap<EngineObject> {
  public:
    static Napi::Function define(Napi::Env env);

    explicit EngineObject(const Napi::CallbackInfo& info);

  private:
    Napi::Value library_version(const Napi::CallbackInfo& info);
    Napi::Value devices(const Napi::CallbackInfo& info);
    Napi::Value backends(const Napi::CallbackInfo& info);
    Napi::Value memory(const Napi::CallbackInfo& info);
    Napi::Value saves_energy(const Napi::CallbackInfo& info);
    Napi::Value load_model(const Napi::CallbackInfo& info);
    Napi::Value plan_model(const Napi::CallbackInfo& info);
    Napi::Value summarise_weights(const Napi::CallbackInfo& info);
    Napi::Value predict_quantised_bytes(const Napi::CallbackInfo& info);
    Napi::Value quantise(const Napi::CallbackInfo& info);
    Napi::Value compare_models(const Napi::CallbackInfo& info);
    Napi::Value close(const Napi::CallbackInfo& info);

    std::shared_ptr<EngineContext> context_;
};

// `NativePlacement`.
Napi::Object to_js(Napi::Env env, const Placement& placement);

}  // namespace nmos::binding
