// nmos_core_tests [NAME | AREA]...: runs the tests with these names or of these areas, all without arguments.
#include <algorithm>
#include <cstdio>
#include <exception>

#include "check.h"

namespace nmos::testing {

std::vector<Test>& all_tests() {
    static std::vector<Test> tests;
    return tests;
}

bool add_test(std::string area, std::string what, std::function<void()> run) {
    all_tests().push_back({std::move(area) + ": " + std::move(what), std::move(run)});
    return true;
}

namespace {

bool is_wanted(const Test& test, const std::vector<std::string>& names) {
    return names.empty() ||
           std::ranges::any_of(names, [&](const std::string& name) { return test.name == name || test.name.starts_with(name + ": "); });
}

bool passes(const Test& test) {
    try {
        test.run();
        std::printf("ok      %s\n", test.name.c_str());
        return true;
    } catch (const std::exception& failure) {
        std::printf("FAILED  %s\n        %s\n", test.name.c_str(), failure.what());
        return false;
    }
}

int run(const std::vector<std::string>& names) {
    int done = 0;
    int failed = 0;
    for (const Test& test : all_tests()) {
        if (!is_wanted(test, names)) continue;
        ++done;
        if (!passes(test)) ++failed;
        std::fflush(stdout);
    }
    std::printf("%d passed, %d failed\n", done - failed, failed);
    return done == 0 || failed > 0 ? 1 : 0;
}

}  // namespace

}  // namespace nmos::testing

int main(int argc, char** argv) {
    return nmos::testing::run({argv + 1, argv + argc});
}
