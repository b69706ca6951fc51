// `Cancellation` in src/engine/native/addon.ts.
#pragma once

#include <napi.h>

#include "options.h"
#include "runtime/cancellation.h"

namespace nmos::binding {

class CancellationObject : public Napi::ObjectWrap<CancellationObject> {
  public:
    static Napi::Function define(Napi::Env env);
    // The flag in `options.cancellation`, or a new one when there is none.
    static CancellationPtr from(const Options& options);

    explicit CancellationObject(const Napi::CallbackInfo& info);

  private:
    void cancel(const Napi::CallbackInfo& info);
    Napi::Value cancelled(const Napi::CallbackInfo& info);

    CancellationPtr flag_ = std::make_shared<Cancellation>();
};

}  // namespace nmos::binding
