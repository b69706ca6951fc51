#include "engine_object.h"

#include <llama.h>

#include "addon_data.h"
#include "cancellation_object.h"
#include "model_object.h"
#include "options.h"
#include "platform/os.h"
#include "runtime/model_divergence.h"
#include "runtime/quantise.h"

namespace nmos::binding {

namespace {

constexpr uint64_t longest_context = 1u << 24;
constexpr uint64_t most_bytes = uint64_t{1} << 50;
constexpr uint64_t most_threads = 1024;

const char* name_of(DeviceKind kind) {
    switch (kind) {
        case DeviceKind::Cpu: return "cpu";
        case DeviceKind::Gpu: return "gpu";
        case DeviceKind::Integrated: return "integrated";
    }
    return "cpu";
}

std::vector<BackendPack> backend_packs(const Options& options) {
    const Napi::Value got = options.value("packs");
    if (got.IsUndefined()) return {};
    if (!got.IsArray()) options.refuse("packs", "an array", got);
    std::vector<BackendPack> packs;
    const auto array = got.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); ++i) {
        const Options pack(array.Get(i), "Engine.packs");
        packs.push_back({pack.text("backend"), pack.texts("libraries")});
    }
    return packs;
}

std::map<std::string, uint64_t> bytes_of_cards(const Options& options, const char* name) {
    const Napi::Value got = options.value(name);
    std::map<std::string, uint64_t> bytes;
    if (got.IsUndefined()) return bytes;
    if (!got.IsObject() || got.IsArray()) options.refuse(name, "an object of bytes by the name of a device", got);
    const Options by_name(got, name);
    const Napi::Array names = got.As<Napi::Object>().GetPropertyNames();
    for (uint32_t i = 0; i < names.Length(); ++i) {
        const std::string device = names.Get(i).ToString();
        bytes[device] = by_name.whole(device.c_str(), 0, most_bytes);
    }
    return bytes;
}

// None: the planner chooses.
std::optional<KvType> kv_type(const Options& options) {
    const std::string type = options.choice("kvCacheType", {"f16", "q8_0", "auto"});
    if (type == "auto") return std::nullopt;
    return type == "q8_0" ? KvType::Q8_0 : KvType::F16;
}

PlanOptions plan_options(const Options& options) {
    PlanOptions plan;
    plan.path = options.text("path");
    plan.context_length = static_cast<uint32_t>(options.whole("contextLength", 1, longest_context));
    plan.vram_limit = options.whole_or("vramLimitBytes", 0, most_bytes, 0);
    plan.vram_used = bytes_of_cards(options, "vramUsedBytes");
    plan.vram_granted = bytes_of_cards(options, "vramGrantedBytes");
    plan.vram_reserved = options.whole_or("vramReservedBytes", 0, most_bytes, 0);
    plan.kv_type = kv_type(options);
    plan.exact_passes = options.flag("exactPasses", false);
    plan.threads = static_cast<int32_t>(options.whole_or("threads", 0, INT32_MAX, 0));
    plan.use_gpu = options.choice("gpu", {"auto", "off"}) == "auto";
    return plan;
}

Napi::Object layer_to_js(Napi::Env env, const Placement& placement, uint32_t layer) {
    const bool whole = layer + placement.device_layers >= placement.layers;
    const NetworkCut cut = placement.units ? placement.units->layers[layer].network : NetworkCut{1, whole ? 1u : 0u};
    const auto share = [&](uint32_t pieces) { return cut.pieces > 0 ? static_cast<double>(pieces) / cut.pieces : 0.0; };
    const Napi::Object network = Napi::Object::New(env);
    network.Set("device", share(cut.resident));
    network.Set("uploaded", share(cut.streamed));
    network.Set("host", share(cut.early + cut.rest()));
    const Napi::Object object = Napi::Object::New(env);
    object.Set("attentionOnDevice", placement.units ? placement.units->layers[layer].on_card : whole);
    const auto card = std::ranges::find_if(placement.cards, [&](const PlacedCard& of) { return of.has(layer); });
    object.Set("card", card != placement.cards.end() ? Napi::Value(Napi::String::New(env, card->device)) : env.Null());
    object.Set("network", network);
    return object;
}

