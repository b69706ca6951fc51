#include "session_object.h"

#include <cmath>
#include <limits>

#include "addon_data.h"
#include "cancellation_object.h"
#include "options.h"
#include "snapshot_object.h"

namespace nmos::binding {

namespace {

constexpr uint64_t most_tokens = 1u << 24;

// A prototype can be put on any object, a tag cannot.
constexpr napi_type_tag type_tag = {0x2f8b06d9417ce35a, 0x94c5e8a16b70d23f};

// What `create` hands to the constructor.
struct Parts {
    std::shared_ptr<EngineContext> context;
    std::shared_ptr<Session> session;
};

const char* name_of(Finish finish) {
    switch (finish) {
        case Finish::Stop: return "stop";
        case Finish::Length: return "length";
        case Finish::Cancelled: return "cancelled";
    }
    return "stop";
}

Priority priority_from(const Options& options) {
    const std::string name = options.choice("priority", {"chat", "suggest", "warm"});
    return name == "suggest" ? Priority::Suggest : name == "warm" ? Priority::Warm : Priority::Chat;
}

GenerationRequest request_from(const Options& options) {
    GenerationRequest request;
    request.prompt = options.tokens("tokens");
    request.priority = priority_from(options);
    request.cancellation = CancellationObject::from(options);
    return request;
}

std::vector<llama_logit_bias> logit_bias_from(const Options& sampler) {
    constexpr const char* name = "logitBias";
    const Napi::Value given = sampler.value(name);
    if (given.IsUndefined()) return {};
    if (!given.IsArray()) sampler.refuse(name, "an array of objects", given);
    const auto array = given.As<Napi::Array>();
    std::vector<llama_logit_bias> biases;
    for (uint32_t i = 0; i < array.Length(); ++i) {
        const Options one(array.Get(i), "generate.sampler.logitBias");
        const Napi::Value bias = one.value("bias");
        const bool is_never = bias.IsString() && bias.As<Napi::String>().Utf8Value() == "never";
        // What is too small for a float would become the bias of what never comes.
        const bool is_number = bias.IsNumber() && std::abs(bias.As<Napi::Number>().DoubleValue()) <= std::numeric_limits<float>::max();
        if (!is_never && !is_number) one.refuse("bias", "a number of single precision or \"never\"", bias);
        const auto token = static_cast<llama_token>(one.whole("token", 0, INT32_MAX));
        biases.push_back({token, is_never ? ruled_out : bias.As<Napi::Number>().FloatValue()});
    }
    return biases;
}

SamplerOptions sampler_from(const Napi::Value& value) {
    SamplerOptions sampler;
    if (value.IsUndefined()) return sampler;
    const Options options(value, "generate.sampler");
    constexpr uint64_t most = INT32_MAX;
    sampler.temperature = static_cast<float>(options.number("temperature", sampler.temperature));
    sampler.top_k = static_cast<int32_t>(options.whole_or("topK", 0, most, 0));
    sampler.top_p = static_cast<float>(options.number("topP", sampler.top_p));
    sampler.min_p = static_cast<float>(options.number("minP", sampler.min_p));
    sampler.repeat_penalty = static_cast<float>(options.number("repeatPenalty", sampler.repeat_penalty));
    sampler.repeat_last_n = static_cast<int32_t>(options.whole_or("repeatLastN", 0, most, static_cast<uint64_t>(sampler.repeat_last_n)));
    sampler.seed = static_cast<uint32_t>(options.whole_or("seed", 0, UINT32_MAX, 0));
    sampler.grammar = options.optional_text("grammar").value_or("");
    sampler.logit_bias = logit_bias_from(options);
    return sampler;
}

Napi::Object prefill_result(Napi::Env env, const GenerationResult& result) {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("promptTokens", result.prompt_tokens);
    object.Set("reusedTokens", result.reused_tokens);
    object.Set("computedTokens", result.computed_tokens);
    object.Set("queuedMs", result.queued_ms);
    object.Set("prefillMs", result.prefill_ms);
    object.Set("computeMs", result.compute_ms);
    object.Set("cancelled", result.finish == Finish::Cancelled);
    return object;
}

Napi::Value confidence(Napi::Env env, const Confidence& confidence) {
    if (confidence.tokens == 0) return env.Null();
    const Napi::Object object = Napi::Object::New(env);
    object.Set("tokens", confidence.tokens);
    object.Set("mean", confidence.mean);
    object.Set("least", confidence.least);
    return object;
}

Napi::Object generate_result(Napi::Env env, const GenerationResult& result) {
    const Napi::Object object = prefill_result(env, result);
    object.Set("text", result.text);
    object.Set("tokens", from_tokens(env, result.tokens));
    object.Set("finish", name_of(result.finish));
    object.Set("decodeMs", result.decode_ms);
    object.Set("decodePasses", result.decode_passes);
    object.Set("draftedTokens", result.speculation.drafted_tokens);
    object.Set("acceptedTokens", result.speculation.accepted_tokens);
    object.Set("draftModelTokens", result.speculation.model_drafted_tokens);
    object.Set("acceptedDraftModelTokens", result.speculation.model_accepted_tokens);
    object.Set("draftModelPasses", result.speculation.draft_passes);
    object.Set("savedMs", result.saved_ms);
    object.Set("confidence", confidence(env, result.confidence));
    return object;
}

template <typename Result> auto settle_by(const Settler<Result>& settler) {
    return [settler](std::variant<Result, std::exception_ptr> outcome) {
        if (const auto failure = std::get_if<std::exception_ptr>(&outcome)) settler.reject(*failure);
        else settler.resolve(std::move(std::get<Result>(outcome)));
    };
}

}  // namespace

Napi::Function SessionObject::define(Napi::Env env) {
    return DefineClass(env, "Session",
                       {
                           InstanceAccessor<&SessionObject::context_length>("contextLength"),
                           InstanceMethod<&SessionObject::cached_tokens>("cachedTokens"),
                           InstanceMethod<&SessionObject::prefill>("prefill"),
                           InstanceMethod<&SessionObject::generate>("generate"),
                           InstanceMethod<&SessionObject::save>("save"),
                           InstanceMethod<&SessionObject::restore>("restore"),
                           InstanceMethod<&SessionObject::close>("close"),
                       });
}

Napi::Object SessionObject::create(Napi::Env env, std::shared_ptr<EngineContext> context, std::shared_ptr<Session> session) {
    Parts parts{std::move(context), std::move(session)};
    return AddonData::of(env).session.New({Napi::External<Parts>::New(env, &parts)});
}

std::shared_ptr<Session> SessionObject::from(const Options& options, const char* name) {
    const Napi::Value value = options.value(name);
    if (value.IsUndefined()) return nullptr;
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&type_tag)) options.refuse(name, "a Session of this addon", value);
    return Unwrap(value.As<Napi::Object>())->session_;
}

