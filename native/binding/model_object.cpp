#include "model_object.h"

#include "addon_data.h"
#include "cancellation_object.h"
#include "engine_object.h"
#include "options.h"
#include "session_object.h"

namespace nmos::binding {

namespace {

constexpr uint64_t longest_context = 1u << 24;
constexpr uint64_t most_bytes = uint64_t{1} << 50;
constexpr uint64_t widest_batch = 1u << 16;

// A prototype can be put on any object, a tag cannot.
constexpr napi_type_tag type_tag = {0x6a1d94c27be05f38, 0xb1e7703f5ad2c846};

// What `create` hands to the constructor.
struct Parts {
    std::shared_ptr<EngineContext> context;
    std::shared_ptr<Model> model;
};

Napi::Value text_or_null(Napi::Env env, const std::optional<std::string>& text) {
    return text ? Napi::Value(Napi::String::New(env, *text)) : env.Null();
}

std::vector<PromptPart> prompt_parts(const Napi::Value& value) {
    const auto refuse = [](const Napi::Value& got) -> EngineError {
        return {ErrorCode::InvalidArgument, "Expected tokenize's parts to be an array of {text, special}, got " + describe(got) + "."};
    };
    if (!value.IsArray()) throw refuse(value);
    const auto array = value.As<Napi::Array>();
    std::vector<PromptPart> parts;
    parts.reserve(array.Length());
    for (uint32_t i = 0; i < array.Length(); ++i) {
        const Napi::Value item = array.Get(i);
        if (!item.IsObject()) throw refuse(item);
        const Options part(item, "tokenize");
        parts.push_back({part.text("text"), part.flag("special", false)});
    }
    return parts;
}

}  // namespace

Napi::Function ModelObject::define(Napi::Env env) {
    return DefineClass(env, "Model",
                       {
                           InstanceAccessor<&ModelObject::info_>("info"),
                           InstanceAccessor<&ModelObject::placement>("placement"),
                           InstanceAccessor<&ModelObject::activity>("activity"),
                           InstanceMethod<&ModelObject::tokenize>("tokenize"),
                           InstanceMethod<&ModelObject::detokenize>("detokenize"),
                           InstanceMethod<&ModelObject::create_session>("createSession"),
                           InstanceMethod<&ModelObject::release>("release"),
                           InstanceMethod<&ModelObject::prefetch>("prefetch"),
                           InstanceMethod<&ModelObject::close>("close"),
                       });
}

Napi::Object ModelObject::create(Napi::Env env, std::shared_ptr<EngineContext> context, std::shared_ptr<Model> model) {
    Parts parts{std::move(context), std::move(model)};
    return AddonData::of(env).model.New({Napi::External<Parts>::New(env, &parts)});
}

std::shared_ptr<Model> ModelObject::from(const Options& options, const char* name) {
    const Napi::Value value = options.value(name);
    if (value.IsUndefined()) return nullptr;
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&type_tag)) options.refuse(name, "a Model of this addon", value);
    return Unwrap(value.As<Napi::Object>())->model_;
}

ModelObject::ModelObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "A Model comes from loadModel");
    info.This().As<Napi::Object>().TypeTag(&type_tag);
    Parts& parts = *info[0].As<Napi::External<Parts>>().Data();
    context_ = std::move(parts.context);
    model_ = std::move(parts.model);
}

Napi::Value ModelObject::info_(const Napi::CallbackInfo& call) {
    const Napi::Env env = call.Env();
    const ModelInfo& info = model_->info();
    const Napi::Object object = Napi::Object::New(env);
    object.Set("path", info.path);
    object.Set("description", info.description);
    object.Set("architecture", info.architecture);
    object.Set("sizeBytes", static_cast<double>(info.size_bytes));
    object.Set("parameters", static_cast<double>(info.parameters));
    object.Set("layers", info.layers);
    object.Set("vocabularySize", info.vocabulary_size);
    object.Set("trainedContextLength", info.trained_context);
    object.Set("chatTemplate", text_or_null(env, info.chat_template));
    const Napi::Object special = Napi::Object::New(env);
    for (const auto& [role, text] : info.special_tokens) special.Set(role, text_or_null(env, text));
    object.Set("specialTokens", special);
    object.Set("addsBos", info.adds_bos);
    object.Set("takesTokensBack", info.takes_tokens_back);
    const Napi::Object metadata = Napi::Object::New(env);
    for (const auto& [key, text] : info.metadata) metadata.Set(key, text);
    object.Set("metadata", metadata);
    return object;
}

Napi::Value ModelObject::placement(const Napi::CallbackInfo& info) {
    return to_js(info.Env(), model_->placement());
}

