// `NativeModel` in src/engine/native/addon.ts.
#pragma once

#include <napi.h>

#include "engine_context.h"
#include "options.h"

namespace nmos::binding {

class ModelObject : public Napi::ObjectWrap<ModelObject> {
  public:
    static Napi::Function define(Napi::Env env);
    static Napi::Object create(Napi::Env env, std::shared_ptr<EngineContext> context, std::shared_ptr<Model> model);

    // The option of that name, null without one. Throws INVALID_ARGUMENT for anything but a model of this addon.
    static std::shared_ptr<Model> from(const Options& options, const char* name);

    explicit ModelObject(const Napi::CallbackInfo& info);

  private:
    Napi::Value info_(const Napi::CallbackInfo& info);
    Napi::Value placement(const Napi::CallbackInfo& info);
    Napi::Value activity(const Napi::CallbackInfo& info);
    Napi::Value tokenize(const Napi::CallbackInfo& info);
    Napi::Value detokenize(const Napi::CallbackInfo& info);
    Napi::Value create_session(const Napi::CallbackInfo& info);
    Napi::Value release(const Napi::CallbackInfo& info);
    Napi::Value prefetch(const Napi::CallbackInfo& info);
    Napi::Value close(const Napi::CallbackInfo& info);

    std::shared_ptr<EngineContext> context_;
    std::shared_ptr<Model> model_;
};

}  // namespace nmos::binding
