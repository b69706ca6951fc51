// What the tests of the core are written with: TEST declares one, the expect functions end it with a Failure that
// names the line. A table of cases calls them through a function of its own, which takes a Location as last argument
// and hands it on, so that the line named is the line of the case.
#pragma once

#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/engine_error.h"

namespace nmos::testing {

struct Location {
    const char* file;
    int line;

    // std::source_location, which not every compiler we support has.
    static constexpr Location here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

class Failure : public std::runtime_error {
  public:
    Failure(Location at, const std::string& message)
        : std::runtime_error(std::string(at.file) + ":" + std::to_string(at.line) + ": " + message) {}
};

struct Test {
    std::string name;  // "area: what it shows"
    std::function<void()> run;
};

std::vector<Test>& all_tests();
bool add_test(std::string area, std::string what, std::function<void()> run);

// Values in messages: text is quoted, with every byte outside of printable ASCII as \xNN.
inline std::string show(std::string_view text) {
    std::ostringstream shown;
    shown << '"' << std::hex;
    for (const char letter : text) {
        const auto byte = static_cast<unsigned char>(letter);
        if (byte >= 0x20 && byte < 0x7F) shown << letter;
        else shown << "\\x" << (byte >> 4) << (byte & 15);
    }
    shown << '"';
    return shown.str();
}
inline std::string show(const std::string& text) { return show(std::string_view(text)); }
inline std::string show(const char* text) { return show(std::string_view(text)); }
inline std::string show(bool value) { return value ? "true" : "false"; }
inline std::string show(ErrorCode code) { return std::string(name_of(code)); }
template <typename T>
    requires std::is_arithmetic_v<T>
std::string show(T value) {
    return std::to_string(value);
}
template <typename T>
    requires(std::is_enum_v<T>)
std::string show(T value) {
    return std::to_string(static_cast<int>(value));
}
template <typename T> std::string show(const std::vector<T>& values) {
    std::string shown = "[";
    for (const T& value : values) shown += (shown.size() > 1 ? ", " : "") + show(value);
    return shown + "]";
}

inline void expect(bool condition, const std::string& what, Location at = Location::here()) {
    if (!condition) throw Failure(at, "expected " + what);
}

template <typename A, typename B> void expect_equal(const A& actual, const B& expected, Location at = Location::here()) {
    if (!(actual == expected)) throw Failure(at, "expected " + show(expected) + ", got " + show(actual));
}

// `action` must throw an EngineError with this code whose message contains `part`.
template <typename Action> void expect_error(ErrorCode code, std::string_view part, Action action, Location at = Location::here()) {
    try {
        action();
    } catch (const EngineError& error) {
        if (error.code() != code) throw Failure(at, "expected " + show(code) + ", got " + show(error.code()) + ": " + error.what());
        if (std::string_view(error.what()).find(part) == std::string_view::npos) {
            throw Failure(at, "expected a message with " + show(part) + ", got " + show(error.what()));
        }
        return;
    }
    throw Failure(at, "expected " + show(code) + ", but nothing was thrown");
}

}  // namespace nmos::testing

#define NMOS_TEST_CONCAT_(a, b) a##b
#define NMOS_TEST_CONCAT(a, b) NMOS_TEST_CONCAT_(a, b)

// CMakeLists.txt finds the tests by this word at the beginning of a line.
#define TEST(area, what)                                                                                          \
    static void NMOS_TEST_CONCAT(test_, __LINE__)();                                                              \
    [[maybe_unused]] static const bool NMOS_TEST_CONCAT(added_, __LINE__) =                                       \
        nmos::testing::add_test(#area, what, &NMOS_TEST_CONCAT(test_, __LINE__));                                 \
    static void NMOS_TEST_CONCAT(test_, __LINE__)()