Napi::Value ModelObject::activity(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const ModelActivity activity = model_->activity();
    const Napi::Object object = Napi::Object::New(env);
    object.Set("passes", static_cast<double>(activity.passes));
    object.Set("lastPass", env.Null());
    if (activity.last_tokens > 0) {
        const Napi::Object pass = Napi::Object::New(env);
        pass.Set("tokens", activity.last_tokens);
        pass.Set("milliseconds", activity.last_seconds * 1000);
        const bool predicted = activity.last_predicted > 0;
        pass.Set("predictedMilliseconds", predicted ? Napi::Value(Napi::Number::New(env, activity.last_predicted * 1000)) : env.Null());
        object.Set("lastPass", pass);
    }
    object.Set("timesAsLong", activity.times_as_long > 0 ? Napi::Value(Napi::Number::New(env, activity.times_as_long)) : env.Null());
    object.Set("releasedBytes", static_cast<double>(activity.released_bytes()));
    const Napi::Array released = Napi::Array::New(env);
    for (const uint64_t bytes : activity.released) released.Set(released.Length(), static_cast<double>(bytes));
    object.Set("releasedOfCards", released);
    object.Set("expertUses", static_cast<double>(activity.expert_uses));
    object.Set("expertHits", static_cast<double>(activity.expert_hits));
    object.Set("uploadedBytes", static_cast<double>(activity.uploads.bytes));
    object.Set("slotHits", static_cast<double>(activity.uploads.hits));
    object.Set("slotMisses", static_cast<double>(activity.uploads.misses));
    object.Set("slotDiscarded", static_cast<double>(activity.uploads.discarded));
    object.Set("waitedMs", activity.uploads.waited * 1000);
    return object;
}

Napi::Value ModelObject::tokenize(const Napi::CallbackInfo& info) {
    using Tokens = std::vector<llama_token>;
    const auto to_array = [](Napi::Env env, Tokens& tokens) -> Napi::Value { return from_tokens(env, tokens); };
    return async<Tokens>(info.Env(), context_, to_array, [&](const Settler<Tokens>& settler) {
        const bool add_bos = info[1].IsUndefined() || Options(info[1], "tokenize").flag("addBos", true);
        auto work = [model = model_, parts = prompt_parts(info[0]), add_bos] { return model->vocabulary().tokenize(parts, add_bos); };
        context_->on_desk(settler, std::move(work));
    });
}

Napi::Value ModelObject::detokenize(const Napi::CallbackInfo& info) {
    const auto to_string = [](Napi::Env env, std::string& text) -> Napi::Value { return Napi::String::New(env, text); };
    return async<std::string>(info.Env(), context_, to_string, [&](const Settler<std::string>& settler) {
        const bool special = !info[1].IsUndefined() && Options(info[1], "detokenize").flag("special", false);
        auto work = [model = model_, tokens = to_tokens(info[0], "detokenize's tokens"), special] {
            return model->vocabulary().detokenize(tokens, special);
        };
        context_->on_desk(settler, std::move(work));
    });
}

Napi::Value ModelObject::create_session(const Napi::CallbackInfo& info) {
    using Created = std::shared_ptr<Session>;
    const auto to_object = [weak = std::weak_ptr(context_)](Napi::Env env, Created& session) -> Napi::Value {
        const auto context = weak.lock();
        if (!context) throw EngineError(ErrorCode::Closed, "The engine was closed.");
        return SessionObject::create(env, context, std::move(session));
    };
    return async<Created>(info.Env(), context_, to_object, [&](const Settler<Created>& settler) {
        const Options options(info[0], "createSession");
        SessionOptions session;
        session.context_length = static_cast<uint32_t>(options.whole("contextLength", 1, longest_context));
        session.batch_size = static_cast<uint32_t>(options.whole_or("batchSize", 1, widest_batch, 0));
        session.drafts_for = from(options, "draftsFor");
        const auto threads = static_cast<int32_t>(options.whole_or("threads", 0, 512, 0));
        auto work = [&engine = context_->engine(), model = model_, session, threads] { return engine.create_session(model, session, threads); };
        context_->on_desk(settler, std::move(work));
    });
}

Napi::Value ModelObject::release(const Napi::CallbackInfo& info) {
    const auto to_number = [](Napi::Env env, uint64_t& bytes) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(bytes)); };
    return async<uint64_t>(info.Env(), context_, to_number, [&](const Settler<uint64_t>& settler) {
        uint64_t bytes = UINT64_MAX;
        std::string device;
        if (!info[0].IsUndefined()) {
            const Options options(info[0], "release");
            bytes = options.whole_or("bytes", 0, most_bytes, UINT64_MAX);
            device = options.optional_text("device").value_or("");
        }
        context_->on_loader(settler, [model = model_, bytes, device] { return model->release(bytes, device); });
    });
}

Napi::Value ModelObject::prefetch(const Napi::CallbackInfo& info) {
    const auto to_number = [](Napi::Env env, uint64_t& bytes) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(bytes)); };
    return async<uint64_t>(info.Env(), context_, to_number, [&](const Settler<uint64_t>& settler) {
        CancellationPtr cancellation;
        uint64_t most = most_bytes;
        std::string device;
        if (!info[0].IsUndefined()) {
            const Options options(info[0], "prefetch");
            cancellation = CancellationObject::from(options);
            most = options.whole_or("bytes", 0, most_bytes, most_bytes);
            device = options.optional_text("device").value_or("");
        }
        if (!cancellation) cancellation = std::make_shared<Cancellation>();
        context_->on_loader(settler, [&engine = context_->engine(), model = model_, cancellation, most, device] {
            return engine.prefetch(*model, cancellation, most, device);
        });
    });
}

Napi::Value ModelObject::close(const Napi::CallbackInfo& info) {
    const auto to_undefined = [](Napi::Env env, bool&) { return env.Undefined(); };
    return async<bool>(info.Env(), context_, to_undefined, [&](const Settler<bool>& settler) {
        auto work = [model = model_] {
            model->close();
            return true;
        };
        // On the desk, where the model is also tokenized with: neither may happen during the other.
        context_->on_desk(settler, std::move(work));
    });
}

}  // namespace nmos::binding
