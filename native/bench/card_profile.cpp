// Measures a card as NMOS does before it places a model, and prints what it found as JSON: bandwidths from pinned and from
// other memory in bytes a second, and the times of passes over a byte of weights by their width.
//
//   card_profile LIBRARIES CARD THREADS WIDEST [TYPE]
//
// TYPE is ggml's name of the weights' type, "q4_K" without it.
// CARD is one as card.h names them. Without a CARD (the word "list") it prints this machine's cards, a line each: the name, a tab, the description.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "machine.h"
#include "runtime/backends.h"
#include "runtime/log.h"

using namespace nmos;
using namespace nmos::bench;

namespace {

void print_curve(const char* name, const WidthCurve& curve) {
    std::printf(",\"%s\":[", name);
    bool first = true;
    for (const auto& [width, seconds] : curve.points()) {
        std::printf("%s{\"width\":%u,\"secondsPerByte\":%g}", first ? "" : ",", width, seconds);
        first = false;
    }
    std::printf("]");
}

void list_cards(const std::string& libraries) {
    load_backends(libraries, false);
    for (const Device& device : list_devices()) {
        if (device.kind != DeviceKind::Cpu) std::printf("%s\t%s\n", device.name.c_str(), device.description.c_str());
    }
    for (const BackendState& state : backend_states()) {
        if (!state.usable) std::fprintf(stderr, "without %s: %s\n", state.name.c_str(), state.reason.c_str());
    }
}

void print_profile(const Machine& machine) {
    if (machine.cards().size() != 1) throw std::invalid_argument("Expected one card to measure, got " + std::to_string(machine.cards().size()) + ".");
    const DeviceProfile& device = machine.profiles().front();
    std::printf("{%s,\"measureSeconds\":%g,\"pinnedBandwidth\":%g,\"pageableBandwidth\":%g,\"uploadShareOfCard\":%g,\"uploadSeconds\":%g,"
                "\"exchangeSeconds\":%g,\"launchSeconds\":%g",
                describe(machine.cards()).c_str(), machine.measure_seconds(), device.upload_bytes_per_second, device.staged_bytes_per_second,
                device.upload_share_of_card, device.upload_seconds, device.exchange_seconds, device.launch_seconds);
    print_curve("cardWidths", device.card);
    print_curve("processorWidths", device.processor);
    std::printf("}\n");
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> words(arguments + 1, arguments + count);
    try {
        take_over_library_log();
        if (words.size() == 2 && words[1] == "list") list_cards(words[0]);
        else if (words.size() == 4 || words.size() == 5) {
            const std::string type = words.size() == 5 ? words[4] : "q4_K";
            print_profile(Machine(words[0], words[1], std::stoi(words[2]), static_cast<uint32_t>(std::stoul(words[3])), {{type, 1}}));
        }
        else throw std::invalid_argument("Expected the arguments that the head of card_profile.cpp describes.");
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    std::fflush(stdout);
    // Devices are never destroyed; their destructors have nothing to say here.
    std::_Exit(0);
}
