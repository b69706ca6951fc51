#include "speculative/answer_lengths.h"

#include <algorithm>

namespace nmos {

double AnswerLengths::remaining(size_t so_far, size_t most) const {
    const auto length = static_cast<double>(so_far);
    double sum = 0;
    double longer = 0;
    for (const double one : lengths_) {
        if (one <= length) continue;
        sum += one - length;
        ++longer;
    }
    // One that is longer than all before it may end any time, and the longer it is, the less surely.
    const double expected = longer > 0 ? sum / longer : length / 4;
    return std::min(expected, static_cast<double>(most));
}

}  // namespace nmos
