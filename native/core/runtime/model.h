// A loaded model: weights, vocabulary and where they lie.
//
// Shared by its sessions; the weights are freed by `close` or with the last owner. Loading may happen on any thread, the
// weights are only read afterwards. `close` waits for the sessions, but not for those who tokenize or create a session:
// all three happen on one thread, the engine's desk.
#pragma once

#include <llama.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "device/host_weights.h"
#include "device/upload_ring.h"
#include "plan/placement.h"
#include "runtime/cancellation.h"
#include "runtime/pass_watch.h"
#include "runtime/vocabulary.h"
#include "speculative/draft_control.h"

namespace nmos {

class Session;

struct ModelInfo {
    std::string path;
    std::string description;  // such as "qwen2 1.5B Q4_K - Medium"
    std::string architecture;
    uint64_t size_bytes = 0;
    uint64_t parameters = 0;
    uint32_t layers = 0;
    uint32_t vocabulary_size = 0;
    uint32_t trained_context = 0;
    std::optional<std::string> chat_template;  // Jinja source
    // Text of special tokens by role ("bos", "eos", "fimPrefix", …); a role the vocabulary lacks has none.
    std::map<std::string, std::optional<std::string>> special_tokens;
    bool adds_bos = false;
    // Its memory forgets tokens as if they had never been computed, without which none are guessed. Recurrent ones cannot.
    bool takes_tokens_back = false;
    std::map<std::string, std::string> metadata;  // without the long arrays
};

struct PlanOptions {
    std::string path;
    uint32_t context_length = 0;  // tokens
    uint64_t vram_limit = 0;      // bytes that all models may use of each card; 0: free memory less a margin
    std::map<std::string, uint64_t> vram_used{};  // of that, by other models; by ggml's name of the card
    std::map<std::string, uint64_t> vram_granted{};  // bytes that this model may have of a card at most: the system moved more to RAM
    uint64_t vram_reserved = 0;   // bytes that are kept for another model, on the card with the most memory that models may use
    std::optional<KvType> kv_type = KvType::F16;  // none: what serves best (kv_choice.h)
    // A pass over several tokens computes bit for bit what passes over one each do, where that can be had: on the processor, with
    // slower kernels and a Q8_0 cache.
    bool exact_passes = false;
    bool use_gpu = true;
    int32_t threads = 0;          // of the processor; 0: the physical cores
};

struct LoadOptions {
    PlanOptions plan;
    CancellationPtr cancellation;
    std::function<void(float)> on_progress;  // 0 to 1, on the loading thread
};

struct ModelActivity {
    uint64_t passes = 0;        // computed since the model was loaded
    uint32_t last_tokens = 0;   // of the last pass whose result was awaited; 0: there was none yet
    double last_seconds = 0;
    double last_predicted = 0;  // seconds; 0: nothing is predicted for this placement
    std::vector<uint64_t> released;  // (card of the placement) bytes of weights that belong there and are not there at present
    uint64_t expert_uses = 0;   // that tokens chose, of mixtures whose experts are placed one by one
    uint64_t expert_hits = 0;   // that were in VRAM then
    UploadCounters uploads;     // of all models of the cards
    double times_as_long = 0;   // as usual passes suddenly take (slow_passes.h); 0: they do not

    uint64_t released_bytes() const;
};

class Model {
  public:
    // Loads the weights as `placement` says. Null when cancelled. Throws MODEL_UNSUPPORTED or OUT_OF_MEMORY.
    static std::shared_ptr<Model> load(const LoadOptions& options, const ModelProfile& profile, Placement placement);
    ~Model();
    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;

    const ModelInfo& info() const { return info_; }
    const Placement& placement() const { return placement_; }
    const ModelProfile& profile() const { return profile_; }
    // Throws CLOSED after `close`.
    const Vocabulary& vocabulary() const;
    llama_model* handle() const;

    // What answers teach; of the compute thread.
    Speculation& speculation() const { return speculation_; }
    // Of the passes that verify tokens.
    PassWatch& watch() const { return watch_; }
    // The threads that sessions compute with; shares of networks that stay in RAM are computed by the same ones.
    void use_threadpool(ggml_threadpool_t pool);

    // A pass of so many tokens was computed, in `seconds`, 0 when nobody waited for it. Returns the seconds that are predicted for
    // it, or 0. The compute thread only.
    double count_pass(uint32_t tokens, double seconds);
    // Any thread; waits for nothing.
    ModelActivity activity() const;

    // Gives graphics memory back, at least `bytes` of it if there are so many, without which passes take longer: weights that
    // are in RAM, too, which the processor computes from. Only that of `device`, if one is named. Waits for the pass under way.
    // Returns the bytes. Throws CLOSED. Not on a thread that must not wait.
    uint64_t release(uint64_t bytes, const std::string& device = "");
    // Makes the next passes as fast as the plan says: brings what was released back, reads mapped weights into RAM and fills
    // the upload slots, beside passes that run meanwhile. Ends within milliseconds of the cancellation; what is done by then
    // stays. Brings at most `most` bytes back, only to `device` if one is named, and returns them. Throws CLOSED.
    uint64_t prefetch(const CancellationPtr& cancellation, uint64_t most = UINT64_MAX, const std::string& device = "");

    // Sessions to close together with the model. Throws CLOSED.
    void add_session(const std::shared_ptr<Session>& session);
    // Cancels and closes the sessions, waits for them and frees the weights. Not from the compute thread.
    void close();
    bool closed() const { return closed_.load(); }

  private:
    struct Free {
        void operator()(llama_model* model) const { llama_model_free(model); }
    };

    // The weights in RAM that belong to one of the placement's cards.
    struct CardWeights {
        size_t card = 0;
        std::unique_ptr<HostWeights> weights;
    };

    using Handle = std::unique_ptr<llama_model, Free>;

    // By reference, so that model and weights are freed in their order when there is no memory for this.
    Model(Handle&& taken, std::vector<CardWeights>&& host_weights, const ModelProfile& profile, Placement placement);
    void check_open() const;
    // Makes the upload slots. With fewer than planned the placement says so. Throws OUT_OF_MEMORY when a card grants none.
    void reserve_slots();
    // Tells what guesses are decided by how long passes will take.
    void expect_predicted();
    void check_guesses(const LoadOptions& options);
    void free_weights();
    // To be called when weights were released or brought back, on any card.
    void weights_moved();

    ModelProfile profile_;
    Placement placement_;
    std::vector<CardWeights> host_weights_;  // of networks and experts whose home is the mapped file; none where llama.cpp places all
    Handle handle_;
    std::optional<Vocabulary> vocabulary_;
    ModelInfo info_;
    std::atomic<bool> closed_{false};
    std::mutex memory_mutex_;  // held while weights move and while they are freed
    mutable std::mutex activity_mutex_;
    ModelActivity activity_;  // guarded by activity_mutex_
    std::mutex sessions_mutex_;
    mutable Speculation speculation_;
    mutable PassWatch watch_{placement_};
    std::vector<std::weak_ptr<Session>> sessions_;
};

}  // namespace nmos