Napi::Object card_to_js(Napi::Env env, const PlacedCard& card) {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("device", card.device);
    object.Set("firstLayer", card.first_layer);
    object.Set("layers", card.layers);
    object.Set("bytes", static_cast<double>(card.bytes));
    object.Set("kvBytes", static_cast<double>(card.kv_bytes));
    object.Set("slots", card.slots);
    object.Set("slotBytes", static_cast<double>(card.slot_bytes));
    return object;
}

const char* name_of(Shortfall::Unit unit) {
    switch (unit) {
        case Shortfall::Unit::Layer: return "layer";
        case Shortfall::Unit::Attention: return "attention";
        case Shortfall::Unit::Network: return "network";
        case Shortfall::Unit::Expert: return "expert";
    }
    return "layer";
}

const char* name_of(Shortfall::Limit limit) {
    switch (limit) {
        case Shortfall::Limit::Card: return "card";
        case Shortfall::Limit::Setting: return "setting";
        case Shortfall::Limit::OtherModel: return "otherModel";
        case Shortfall::Limit::Speed: return "speed";
    }
    return "card";
}

Napi::Value shortfall_to_js(Napi::Env env, const std::optional<Shortfall>& shortfall) {
    if (!shortfall) return env.Null();
    const Napi::Object object = Napi::Object::New(env);
    object.Set("device", shortfall->device);
    object.Set("unit", name_of(shortfall->unit));
    object.Set("limit", name_of(shortfall->limit));
    object.Set("neededBytes", static_cast<double>(shortfall->bytes_needed));
    object.Set("freeBytes", static_cast<double>(shortfall->bytes_free));
    return object;
}

}  // namespace

Napi::Object to_js(Napi::Env env, const Placement& placement) {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("layers", placement.layers);
    object.Set("deviceLayers", placement.device_layers);
    const Napi::Array cards = Napi::Array::New(env);
    for (const PlacedCard& card : placement.cards) cards.Set(cards.Length(), card_to_js(env, card));
    object.Set("cards", cards);
    object.Set("hostBytes", static_cast<double>(placement.host_bytes));
    object.Set("deviceBytes", static_cast<double>(placement.device_bytes));
    object.Set("kvBytes", static_cast<double>(placement.kv_bytes));
    object.Set("kvCacheType", placement.kv_type == KvType::Q8_0 ? "q8_0" : "f16");
    object.Set("exactPasses", placement.exact_passes);
    object.Set("contextLength", placement.context_length);
    object.Set("shortfall", shortfall_to_js(env, placement.shortfall));
    const Napi::Array sentences = Napi::Array::New(env);
    for (const std::string& sentence : placement.explanation) sentences.Set(sentences.Length(), sentence);
    object.Set("explanation", sentences);
    object.Set("outputOnDevice", placement.output_on_device);
    const Napi::Array layers = Napi::Array::New(env, placement.layers);
    for (uint32_t i = 0; i < placement.layers; ++i) layers.Set(i, layer_to_js(env, placement, i));
    object.Set("layerMap", layers);
    const Napi::Array passes = Napi::Array::New(env);
    for (const PassPrediction& prediction : placement.predictions) {
        const Napi::Object pass = Napi::Object::New(env);
        pass.Set("tokens", prediction.width);
        pass.Set("milliseconds", prediction.seconds * 1000);
        passes.Set(passes.Length(), pass);
    }
    object.Set("predictedPasses", passes);
    return object;
}

