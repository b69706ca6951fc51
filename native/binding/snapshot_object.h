// `NativeSnapshot` in src/engine/native/addon.ts.
#pragma once

#include <napi.h>

#include "engine_context.h"

namespace nmos::binding {

class SnapshotObject : public Napi::ObjectWrap<SnapshotObject> {
  public:
    static Napi::Function define(Napi::Env env);
    static Napi::Object create(Napi::Env env, SnapshotPtr snapshot);
    // Of what was given to `restore`. Throws INVALID_ARGUMENT, CLOSED.
    static SnapshotPtr from(const Napi::Value& value);

    explicit SnapshotObject(const Napi::CallbackInfo& info);
    ~SnapshotObject() override { free(); }

  private:
    Napi::Value tokens(const Napi::CallbackInfo& info);
    Napi::Value bytes(const Napi::CallbackInfo& info);
    Napi::Value close(const Napi::CallbackInfo& info);
    const SnapshotPtr& open() const;
    void free();

    Napi::Env env_;
    SnapshotPtr snapshot_;  // null once it is closed
};

}  // namespace nmos::binding
