// Times loading a model and passes over it on cards, with NMOS's placement or with llama.cpp's own, and prints them as JSON.
//
//   pass_times nmos     LIBRARIES MODEL CARDS THREADS CONTEXT WIDTH[,WIDTH…] REPEATS
//   pass_times upstream LIBRARIES MODEL CARDS THREADS CONTEXT WIDTH[,WIDTH…] REPEATS LAYERS[:PART,PART…] mapped|pinned [OVERRIDE]
//
// A last word "zipf=EXPONENT" lets the simulated cards choose some experts of a mixture much more often than others.
//
// CARDS as card.h names them: simulated ones, DEVICE@MIB for a part of a card of this machine, with "+" between several, or "none". Widths beyond 512 tokens are several passes of 512.
// LAYERS is llama.cpp's n_gpu_layers, the parts are its tensor_split (without them it is by free memory); the weights in RAM are the mapped file or copies in pinned memory; tensors whose name the regular expression OVERRIDE finds stay with the processor.
// Both sides compute with llama_decode over the same device, threads, context and widest pass.
#include <llama.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "card.h"
#include "machine.h"
#include "peak_memory.h"
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
    std::string cards;
    int threads = 0;
    uint32_t context = 0;
    std::vector<uint32_t> widths;
    int repeats = 0;
    int layers = 0;
    std::vector<float> parts;
    bool pinned = false;
    std::string override_pattern;
    double zipf = 0;
};

Arguments parse(std::vector<std::string> words) {
    const std::string skew = "zipf=";
    double zipf = 0;
    if (!words.empty() && words.back().starts_with(skew)) {
        zipf = std::stod(words.back().substr(skew.size()));
        words.pop_back();
    }
    const size_t expected = !words.empty() && words[0] == "nmos" ? 8 : 10;
    if (words.size() < expected) throw std::invalid_argument("Expected the arguments that the head of pass_times.cpp describes.");
    Arguments arguments{words[0], words[1], words[2], words[3], std::stoi(words[4]), static_cast<uint32_t>(std::stoul(words[5])), {}, std::stoi(words[7]), 0, {}, false, ""};
    std::stringstream widths(words[6]);
    for (std::string width; std::getline(widths, width, ',');) arguments.widths.push_back(static_cast<uint32_t>(std::stoul(width)));
    if (words.size() > 8) {
        size_t behind = 0;
        arguments.layers = std::stoi(words[8], &behind);
        std::stringstream parts(behind < words[8].size() ? words[8].substr(behind + 1) : "");
        for (std::string part; std::getline(parts, part, ',');) arguments.parts.push_back(std::stof(part));
    }
    if (words.size() > 9) arguments.pinned = words[9] == "pinned";
    if (words.size() > 10) arguments.override_pattern = words[10];
    arguments.zipf = zipf;
    return arguments;
}