Napi::Function EngineObject::define(Napi::Env env) {
    return DefineClass(env, "Engine",
                       {
                           InstanceAccessor<&EngineObject::library_version>("libraryVersion"),
                           InstanceMethod<&EngineObject::devices>("devices"),
                           InstanceMethod<&EngineObject::backends>("backends"),
                           InstanceMethod<&EngineObject::memory>("memory"),
                           InstanceMethod<&EngineObject::saves_energy>("savesEnergy"),
                           InstanceMethod<&EngineObject::load_model>("loadModel"),
                           InstanceMethod<&EngineObject::plan_model>("planModel"),
                           InstanceMethod<&EngineObject::summarise_weights>("summariseWeights"),
                           InstanceMethod<&EngineObject::predict_quantised_bytes>("predictQuantisedBytes"),
                           InstanceMethod<&EngineObject::quantise>("quantise"),
                           InstanceMethod<&EngineObject::compare_models>("compareModels"),
                           InstanceMethod<&EngineObject::close>("close"),
                       });
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    guarded(info.Env(), [&] {
        const Options options(info[0], "Engine");
        const auto main = std::make_shared<MainThread>(info.Env());
        const auto log = options.function("onLog");
        const bool cpu_only = options.choice("backends", {"all", "cpu"}) == "cpu";
        context_ = std::make_shared<EngineContext>(info.Env(), options.text("libraryDirectory"), cpu_only, options.optional_text("cacheDirectory").value_or(""),
                                                   backend_packs(options), options.texts("leftOut"), log ? hold_callback(main, *log) : nullptr, main, AddonData::of(info.Env()).engines);
        return info.Env().Undefined();
    });
}

Napi::Value EngineObject::library_version(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), llama_version());
}

Napi::Value EngineObject::devices(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
        context_->engine();
        const Napi::Array array = Napi::Array::New(info.Env());
        for (const Device& device : list_devices()) {
            const Napi::Object object = Napi::Object::New(info.Env());
            object.Set("name", device.name);
            object.Set("description", device.description);
            object.Set("kind", name_of(device.kind));
            object.Set("memoryTotal", static_cast<double>(device.memory_total));
            object.Set("memoryFree", static_cast<double>(device.memory_free));
            object.Set("memoryBeyond", static_cast<double>(device.memory_beyond));
            array.Set(array.Length(), object);
        }
        return array;
    });
}

Napi::Value EngineObject::backends(const Napi::CallbackInfo& info) {
    const Napi::Array array = Napi::Array::New(info.Env());
    for (const BackendState& state : backend_states()) {
        const Napi::Object object = Napi::Object::New(info.Env());
        object.Set("name", state.name);
        object.Set("usable", state.usable);
        object.Set("reason", state.reason);
        array.Set(array.Length(), object);
    }
    return array;
}

Napi::Value EngineObject::memory(const Napi::CallbackInfo& info) {
    const os::Memory memory = os::memory();
    const Napi::Object object = Napi::Object::New(info.Env());
    object.Set("totalBytes", static_cast<double>(memory.total));
    object.Set("availableBytes", static_cast<double>(memory.available));
    object.Set("processBytes", static_cast<double>(memory.process));
    return object;
}

Napi::Value EngineObject::saves_energy(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value { return Napi::Boolean::New(info.Env(), os::saves_energy()); });
}

Napi::Value EngineObject::load_model(const Napi::CallbackInfo& info) {
    using Loaded = std::shared_ptr<Model>;
    const auto to_object = [weak = std::weak_ptr(context_)](Napi::Env env, Loaded& model) -> Napi::Value {
        if (!model) return env.Null();
        const auto context = weak.lock();
        if (!context) throw EngineError(ErrorCode::Closed, "The engine was closed.");
        return ModelObject::create(env, context, std::move(model));
    };
    return async<Loaded>(info.Env(), context_, to_object, [&](const Settler<Loaded>& settler) {
        const Options options(info[0], "loadModel");
        LoadOptions load;
        load.plan = plan_options(options);
        load.cancellation = CancellationObject::from(options);
        if (const auto function = options.function("onProgress")) {
            load.on_progress = [callback = hold_callback(context_->main(), *function), main = context_->main()](float fraction) {
                main->post([callback, fraction](Napi::Env env) { callback->Call({Napi::Number::New(env, fraction)}); });
            };
        }
        context_->on_loader(settler, [&engine = context_->engine(), load] { return engine.load(load); });
    });
}

