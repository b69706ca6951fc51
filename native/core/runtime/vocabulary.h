// A model's vocabulary: text to tokens and back, and the tokens that may begin a healed completion.
//
// Immutable after construction, so any thread may use it. Borrows the llama_vocab, which must live longer.
#pragma once

#include <llama.h>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nmos {

// Text to tokenize. With `special`, text such as "<|im_start|>" becomes that token; otherwise it stays plain text, so
// that nothing a user writes can be taken for a control token.
struct PromptPart {
    std::string text;
    bool special = false;
};

class Vocabulary {
  public:
    // Reads the text of every token once: tens of milliseconds.
    explicit Vocabulary(const llama_vocab* vocab);

    const llama_vocab* handle() const { return vocab_; }
    size_t size() const { return pieces_.size(); }

    // Puts the BOS token in front when `add_bos` and the model asks for one.
    std::vector<llama_token> tokenize(const std::vector<PromptPart>& parts, bool add_bos) const;
    // UTF-8, possibly cut inside a character at either end. Special tokens are shown when `special`.
    std::string detokenize(std::span<const llama_token> tokens, bool special) const;

    // The bytes a token stands for in generated text; empty for control tokens.
    std::string_view piece(llama_token token) const { return pieces_[static_cast<size_t>(token)]; }

    // Text tokens that agree with `required` (not empty) as far as both reach: those that begin with it, and those that
    // are a beginning of it. Token healing allows exactly these. `buffer` is overwritten: it has them where they do not lie
    // together already, as the tens of thousands that begin with a blank do. What begins with one byte comes by number, so that
    // choosing among so many reads the logits in their order. What is returned holds as long as both are there.
    std::span<const llama_token> compatible_with(std::string_view required, std::vector<llama_token>& buffer) const;

    // In what `other` differs, in words; empty when the same tokens stand for the same text, whatever either has behind
    // them to fill its tables up. Reads the text of every token.
    std::string difference_to(const Vocabulary& other) const;

  private:
    const llama_vocab* vocab_;
    std::vector<std::string> pieces_;     // (token)
    std::vector<llama_token> by_piece_;   // text tokens, sorted by their bytes
    std::vector<llama_token> by_number_;  // the same, those that begin with the same byte in the same places, sorted by number
    std::array<size_t, 257> begins_{};    // where in both of them those that begin with a byte do, and behind the last ones
};

}  // namespace nmos
