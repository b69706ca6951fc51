// How long answers get, to tell whether what makes the rest of one faster is worth its price. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>

namespace nmos {

class AnswerLengths {
  public:
    void observe(size_t tokens) { lengths_[count_++ % lengths_.size()] = static_cast<double>(tokens); }

    // Tokens that an answer which has so many already will still get, at most `most`.
    double remaining(size_t so_far, size_t most) const;

  private:
    // The latest ones; those assumed at first make way.
    std::array<double, 16> lengths_{16, 32, 64, 96, 128, 192, 256, 384, 16, 32, 64, 96, 128, 192, 256, 384};
    size_t count_ = 0;
};

}  // namespace nmos
