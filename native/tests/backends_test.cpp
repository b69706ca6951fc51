#include "runtime/backends.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "check.h"
#include "gguf_file.h"
#include "runtime/same_card.h"
#include "small_model.h"

using namespace nmos;
using namespace nmos::testing;

namespace {

std::vector<BackendState> new_states(size_t before) {
    auto states = backend_states();
    states.erase(states.begin(), states.begin() + static_cast<std::ptrdiff_t>(before));
    return states;
}

void check_repeated(const std::vector<CardIdentity>& cards, const std::vector<bool>& expected, Location at = Location::here()) {
    const std::vector<bool> repeated = repeated_cards(cards);
    for (size_t i = 0; i < cards.size(); ++i) {
        expect(repeated[i] == expected[i], "device " + std::to_string(i) + (expected[i] ? " to be left out" : " to stay"), at);
    }
}

#if defined(_WIN32)
constexpr const char* broken_backend = "ggml-broken.dll";
#else
constexpr const char* broken_backend = "libggml-broken.so";
#endif

const CardIdentity cpu{"CPU", "", "GTX 1650", false};
const CardIdentity cuda{"CUDA", "0000:01:00.0", "GTX 1650"};
const CardIdentity vulkan{"Vulkan", "0000:01:00.0", "GTX 1650"};

}  // namespace

TEST(backends, "a pack whose backend is no library is left out with a reason, and the engine goes on") {
    const TemporaryFile text("this is no library");
    const size_t before = backend_states().size();
    load_backends(library_directory(), false, {{text.path(), {}}});
    const auto states = new_states(before);
    expect(!states.empty() && !states[0].usable && !states[0].reason.empty(), "the reason");
    expect(list_devices()[0].kind == DeviceKind::Cpu, "the processor");
}

TEST(backends, "a pack that lacks a library is left out, too") {
    const TemporaryFile text("x");
    const size_t before = backend_states().size();
    load_backends(library_directory(), false, {{text.path(), {"/no/such/library.so"}}});
    expect(new_states(before)[0].reason.find("library.so") != std::string::npos, "the name of what is missing");
    // Trying it again says nothing new.
    const size_t tried = backend_states().size();
    load_backends(library_directory(), false, {{text.path(), {}}});
    expect_equal(backend_states().size(), tried);
}

TEST(backends, "a backend of the folder is not touched when it is named among those to leave out") {
    load_backends(library_directory(), true);
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.path());
    const std::filesystem::path file = std::filesystem::path(folder.path()) / broken_backend;
    std::ofstream(file) << "this is no library";
    const size_t before = backend_states().size();
    load_backends(folder.path(), false, {}, {"other", "broken"});
    expect_equal(backend_states().size(), before);
    load_backends(folder.path(), false, {}, {"other"});
    const auto states = new_states(before);
    expect(states.size() == 1 && states[0].name == "broken" && !states[0].usable, "the backend to be tried");
}

TEST(backends, "the same card of two backends is one device, CUDA's") {
    check_repeated({cpu, cuda, vulkan}, {false, false, true});
    check_repeated({vulkan, cuda, cpu}, {true, false, false});
    check_repeated({cpu, vulkan}, {false, false});
    check_repeated({{"CUDA", "0000:0A:00.0", "a"}, {"Vulkan", "0000:0a:00.0", "b"}}, {false, true});
}

TEST(backends, "two cards stay two devices") {
    const CardIdentity second{"CUDA", "0000:02:00.0", "GTX 1650"};
    const CardIdentity other{"Vulkan", "0000:03:00.0", "Radeon"};
    check_repeated({cuda, second, vulkan, other}, {false, false, true, false});
    check_repeated({vulkan, {"Vulkan", "0000:01:00.0", "GTX 1650"}}, {false, false});
}

TEST(backends, "without a PCI id cards go by their names, each once") {
    const CardIdentity nameless{"Vulkan", "", "GTX 1650"};
    check_repeated({cuda, nameless}, {false, true});
    check_repeated({cuda, nameless, nameless}, {false, true, false});
    check_repeated({cuda, {"Vulkan", "", "Radeon"}}, {false, false});
    check_repeated({cpu, {"Vulkan", "", "GTX 1650"}}, {false, false});
}
