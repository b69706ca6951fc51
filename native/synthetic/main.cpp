// synthetic_model SHAPE VOCABULARY.gguf TARGET.gguf
#include <cstdio>
#include <exception>

#include "synthetic_model.h"

int main(int count, char** arguments) {
    const auto shape = count == 4 ? nmos::synthetic::find_shape(arguments[1]) : std::nullopt;
    if (!shape) {
        std::fputs("Expected the name of a shape, a GGUF file with a vocabulary and a file to write. Shapes:\n", stderr);
        for (const auto& known : nmos::synthetic::shapes()) std::fprintf(stderr, "  %s\n", known.name.c_str());
        return 2;
    }
    try {
        nmos::synthetic::write_model(*shape, arguments[2], arguments[3]);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    return 0;
}
