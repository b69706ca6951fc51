// What one instance of the addon (one Node environment) remembers: the constructors of its classes and its engines.
#pragma once

#include <napi.h>

#include <memory>

#include "engine_context.h"

namespace nmos::binding {

struct AddonData {
    Napi::FunctionReference model;
    Napi::FunctionReference session;
    Napi::FunctionReference snapshot;
    std::shared_ptr<OpenEngines> engines = std::make_shared<OpenEngines>();

    static AddonData& of(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }
};

}  // namespace nmos::binding
