// Times loading a model and passes over it on a card, with NMOS's placement or with llama.cpp's own, and prints them as JSON.
//
//   pass_times nmos     LIBRARIES MODEL CARD THREADS CONTEXT WIDTH[,WIDTH…] REPEATS
//   pass_times upstream LIBRARIES MODEL CARD THREADS CONTEXT WIDTH[,WIDTH…] REPEATS LAYERS mapped|pinned [OVERRIDE]
//
// CARD is one as card.h names them: a simulated one, DEVICE@MIB for a part of a card of this machine, or "none". Widths beyond 512 tokens are several passes of 512.
// LAYERS is llama.cpp's n_gpu_layers; the weights in RAM are the mapped file or copies in pinned memory; tensors whose name the regular expression OVERRIDE finds stay with the processor.
// Both sides compute with llama_decode over the same device, threads, context and widest pass.
#include <llama.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "card.h"
#include "device/streaming_device.h"
#include "machine.h"
#include "runtime/log.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "sim_clock.h"

using namespace nmos;
using namespace nmos::bench;

namespace {

constexpr uint32_t widest_pass = 512;

// Wider passes take so long that one of them says enough.
constexpr uint32_t widest_repeated = 32;

struct Arguments {
    std::string mode;
    std::string libraries;
    std::string model;
    std::string card;
    int threads = 0;
    uint32_t context = 0;
    std::vector<uint32_t> widths;
    int repeats = 0;
    int layers = 0;
    bool pinned = false;
    std::string override_pattern;
};

Arguments parse(const std::vector<std::string>& words) {
    const size_t expected = !words.empty() && words[0] == "nmos" ? 8 : 10;
    if (words.size() < expected) throw std::invalid_argument("Expected the arguments that the head of pass_times.cpp describes.");
    Arguments arguments{words[0], words[1], words[2], words[3], std::stoi(words[4]), static_cast<uint32_t>(std::stoul(words[5])), {}, std::stoi(words[7]), 0, false, ""};
    std::stringstream widths(words[6]);
    for (std::string width; std::getline(widths, width, ',');) arguments.widths.push_back(static_cast<uint32_t>(std::stoul(width)));
    if (words.size() > 8) arguments.layers = std::stoi(words[8]);
    if (words.size() > 9) arguments.pinned = words[9] == "pinned";
    if (words.size() > 10) arguments.override_pattern = words[10];
    return arguments;
}

std::string list(const std::vector<double>& values) {
    std::ostringstream text;
    for (size_t i = 0; i < values.size(); ++i) text << (i > 0 ? "," : "[") << values[i];
    return text.str() + "]";
}

// The tokens in passes of at most the widest kind.
template <typename Compute> void in_passes(const std::vector<llama_token>& tokens, Compute compute) {
    for (size_t begin = 0; begin < tokens.size(); begin += widest_pass) {
        const size_t end = std::min(tokens.size(), begin + widest_pass);
        compute(tokens.data() + begin, end - begin, end == tokens.size());
    }
}

// Seconds of passes of one width, each over an empty KV cache, one right after the other.
std::vector<double> time_passes(int repeats, const std::function<void()>& pass) {
    std::vector<double> seconds;
    // What takes long needs no warming up.
    if (repeats > 1) pass();
    for (int i = 0; i < repeats; ++i) {
        const double begin = sim::now();
        pass();
        seconds.push_back(sim::now() - begin);
    }
    return seconds;
}

std::vector<llama_token> tokens_of(uint32_t width) {
    std::vector<llama_token> tokens(width);
    for (uint32_t i = 0; i < width; ++i) tokens[i] = static_cast<llama_token>(1000 + i * 7);
    return tokens;
}

// Nothing is known of the traffic of a real card.
sim::Traffic traffic_of(const Card* card) {
    return card && card->simulated ? card->simulated->traffic() : sim::Traffic{};
}

void print_pass(bool first, uint32_t width, const std::vector<double>& seconds, const sim::Traffic& before, const sim::Traffic& after, double predicted) {
    const double passes = static_cast<double>(seconds.size() > 1 ? seconds.size() + 1 : 1);
    std::printf("%s{\"width\":%u,\"seconds\":%s,\"predicted\":%g,\"cardSeconds\":%g,\"uploadSeconds\":%g,\"uploadedBytes\":%.0f}", first ? "" : ",", width,
                list(seconds).c_str(), predicted, (after.computing_seconds - before.computing_seconds) / passes,
                (after.uploading_seconds - before.uploading_seconds) / passes, static_cast<double>(after.uploaded - before.uploaded) / passes);
}

void run_nmos(const Arguments& arguments) {
    const Machine machine(arguments.libraries, arguments.card, arguments.threads, widest_pass);
    const Card* const card = machine.card();
    const ModelProfile profile = read_model_profile(arguments.model);
    const double loading = sim::now();
    const std::shared_ptr<Model> model = machine.load(profile, arguments.context);
    const auto session = Session::create(model, {arguments.context, widest_pass}, machine.threads());
    session->acquire(std::make_shared<Cancellation>());
    const auto pass = [&](const std::vector<llama_token>& tokens) {
        session->keep_common_prefix({}, false);
        in_passes(tokens, [&](const llama_token* begin, size_t count, bool last) {
            if (!session->compute({begin, count}, last)) throw std::runtime_error("The pass was cancelled.");
        });
        session->logits();
    };
    pass(tokens_of(1));
    const double loaded = sim::now() - loading;

    const Placement& placement = model->placement();
    std::printf("{%s%s\"measureSeconds\":%g,\"loadSeconds\":%g,\"vramBytes\":%llu,\"explanation\":\"", card ? card->describe().c_str() : "", card ? "," : "",
                machine.measure_seconds(), loaded, static_cast<unsigned long long>(placement.device_bytes));
    for (const std::string& sentence : placement.explanation) std::printf("%s ", sentence.c_str());
    std::printf("\",\"passes\":[");
    bool first = true;
    for (const uint32_t width : arguments.widths) {
        const std::vector<llama_token> tokens = tokens_of(width);
        const sim::Traffic before = traffic_of(card);
        const auto seconds = time_passes(width > widest_repeated ? 1 : arguments.repeats, [&] { pass(tokens); });
        const double predicted = placement.units ? predict_pass(profile, machine.device(), *placement.units, width) : 0;
        print_pass(first, width, seconds, before, traffic_of(card), predicted);
        first = false;
    }
    std::printf("]");
    if (placement.units) {
        const UploadCounters counters = StreamingDevice::over(card->handle).counters();
        std::printf(",\"slotHits\":%llu,\"slotMisses\":%llu", static_cast<unsigned long long>(counters.hits), static_cast<unsigned long long>(counters.misses));
        const uint64_t released = model->release(UINT64_MAX);
        const double restoring = sim::now();
        model->prefetch(nullptr);
        std::printf(",\"restoredBytes\":%llu,\"restoreSeconds\":%g,\"pinnedBandwidth\":%g", static_cast<unsigned long long>(released), sim::now() - restoring,
                    card->simulated ? card->simulated->profile().pinned_bandwidth : machine.device().upload_bytes_per_second);
    }
    std::printf("}\n");
}

void run_upstream(const Arguments& arguments) {
    const std::optional<Card> card = open_card(arguments.libraries, arguments.card);
    std::array<ggml_backend_dev_t, 2> devices{card && arguments.layers > 0 ? card->handle : nullptr, nullptr};
    std::array<llama_model_tensor_buft_override, 2> overrides{};
    if (!arguments.override_pattern.empty()) {
        overrides[0] = {arguments.override_pattern.c_str(), arguments.pinned ? ggml_backend_dev_host_buffer_type(card->handle) : ggml_backend_cpu_buffer_type()};
    }
    llama_model_params params = llama_model_default_params();
    params.devices = devices.data();
    params.split_mode = LLAMA_SPLIT_MODE_NONE;
    params.main_gpu = arguments.layers > 0 ? 0 : -1;
    params.n_gpu_layers = arguments.layers;
    params.tensor_buft_overrides = overrides.data();
    params.load_mode = arguments.pinned ? LLAMA_LOAD_MODE_NONE : LLAMA_LOAD_MODE_MMAP;
    const double loading = sim::now();
    const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(llama_model_load_from_file(arguments.model.c_str(), params), &llama_model_free);
    if (!model) throw std::runtime_error("llama.cpp does not load the model with this split.");
    llama_context_params context_params = llama_context_default_params();
    context_params.n_ctx = arguments.context;
    context_params.n_batch = context_params.n_ubatch = widest_pass;
    context_params.n_seq_max = 1;
    context_params.n_threads = context_params.n_threads_batch = arguments.threads;
    context_params.no_perf = true;
    const std::unique_ptr<llama_context, decltype(&llama_free)> context(llama_init_from_model(model.get(), context_params), &llama_free);
    if (!context) throw std::runtime_error("llama.cpp finds no room for the context with this split.");
    llama_attach_threadpool(context.get(), make_threads(arguments.threads).pool, nullptr);

    const auto pass = [&](const std::vector<llama_token>& tokens) {
        llama_memory_clear(llama_get_memory(context.get()), false);
        in_passes(tokens, [&](const llama_token* begin, size_t count, bool) {
            const llama_batch batch = llama_batch_get_one(const_cast<llama_token*>(begin), static_cast<int32_t>(count));
            if (llama_decode(context.get(), batch) != 0) throw std::runtime_error("The pass failed.");
        });
        llama_get_logits_ith(context.get(), -1);
    };
    pass(tokens_of(1));
    const double loaded = sim::now() - loading;
    const uint64_t used = card ? used_bytes(*card) : 0;
    if (card && used > card->memory) throw std::runtime_error("There is no room for this split: it takes " + std::to_string(used) + " bytes.");
    std::printf("{\"loadSeconds\":%g,\"vramBytes\":%llu,\"passes\":[", loaded, static_cast<unsigned long long>(used));
    bool first = true;
    for (const uint32_t width : arguments.widths) {
        const std::vector<llama_token> tokens = tokens_of(width);
        const sim::Traffic before = traffic_of(card ? &*card : nullptr);
        const auto seconds = time_passes(width > widest_repeated ? 1 : arguments.repeats, [&] { pass(tokens); });
        print_pass(first, width, seconds, before, traffic_of(card ? &*card : nullptr), 0);
        first = false;
    }
    std::printf("]}\n");
}

}  // namespace

int main(int count, char** words) {
    try {
        const Arguments arguments = parse({words + 1, words + count});
        take_over_library_log();
        if (arguments.mode == "nmos") run_nmos(arguments);
        else run_upstream(arguments);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    std::fflush(stdout);
    // Devices are never destroyed; their destructors have nothing to say here.
    std::_Exit(0);
}
