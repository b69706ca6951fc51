// Models that load in a few milliseconds: with the beginning of the small model's vocabulary, and weights at random.
#pragma once

#include <ggml-cpp.h>

#include <algorithm>
#include <string>
#include <unordered_set>
#include <vector>

#include "check.h"
#include "gguf_file.h"
#include "small_model.h"
#include "synthetic_model.h"

namespace nmos::testing {

// Tokens; the special ones and those of single bytes are the first of the small model's.
constexpr int32_t short_vocabulary = 512;
constexpr int32_t special_tokens = 17;

class ShortModel {
  public:
    explicit ShortModel(const synthetic::Shape& shape) {
        const gguf_context_ptr small(gguf_init_from_file(small_model_path().c_str(), {true, nullptr}));
        expect(small != nullptr, "a GGUF file at " + small_model_path());
        const gguf_context_ptr shorter(gguf_init_empty());
        gguf_set_kv(shorter.get(), small.get());
        const std::vector<const char*> tokens = texts(small.get(), "tokenizer.ggml.tokens");
        expect(tokens.size() > short_vocabulary, "a vocabulary of more than " + show(short_vocabulary) + " tokens");
        gguf_set_arr_str(shorter.get(), "tokenizer.ggml.tokens", const_cast<const char**>(tokens.data()), short_vocabulary);
        const int64_t types = gguf_find_key(small.get(), "tokenizer.ggml.token_type");
        gguf_set_arr_data(shorter.get(), "tokenizer.ggml.token_type", gguf_get_arr_type(small.get(), types), gguf_get_arr_data(small.get(), types), short_vocabulary);
        const std::unordered_set<std::string> kept(tokens.begin(), tokens.begin() + short_vocabulary);
        std::vector<const char*> merges = texts(small.get(), "tokenizer.ggml.merges");
        std::erase_if(merges, [&](const std::string& merge) {
            std::string merged = merge;
            std::erase(merged, ' ');
            return !kept.contains(merged);
        });
        gguf_set_arr_str(shorter.get(), "tokenizer.ggml.merges", merges.data(), merges.size());
        const TemporaryFile vocabulary;
        expect(gguf_write_to_file(shorter.get(), vocabulary.path().c_str(), true), "to write " + vocabulary.path());
        synthetic::write_model(shape, vocabulary.path(), file_.path());
    }

    std::string path() const { return file_.path(); }

  private:
    static std::vector<const char*> texts(const gguf_context* from, const char* key) {
        const int64_t id = gguf_find_key(from, key);
        expect(id >= 0, std::string("the small model to have ") + key);
        std::vector<const char*> all;
        for (size_t i = 0; i < gguf_get_arr_n(from, id); ++i) all.push_back(gguf_get_arr_str(from, id, i));
        return all;
    }

    TemporaryFile file_;
};

}  // namespace nmos::testing
