// How tests of guesses have tokens chosen.
#pragma once

#include "runtime/generation.h"

namespace nmos::testing {

inline void greedy(DecodeOptions&) {}

inline void drawn(DecodeOptions& decode) {
    decode.sampler.temperature = 1.0f;
    decode.sampler.top_k = 60;
    decode.sampler.top_p = 0.95f;
    decode.sampler.repeat_penalty = 1.1f;
    decode.sampler.seed = 11;
}

inline void drawn_by_grammar(DecodeOptions& decode) {
    drawn(decode);
    decode.sampler.grammar = "root ::= [a-z ,.]*";
}

}  // namespace nmos::testing
