#include "options.h"

#include <algorithm>
#include <cmath>

#include "runtime/engine_error.h"

namespace nmos::binding {

namespace {

EngineError invalid(const std::string& what, const std::string& expected, const Napi::Value& got) {
    return {ErrorCode::InvalidArgument, "Expected " + what + " to be " + expected + ", got " + describe(got) + "."};
}

}  // namespace

std::string describe(const Napi::Value& value) {
    if (value.IsUndefined()) return "undefined";
    if (value.IsNull()) return "null";
    if (value.IsString()) {
        const std::string text = value.As<Napi::String>();
        return text.size() <= 40 ? "\"" + text + "\"" : "a string of " + std::to_string(text.size()) + " bytes";
    }
    if (value.IsNumber() || value.IsBoolean()) return value.ToString().Utf8Value();
    if (value.IsFunction()) return "a function";
    return value.IsArray() ? "an array" : "an object";
}

std::vector<int32_t> to_tokens(const Napi::Value& value, const std::string& what) {
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
        throw invalid(what, "an Int32Array", value);
    }
    const auto array = value.As<Napi::Int32Array>();
    return {array.Data(), array.Data() + array.ElementLength()};
}

Napi::Int32Array from_tokens(Napi::Env env, const std::vector<int32_t>& tokens) {
    Napi::Int32Array array = Napi::Int32Array::New(env, tokens.size());
    std::copy(tokens.begin(), tokens.end(), array.Data());
    return array;
}

Options::Options(const Napi::Value& value, const char* method) : method_(method) {
    if (!value.IsObject() || value.IsFunction() || value.IsArray()) throw invalid(std::string("the options of ") + method, "an object", value);
    object_ = value.As<Napi::Object>();
}

void Options::refuse(const char* name, const std::string& expected, const Napi::Value& got) const {
    throw invalid(std::string(method_) + "." + name, expected, got);
}

Napi::Value Options::value(const char* name) const {
    return object_.Get(name);
}

bool Options::missing(const char* name) const {
    return value(name).IsUndefined();
}

std::string Options::text(const char* name) const {
    const Napi::Value got = value(name);
    if (!got.IsString()) refuse(name, "a string", got);
    return got.As<Napi::String>();
}

std::optional<std::string> Options::optional_text(const char* name) const {
    return missing(name) ? std::nullopt : std::optional(text(name));
}

std::vector<std::string> Options::texts(const char* name) const {
    if (missing(name)) return {};
    const Napi::Value got = value(name);
    if (!got.IsArray()) refuse(name, "an array of strings", got);
    const auto array = got.As<Napi::Array>();
    std::vector<std::string> texts;
    for (uint32_t i = 0; i < array.Length(); ++i) {
        const Napi::Value item = array.Get(i);
        if (!item.IsString()) refuse(name, "an array of strings", item);
        texts.push_back(item.As<Napi::String>());
    }
    return texts;
}

double Options::number(const char* name, double absent) const {
    if (missing(name)) return absent;
    const Napi::Value got = value(name);
    if (!got.IsNumber() || !std::isfinite(got.As<Napi::Number>().DoubleValue())) refuse(name, "a finite number", got);
    return got.As<Napi::Number>().DoubleValue();
}

uint64_t Options::whole(const char* name, uint64_t least, uint64_t most) const {
    const Napi::Value got = value(name);
    const double number = got.IsNumber() ? got.As<Napi::Number>().DoubleValue() : NAN;
    if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most)) || std::floor(number) != number) {
        refuse(name, "a whole number from " + std::to_string(least) + " to " + std::to_string(most), got);
    }
    return static_cast<uint64_t>(number);
}

uint64_t Options::whole_or(const char* name, uint64_t least, uint64_t most, uint64_t absent) const {
    return missing(name) ? absent : whole(name, least, most);
}

bool Options::flag(const char* name, bool absent) const {
    if (missing(name)) return absent;
    const Napi::Value got = value(name);
    if (!got.IsBoolean()) refuse(name, "true or false", got);
    return got.As<Napi::Boolean>();
}

std::string Options::choice(const char* name, std::initializer_list<const char*> choices) const {
    if (missing(name)) return *choices.begin();
    const Napi::Value got = value(name);
    std::string listed;
    for (const char* one : choices) {
        if (got.IsString() && got.As<Napi::String>().Utf8Value() == one) return one;
        listed += (listed.empty() ? "\"" : ", \"") + std::string(one) + "\"";
    }
    refuse(name, "one of " + listed, got);
}

std::vector<int32_t> Options::tokens(const char* name) const {
    return to_tokens(value(name), std::string(method_) + "." + name);
}

std::optional<Napi::Function> Options::function(const char* name) const {
    if (missing(name)) return std::nullopt;
    const Napi::Value got = value(name);
    if (!got.IsFunction()) refuse(name, "a function", got);
    return got.As<Napi::Function>();
}

}  // namespace nmos::binding