std::string list(const std::vector<double>& values) {
    std::ostringstream text;
    for (size_t i = 0; i < values.size(); ++i) text << (i > 0 ? "," : "") << values[i];
    return "[" + text.str() + "]";
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

// Seconds of passes that begin while graphics memory that was released is filled again.
std::vector<double> passes_beside(Model& model, const std::function<void()>& pass) {
    std::future<void> restored = std::async(std::launch::async, [&] { model.prefetch(nullptr); });
    std::vector<double> seconds;
    while (restored.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        const double begin = sim::now();
        pass();
        seconds.push_back(sim::now() - begin);
    }
    restored.get();
    return seconds;
}

// Seconds from cancelling to the end of filling graphics memory that was released, cancelled at moments by chance within `whole`
// seconds, which is what it takes; of one that had ended by then nothing is told. At the end all of it is filled.
std::vector<double> cancelled_restores(Model& model, double whole) {
    constexpr int times = 10;
    std::mt19937 random(static_cast<unsigned>(std::chrono::steady_clock::now().time_since_epoch().count()));
    std::vector<double> seconds;
    for (int i = 0; i < times; ++i) {
        model.release(UINT64_MAX);
        const auto cancellation = std::make_shared<Cancellation>();
        std::future<double> ended = std::async(std::launch::async, [&] {
            model.prefetch(cancellation);
            return sim::now();
        });
        sim::sleep_until(sim::now() + std::uniform_real_distribution<double>(0, whole)(random));
        const double cancelled = sim::now();
        cancellation->cancel();
        const double after = ended.get() - cancelled;
        if (after > 0) seconds.push_back(after);
    }
    model.prefetch(nullptr);
    return seconds;
}

std::vector<llama_token> tokens_of(uint32_t width) {
    std::vector<llama_token> tokens(width);
    for (uint32_t i = 0; i < width; ++i) tokens[i] = static_cast<llama_token>(1000 + i * 7);
    return tokens;
}

// Of the simulated cards together: nothing is known of the traffic of a real one.
sim::Traffic traffic_of(const std::vector<Card>& cards) {
    sim::Traffic all;
    for (const Card& card : cards) {
        if (!card.simulated) continue;
        const sim::Traffic traffic = card.simulated->traffic();
        all.uploaded += traffic.uploaded;
        all.downloaded += traffic.downloaded;
        all.computing_seconds += traffic.computing_seconds;
        all.uploading_seconds += traffic.uploading_seconds;
    }
    return all;
}

void skew_orders(const std::vector<Card>& cards, double exponent) {
    for (const Card& card : cards) {
        if (card.simulated) card.simulated->skew_orders(exponent);
    }
}

void print_pass(bool first, uint32_t width, const std::vector<double>& seconds, const sim::Traffic& before, const sim::Traffic& after, double predicted) {
    const double passes = static_cast<double>(seconds.size() > 1 ? seconds.size() + 1 : 1);
    std::printf("%s{\"width\":%u,\"seconds\":%s,\"predicted\":%g,\"cardSeconds\":%g,\"uploadSeconds\":%g,\"uploadedBytes\":%.0f}", first ? "" : ",", width,
                list(seconds).c_str(), predicted, (after.computing_seconds - before.computing_seconds) / passes,
                (after.uploading_seconds - before.uploading_seconds) / passes, static_cast<double>(after.uploaded - before.uploaded) / passes);
}

void run_nmos(const Arguments& arguments) {
    const ModelProfile profile = read_model_profile(arguments.model);
    const Machine machine(arguments.libraries, arguments.cards, arguments.threads, widest_pass, main_types(profile));
    const std::vector<Card>& cards = machine.cards();
    skew_orders(cards, arguments.zipf);
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
    std::printf("{%s%s\"measureSeconds\":%g,\"loadSeconds\":%g,\"vramBytes\":%llu,\"explanation\":\"", cards.empty() ? "" : describe(cards).c_str(), cards.empty() ? "" : ",",
                machine.measure_seconds(), loaded, static_cast<unsigned long long>(placement.device_bytes));
    for (const std::string& sentence : placement.explanation) std::printf("%s ", sentence.c_str());
    std::printf("\",\"passes\":[");
    bool first = true;
    for (const uint32_t width : arguments.widths) {
        const std::vector<llama_token> tokens = tokens_of(width);
        const sim::Traffic before = traffic_of(cards);
        const auto seconds = time_passes(width > widest_repeated ? 1 : arguments.repeats, [&] { pass(tokens); });
        print_pass(first, width, seconds, before, traffic_of(cards), placement.predictions.empty() ? 0 : predicted_seconds(placement.predictions, width));
        first = false;
    }
    std::printf("],\"peakBytes\":%llu", static_cast<unsigned long long>(peak_bytes()));
    if (placement.units) {
        const ModelActivity activity = model->activity();
        const UploadCounters& counters = activity.uploads;
        std::printf(",\"slotHits\":%llu,\"slotMisses\":%llu", static_cast<unsigned long long>(counters.hits), static_cast<unsigned long long>(counters.misses));
        std::printf(",\"expertUses\":%llu,\"expertHits\":%llu", static_cast<unsigned long long>(activity.expert_uses), static_cast<unsigned long long>(activity.expert_hits));
    }
    if (const uint64_t released = model->release(UINT64_MAX); released > 0) {
        const double restoring = sim::now();
        model->prefetch(nullptr);
        const double restored = sim::now() - restoring;
        std::printf(",\"restoredBytes\":%llu,\"restoreSeconds\":%g,\"pinnedBandwidth\":%g", static_cast<unsigned long long>(released), restored,
                    cards.front().simulated ? cards.front().simulated->profile().pinned_bandwidth : machine.profiles().front().upload_bytes_per_second);
        std::printf(",\"cancelSeconds\":%s", list(cancelled_restores(*model, restored)).c_str());
    }
    if (model->release(UINT64_MAX) > 0) std::printf(",\"besideSeconds\":%s", list(passes_beside(*model, [&] { pass(tokens_of(1)); })).c_str());
    std::printf("}\n");
}

void run_upstream(const Arguments& arguments) {
    const std::vector<Card> cards = open_cards(arguments.libraries, arguments.cards);
    skew_orders(cards, arguments.zipf);
    std::vector<ggml_backend_dev_t> devices;
    if (arguments.layers > 0) std::ranges::transform(cards, std::back_inserter(devices), &Card::handle);
    devices.push_back(nullptr);
    std::array<llama_model_tensor_buft_override, 2> overrides{};
    if (!arguments.override_pattern.empty()) {
        overrides[0] = {arguments.override_pattern.c_str(), arguments.pinned ? ggml_backend_dev_host_buffer_type(cards.at(0).handle) : ggml_backend_cpu_buffer_type()};
    }
    std::vector<float> parts = arguments.parts;
    parts.resize(llama_max_devices());
    llama_model_params params = llama_model_default_params();
    params.devices = devices.data();
    params.split_mode = cards.size() > 1 ? LLAMA_SPLIT_MODE_LAYER : LLAMA_SPLIT_MODE_NONE;
    params.tensor_split = parts.data();
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
    uint64_t used = 0;
    for (const Card& card : cards) {
        const uint64_t here = used_bytes(card);
        if (here > card.memory) throw std::runtime_error("There is no room for this split: it takes " + std::to_string(here) + " bytes of " + card.name + ".");
        used += here;
    }
    std::printf("{\"loadSeconds\":%g,\"vramBytes\":%llu,\"passes\":[", loaded, static_cast<unsigned long long>(used));
    bool first = true;
    for (const uint32_t width : arguments.widths) {
        const std::vector<llama_token> tokens = tokens_of(width);
        const sim::Traffic before = traffic_of(cards);
        const auto seconds = time_passes(width > widest_repeated ? 1 : arguments.repeats, [&] { pass(tokens); });
        print_pass(first, width, seconds, before, traffic_of(cards), 0);
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
