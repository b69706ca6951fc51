#include "cancellation_object.h"

namespace nmos::binding {

namespace {

// A prototype can be put on any object, a tag cannot.
constexpr napi_type_tag type_tag = {0x3f0c5a7e9b2d4618, 0x8d41e6b0c27f935a};

}  // namespace

Napi::Function CancellationObject::define(Napi::Env env) {
    return DefineClass(env, "Cancellation",
                       {
                           InstanceMethod<&CancellationObject::cancel>("cancel"),
                           InstanceAccessor<&CancellationObject::cancelled>("cancelled"),
                       });
}

CancellationPtr CancellationObject::from(const Options& options) {
    const Napi::Value value = options.value("cancellation");
    if (value.IsUndefined()) return std::make_shared<Cancellation>();
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&type_tag)) {
        options.refuse("cancellation", "a Cancellation of this addon", value);
    }
    return Unwrap(value.As<Napi::Object>())->flag_;
}

CancellationObject::CancellationObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    info.This().As<Napi::Object>().TypeTag(&type_tag);
}

void CancellationObject::cancel(const Napi::CallbackInfo&) {
    flag_->cancel();
}

Napi::Value CancellationObject::cancelled(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), flag_->cancelled());
}

}  // namespace nmos::binding
