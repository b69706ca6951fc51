// `NativeSession` in src/engine/native/addon.ts.
#pragma once

#include <napi.h>

#include "engine_context.h"
#include "options.h"

namespace nmos::binding {

class SessionObject : public Napi::ObjectWrap<SessionObject> {
  public:
    static Napi::Function define(Napi::Env env);
    static Napi::Object create(Napi::Env env, std::shared_ptr<EngineContext> context, std::shared_ptr<Session> session);

    // The option of that name, null without one. Throws INVALID_ARGUMENT for anything but a session of this addon.
    static std::shared_ptr<Session> from(const Options& options, const char* name);

    explicit SessionObject(const Napi::CallbackInfo& info);

  private:
    Napi::Value context_length(const Napi::CallbackInfo& info);
    Napi::Value cached_tokens(const Napi::CallbackInfo& info);
    Napi::Value prefill(const Napi::CallbackInfo& info);
    Napi::Value generate(const Napi::CallbackInfo& info);
    Napi::Value save(const Napi::CallbackInfo& info);
    Napi::Value restore(const Napi::CallbackInfo& info);
    Napi::Value close(const Napi::CallbackInfo& info);

    std::shared_ptr<EngineContext> context_;
    std::shared_ptr<Session> session_;
};

}  // namespace nmos::binding