SessionObject::SessionObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "A Session comes from createSession");
    info.This().As<Napi::Object>().TypeTag(&type_tag);
    Parts& parts = *info[0].As<Napi::External<Parts>>().Data();
    context_ = std::move(parts.context);
    session_ = std::move(parts.session);
}

Napi::Value SessionObject::context_length(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), session_->context_length());
}

Napi::Value SessionObject::cached_tokens(const Napi::CallbackInfo& info) {
    return from_tokens(info.Env(), session_->cached_tokens());
}

Napi::Value SessionObject::prefill(const Napi::CallbackInfo& info) {
    const auto to_object = [](Napi::Env env, GenerationResult& result) -> Napi::Value { return prefill_result(env, result); };
    return async<GenerationResult>(info.Env(), context_, to_object, [&](const Settler<GenerationResult>& settler) {
        context_->engine().submit(session_, request_from(Options(info[0], "prefill")), nullptr, settle_by(settler));
    });
}

Napi::Value SessionObject::generate(const Napi::CallbackInfo& info) {
    const auto to_object = [](Napi::Env env, GenerationResult& result) -> Napi::Value { return generate_result(env, result); };
    return async<GenerationResult>(info.Env(), context_, to_object, [&](const Settler<GenerationResult>& settler) {
        const Options options(info[0], "generate");
        GenerationRequest request = request_from(options);
        DecodeOptions decode;
        decode.max_tokens = static_cast<uint32_t>(options.whole("maxTokens", 1, most_tokens));
        decode.sampler = sampler_from(options.value("sampler"));
        decode.stop = options.texts("stop");
        decode.begin_with = options.optional_text("beginWith").value_or("");
        const std::string speculation = options.choice("speculation", {"auto", "exact", "off"});
        decode.speculate = speculation == "auto" ? Speculate::Auto : speculation == "exact" ? Speculate::Exact : Speculate::Off;
        if (!options.value("draftTokens").IsUndefined()) decode.draft_tokens = options.tokens("draftTokens");
        decode.draft = from(options, "draft");
        decode.rate = options.flag("rate", false);
        request.decode = std::move(decode);
        Generation::OnText on_text;
        if (info[1].IsFunction()) {
            on_text = [callback = hold_callback(context_->main(), info[1].As<Napi::Function>()), main = context_->main()](std::string text) {
                main->post([callback, text = std::move(text)](Napi::Env env) { callback->Call({Napi::String::New(env, text)}); });
            };
        }
        context_->engine().submit(session_, std::move(request), std::move(on_text), settle_by(settler));
    });
}

Napi::Value SessionObject::save(const Napi::CallbackInfo& info) {
    const auto to_object = [](Napi::Env env, SnapshotPtr& snapshot) -> Napi::Value {
        return snapshot ? Napi::Value(SnapshotObject::create(env, std::move(snapshot))) : env.Null();
    };
    return async<SnapshotPtr>(info.Env(), context_, to_object, [&](const Settler<SnapshotPtr>& settler) {
        context_->engine().copy_cache(session_, nullptr, priority_from(Options(info[0], "save")), settle_by(settler));
    });
}

Napi::Value SessionObject::restore(const Napi::CallbackInfo& info) {
    const auto to_undefined = [](Napi::Env env, SnapshotPtr&) { return env.Undefined(); };
    return async<SnapshotPtr>(info.Env(), context_, to_undefined, [&](const Settler<SnapshotPtr>& settler) {
        context_->engine().copy_cache(session_, SnapshotObject::from(info[0]), priority_from(Options(info[1], "restore")), settle_by(settler));
    });
}

Napi::Value SessionObject::close(const Napi::CallbackInfo& info) {
    const auto to_undefined = [](Napi::Env env, bool&) { return env.Undefined(); };
    return async<bool>(info.Env(), context_, to_undefined, [&](const Settler<bool>& settler) {
        auto work = [session = session_] {
            session->close();
            return true;
        };
        context_->on_desk(settler, std::move(work));
    });
}

}  // namespace nmos::binding
