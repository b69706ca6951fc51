// A simulated graphics card, "SIM0", "SIM1", …: a ggml device with memory of its own and queues that work on their own.
// For tests and benchmarks; never part of the product.
//
// Timed: nothing is computed and no data is moved. Every command takes the time that the card's profile says, on the
// card's one engine of computation and its two copy engines, and whoever waits sleeps until then: what the processor
// computes meanwhile is real. Results are numbers drawn by chance, and so is their order, by which experts are chosen.
// Exact: every command is carried out by the processor, but as late and in as wild an order as the events between the
// queues allow. What would be a race on a card gives a wrong result here, and the same one for the same seed.
//
// Never destroyed, as ggml never forgets a device. Any thread may call.
#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "card_profile.h"

namespace nmos::sim {

enum class Mode : uint8_t { Timed, Exact };

struct Traffic {
    uint64_t uploaded = 0;         // bytes
    uint64_t downloaded = 0;       // bytes; exact: without what is read by no queue, as results are
    double computing_seconds = 0;  // of the engine, simulated
    double uploading_seconds = 0;  // of the copy engine, simulated
    double stalled_seconds = 0;    // computations that could have begun waited so long for events of other queues, simulated
};

// Which of what is asked of a card is refused: memory of either kind, queues and events.
struct Refusal {
    uint64_t granted = UINT64_MAX;  // requests before the one that is
    bool lasting = false;           // and all behind it
};

// Whether this thread is at work inside a card: what memory it asks the system for there, its driver does.
bool is_inside_card();

class SimDevice {
  public:
    static SimDevice& create(const CardProfile& profile, Mode mode);

    ggml_backend_dev_t handle() const;
    const CardProfile& profile() const { return profile_; }

    // Exact: the order of the commands from now on.
    void set_seed(uint64_t seed);
    // Another program takes so much VRAM.
    void set_foreign_bytes(uint64_t bytes);
    // The next allocation but `after` fails; a negative number: none does.
    void fail_allocation(int after);
    // From now on, until the next call. Instead of pinned memory that is refused there is ordinary memory, as from drivers that have
    // none left.
    void refuse(Refusal refusal);
    // Since then.
    uint64_t requests() const;
    // Every allocation but the next `after` throws, as by drivers whose card was lost; a negative number: none does.
    void break_allocations(int after);
    // Exact: copies of so many bytes to RAM are lost from now on; 0: none.
    void lose_downloads(size_t bytes);
    // Timed: computing takes so many times as long from now on, as on a card whose memory the system has moved to RAM.
    void slow_down(double times);
    // Computing fails from now on, as on a card that was lost while the machine slept.
    void lose();
    // Of pinned memory, every so many-th request gets ordinary memory, as drivers do that have none left; 0: none.
    void refuse_pinned(uint32_t one_in);
    // Timed: orders begin more often with some numbers than with others, which ones depends on the tensor's name: the n-th of
    // them as often as 1 / n ^ exponent (Zipf's law), so that some experts are used much more than others. 0: all alike.
    void skew_orders(double exponent);
    Traffic traffic() const;

  private:
    struct Ggml;
    struct Queue;
    class OneUser;
    struct Event;
    struct Buffer;
    enum class Direction : uint8_t { Up, Down };

    SimDevice(CardProfile profile, Mode mode, std::string name);

    ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size, bool host);
    void free_memory(Buffer& buffer);
    // Counts a request.
    bool refuses();
    bool is_pinned(const void* memory) const;

    // Adds a command to a queue. False when the card is lost.
    bool compute(Queue& queue, ggml_cgraph* graph);
    // Adds a copy to a queue; returns at once for pinned memory and when it is over for other memory, as drivers do.
    void transfer(Queue& queue, Direction direction, void* to, const void* from, size_t size);
    // A copy without a queue, which is over when this returns.
    void transfer_now(Direction direction, void* to, const void* from, size_t size);
    // What a timed card gives out as results: numbers from -1 to 1.
    void draw_numbers(void* data, size_t size);
    // And as the order of numbers, in rows as `tensor` or what it is a view of has them.
    void draw_orders(const ggml_tensor* tensor, void* data, size_t size);
    void synchronize(Queue& queue);
    void record(Queue& queue, Event& event);
    void wait(Queue& queue, const Event& event);
    void synchronize(const Event& event);

    double seconds_of(const ggml_tensor* node) const;
    double schedule(double& engine, double earliest, double seconds);
    double transfer_until(Direction direction, double earliest, const void* host, size_t size);
    // Runs commands of any queue until `finished`.
    void run_until(const std::function<bool()>& finished);

    CardProfile profile_;
    Mode mode_;
    std::string name_;
    mutable std::recursive_mutex mutex_;
    std::vector<Queue*> queues_;
    std::map<const char*, size_t> pinned_;  // ranges of host memory
    double order_exponent_ = 0;
    uint64_t used_ = 0;                     // bytes of VRAM
    uint64_t foreign_ = 0;                  // bytes of VRAM
    int failing_allocation_ = -1;
    Refusal refusal_;
    uint64_t requests_ = 0;
    int granted_allocations_ = -1;          // until they throw; negative: they do not
    size_t lost_download_ = 0;              // bytes
    uint32_t refused_pinned_ = 0;           // one in so many
    uint32_t pinned_requests_ = 0;
    double times_as_long_ = 1;
    bool is_lost_ = false;
    Traffic traffic_;
    // When each engine is free again, in seconds of the steady clock.
    double engine_free_ = 0;
    double upload_free_ = 0;
    double download_free_ = 0;
    std::mt19937_64 random_{1};
    std::vector<float> noise_;
    std::unique_ptr<Ggml> ggml_;
};

}  // namespace nmos::sim
