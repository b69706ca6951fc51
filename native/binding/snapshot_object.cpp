#include "snapshot_object.h"

#include "addon_data.h"
#include "async.h"
#include "options.h"

namespace nmos::binding {

namespace {

int64_t size_of(const Snapshot& snapshot) {
    return static_cast<int64_t>(snapshot.kv.size() + snapshot.tokens.size() * sizeof(llama_token));
}

}  // namespace

Napi::Function SnapshotObject::define(Napi::Env env) {
    return DefineClass(env, "Snapshot",
                       {
                           InstanceAccessor<&SnapshotObject::tokens>("tokens"),
                           InstanceAccessor<&SnapshotObject::bytes>("bytes"),
                           InstanceMethod<&SnapshotObject::close>("close"),
                       });
}

Napi::Object SnapshotObject::create(Napi::Env env, SnapshotPtr snapshot) {
    return AddonData::of(env).snapshot.New({Napi::External<SnapshotPtr>::New(env, &snapshot)});
}

SnapshotPtr SnapshotObject::from(const Napi::Value& value) {
    if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(AddonData::of(value.Env()).snapshot.Value())) {
        throw EngineError(ErrorCode::InvalidArgument, "Expected restore's snapshot to come from save, got " + describe(value) + ".");
    }
    return Unwrap(value.As<Napi::Object>())->open();
}

SnapshotObject::SnapshotObject(const Napi::CallbackInfo& info) : ObjectWrap(info), env_(info.Env()) {
    if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "A Snapshot comes from save");
    snapshot_ = std::move(*info[0].As<Napi::External<SnapshotPtr>>().Data());
    Napi::MemoryManagement::AdjustExternalMemory(env_, size_of(*snapshot_));
}

const SnapshotPtr& SnapshotObject::open() const {
    if (!snapshot_) throw EngineError(ErrorCode::Closed, "The snapshot was closed; save another one.");
    return snapshot_;
}

void SnapshotObject::free() {
    if (!snapshot_) return;
    Napi::MemoryManagement::AdjustExternalMemory(env_, -size_of(*snapshot_));
    snapshot_.reset();
}

Napi::Value SnapshotObject::tokens(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value { return from_tokens(info.Env(), open()->tokens); });
}

Napi::Value SnapshotObject::bytes(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value { return Napi::Number::New(info.Env(), static_cast<double>(size_of(*open()))); });
}

Napi::Value SnapshotObject::close(const Napi::CallbackInfo& info) {
    free();
    return info.Env().Undefined();
}

}  // namespace nmos::binding
