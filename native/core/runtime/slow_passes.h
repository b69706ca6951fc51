// Notices when passes over a model suddenly take several times as long as they did, which is what a card does whose memory the
// system has moved to RAM: no error is raised, every pass just waits for the bus.
//
// Pure: no I/O, no clock. A pass is compared with the earlier ones of its width over the same placement, or, where there
// are none, with what the planner predicts. One slow pass means nothing, nor do some of which the machine was asleep or the
// card woke up; it is what lasts while the processor is free that is told. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "platform/os.h"

namespace nmos {

// A pass whose result was awaited.
struct TimedPass {
    uint32_t width = 0;    // tokens
    double seconds = 0;
    double predicted = 0;  // seconds; 0: nothing is predicted
    double ended = 0;      // seconds of a clock that goes on while the machine sleeps, or not
};

// What else may slow passes down, as it is when one ends.
struct Surroundings {
    os::ProcessorTimes processors;
    bool saves_energy = false;  // the card may then be as slow as it likes
};

class SlowPasses {
  public:
    // `on_processor`: a part of the weights is computed by the processor, so that hardly any other program may use it for
    // a slow pass to be the card's fault.
    explicit SlowPasses(bool on_processor) : on_processor_(on_processor) {}

    // Whether the surroundings are needed to judge the next pass, should it be like this one: they take time to find out.
    bool suspects(const TimedPass& pass) const;
    // `around` where `suspects` said so.
    void observe(const TimedPass& pass, const std::optional<Surroundings>& around);
    // The weights have moved: earlier passes tell nothing any more, and what was found is answered. `on_processor` as above.
    // `as_planned`: they lie where the predictions of passes have them, which tell nothing otherwise.
    void forget(bool on_processor, bool as_planned = true);

    // How many times as long as usual passes take; 0 unless they are found to be slow. Stays until `forget`.
    double times_as_long() const { return times_as_long_; }

  private:
    // Of one width: the latest passes that were not slow, oldest overwritten first.
    struct Usual {
        static constexpr size_t kept = 15;
        std::array<double, kept> seconds{};
        size_t count = 0;

        void add(double value) { seconds[count++ % kept] = value; }
        bool known() const { return count >= kept; }
        double median() const;
    };
    // Slow passes right behind each other.
    struct Streak {
        uint32_t passes = 0;
        double began = 0;         // seconds; when the first of them did
        double least_times = 0;   // of all of them
        os::ProcessorTimes processors;
    };

    // How many times as long as usual; 0: nobody knows.
    double times(const TimedPass& pass) const;
    static bool is_slow(double times);
    // Whether others have left the processors alone during the streak.
    bool are_processors_free(const os::ProcessorTimes& now) const;

    bool on_processor_;
    bool as_planned_ = true;
    std::map<uint32_t, Usual> usual_;  // by width
    std::optional<Streak> streak_;
    double last_ended_ = -1;           // seconds; below 0: there was no pass yet
    uint32_t since_pause_ = 0;         // passes
    double times_as_long_ = 0;
};

}  // namespace nmos
