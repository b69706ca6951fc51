// synthetic_model SHAPE VOCABULARY.gguf TARGET.gguf
// synthetic_model vocabulary VOCABULARY.gguf TARGET.gguf: nothing but the vocabulary
#include <cstdio>
#include <exception>
#include <string_view>

#include "synthetic_model.h"

int main(int count, char** arguments) {
    const auto shape = count == 4 ? nmos::synthetic::find_shape(arguments[1]) : std::nullopt;
    const bool vocabulary_only = count == 4 && std::string_view(arguments[1]) == "vocabulary";
    if (!shape && !vocabulary_only) {
        std::fputs("Expected the name of a shape, a GGUF file with a vocabulary and a file to write. Shapes:\n", stderr);
        for (const auto& known : nmos::synthetic::shapes()) std::fprintf(stderr, "  %s\n", known.name.c_str());
        return 2;
    }
    try {
        if (vocabulary_only) nmos::synthetic::write_vocabulary(arguments[2], arguments[3]);
        else nmos::synthetic::write_model(*shape, arguments[2], arguments[3]);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    return 0;
}
