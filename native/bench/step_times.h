// What programs share that time steps between two passes, which take microseconds.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace nmos::bench {

// As in use the processor's caches shall have seen other memory before a step: a pass over the weights.
class OtherMemory {
  public:
    // Reads all of it.
    void visit() {
        for (size_t i = 0; i < words_.size(); i += 8) sum_ += words_[i]++;
    }
    // To be printed, so that no compiler leaves the work out.
    uint64_t sum() const { return sum_; }

  private:
    // More than the last level of a processor's caches.
    static constexpr size_t bytes = size_t{128} << 20;

    std::vector<uint64_t> words_ = std::vector<uint64_t>(bytes / sizeof(uint64_t), 1);
    uint64_t sum_ = 0;
};

inline double microseconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

// A member of a JSON object, with what comes behind it.
inline void print_times(const char* name, const std::vector<double>& values, const char* end) {
    std::printf("\"%s\": [", name);
    for (size_t i = 0; i < values.size(); ++i) std::printf("%s%.2f", i > 0 ? ", " : "", values[i]);
    std::printf("]%s", end);
}

}  // namespace nmos::bench