Napi::Value EngineObject::plan_model(const Napi::CallbackInfo& info) {
    const auto to_object = [](Napi::Env env, Placement& placement) -> Napi::Value { return to_js(env, placement); };
    return async<Placement>(info.Env(), context_, to_object, [&](const Settler<Placement>& settler) {
        const Options given(info[0], "planModel");
        const PlanOptions options = plan_options(given);
        if (given.flag("forecast", false)) {
            context_->on_loader(settler, [&engine = context_->engine(), options] { return engine.forecast(options); });
        } else {
            context_->on_desk(settler, [&engine = context_->engine(), options] { return engine.plan(options); });
        }
    });
}

Napi::Value EngineObject::summarise_weights(const Napi::CallbackInfo& info) {
    const auto to_object = [](Napi::Env env, WeightSummary& summary) -> Napi::Value {
        const Napi::Object object = Napi::Object::New(env);
        object.Set("type", summary.type);
        object.Set("typeShare", summary.type_share);
        object.Set("lowPrecision", summary.low_precision);
        object.Set("fileBytes", static_cast<double>(summary.file_bytes));
        return object;
    };
    return async<WeightSummary>(info.Env(), context_, to_object, [&](const Settler<WeightSummary>& settler) {
        const Options options(info[0], "summariseWeights");
        context_->on_loader(settler, [path = options.text("path")] { return nmos::summarise_weights(path); });
    });
}

Napi::Value EngineObject::predict_quantised_bytes(const Napi::CallbackInfo& info) {
    const auto to_number = [](Napi::Env env, uint64_t& bytes) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(bytes)); };
    return async<uint64_t>(info.Env(), context_, to_number, [&](const Settler<uint64_t>& settler) {
        const Options options(info[0], "predictQuantisedBytes");
        context_->on_loader(settler, [path = options.text("path"), type = options.text("type")] { return nmos::predict_quantised_bytes(path, type); });
    });
}

Napi::Value EngineObject::quantise(const Napi::CallbackInfo& info) {
    const auto to_undefined = [](Napi::Env env, bool&) { return env.Undefined(); };
    return async<bool>(info.Env(), context_, to_undefined, [&](const Settler<bool>& settler) {
        const Options given(info[0], "quantise");
        QuantiseOptions options;
        options.source = given.text("source");
        options.target = given.text("target");
        options.type = given.text("type");
        options.from_low_precision = given.flag("fromLowPrecision", false);
        options.threads = static_cast<int32_t>(given.whole("threads", 1, most_threads));
        context_->on_loader(settler, [options] {
            nmos::quantise(options);
            return true;
        });
    });
}

Napi::Value EngineObject::compare_models(const Napi::CallbackInfo& info) {
    const auto to_object = [](Napi::Env env, Divergence& divergence) -> Napi::Value {
        const auto or_null = [env](const std::optional<double>& value) -> Napi::Value { return value ? Napi::Number::New(env, *value) : env.Null(); };
        const Napi::Object object = Napi::Object::New(env);
        object.Set("tokens", divergence.tokens);
        object.Set("surprise", divergence.surprise);
        object.Set("meanKl", or_null(divergence.mean_kl));
        object.Set("sameTop", or_null(divergence.same_top));
        return object;
    };
    return async<Divergence>(info.Env(), context_, to_object, [&](const Settler<Divergence>& settler) {
        const Options options(info[0], "compareModels");
        const auto threads = static_cast<int32_t>(options.whole("threads", 1, most_threads));
        context_->on_loader(settler, [judged = options.text("judged"), reference = options.optional_text("reference"), text = options.text("text"), threads] {
            return nmos::compare_models(judged, reference, text, threads);
        });
    });
}

Napi::Value EngineObject::close(const Napi::CallbackInfo& info) {
    return context_->close(info.Env());
}

}  // namespace nmos::binding
