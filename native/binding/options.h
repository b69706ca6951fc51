// Reads an options object and says exactly what is wrong with it: what was expected and what came.
// Main thread only. Everything throws INVALID_ARGUMENT.
#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nmos::binding {

class Options {
  public:
    // `method` is named in errors, such as "loadModel".
    Options(const Napi::Value& value, const char* method);

    std::string text(const char* name) const;
    std::optional<std::string> optional_text(const char* name) const;
    std::vector<std::string> texts(const char* name) const;
    double number(const char* name, double missing) const;
    // A whole number from `least` to `most`.
    uint64_t whole(const char* name, uint64_t least, uint64_t most) const;
    uint64_t whole_or(const char* name, uint64_t least, uint64_t most, uint64_t missing) const;
    bool flag(const char* name, bool missing) const;
    // One of `choices`; the first when missing.
    std::string choice(const char* name, std::initializer_list<const char*> choices) const;
    std::vector<int32_t> tokens(const char* name) const;
    std::optional<Napi::Function> function(const char* name) const;
    // Undefined when missing.
    Napi::Value value(const char* name) const;

    [[noreturn]] void refuse(const char* name, const std::string& expected, const Napi::Value& got) const;

  private:
    bool missing(const char* name) const;

    Napi::Object object_;
    const char* method_;
};

// `Int32Array` to tokens; `what` is named in errors.
std::vector<int32_t> to_tokens(const Napi::Value& value, const std::string& what);
Napi::Int32Array from_tokens(Napi::Env env, const std::vector<int32_t>& tokens);
// How a value is shown in an error: its type, and its value when it is short.
std::string describe(const Napi::Value& value);

}  // namespace nmos::binding
