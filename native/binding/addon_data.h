// What one instance of the addon (one Node environment) remembers: the constructors of its classes.
#pragma once

#include <napi.h>

namespace nmos::binding {

struct AddonData {
    Napi::FunctionReference cancellation;
    Napi::FunctionReference model;
    Napi::FunctionReference session;

    static AddonData& of(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }
};

}  // namespace nmos::binding
