#include "cancellation_object.h"

#include "addon_data.h"

namespace nmos::binding {

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
    const AddonData& data = AddonData::of(value.Env());
    if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(data.cancellation.Value())) {
        options.refuse("cancellation", "a Cancellation of this addon", value);
    }
    return Unwrap(value.As<Napi::Object>())->flag_;
}

CancellationObject::CancellationObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

void CancellationObject::cancel(const Napi::CallbackInfo&) {
    flag_->cancel();
}

Napi::Value CancellationObject::cancelled(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), flag_->cancelled());
}

}  // namespace nmos::binding
