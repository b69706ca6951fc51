#include "runtime/vocabulary.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <numeric>

#include "runtime/engine_error.h"

namespace nmos {

namespace {

std::string piece_of(const llama_vocab* vocab, llama_token token, bool special) {
    std::string text(16, '\0');
    for (;;) {
        const int32_t length = llama_token_to_piece(vocab, token, text.data(), static_cast<int32_t>(text.size()), 0, special);
        if (length >= 0) {
            text.resize(static_cast<size_t>(length));
            return text;
        }
        text.resize(static_cast<size_t>(-length));
    }
}

void append_tokens(const llama_vocab* vocab, const PromptPart& part, std::vector<llama_token>& tokens) {
    if (part.text.empty()) return;
    if (part.text.size() > INT32_MAX) throw EngineError(ErrorCode::InvalidArgument, "Expected less than 2 GiB of text to tokenize.");
    const auto length = static_cast<int32_t>(part.text.size());
    const size_t start = tokens.size();
    // A token covers at least one byte; the two more are for what a tokenizer may add in front.
    tokens.resize(start + part.text.size() + 2);
    const auto room = static_cast<int32_t>(tokens.size() - start);
    const int32_t count = llama_tokenize(vocab, part.text.data(), length, tokens.data() + start, room, false, part.special);
    if (count < 0) throw EngineError(ErrorCode::Internal, "The tokenizer needs more tokens than the text has bytes.");
    tokens.resize(start + static_cast<size_t>(count));
}

// Tables are filled up to a size that computes well.
bool is_padding(const llama_vocab* vocab, llama_token token) {
    return (llama_vocab_get_attr(vocab, token) & LLAMA_TOKEN_ATTR_UNUSED) != 0 || std::string_view(llama_vocab_get_text(vocab, token)).starts_with("[PAD");
}

}  // namespace

Vocabulary::Vocabulary(const llama_vocab* vocab) : vocab_(vocab) {
    const int32_t count = llama_vocab_n_tokens(vocab);
    pieces_.reserve(static_cast<size_t>(count));
    for (llama_token token = 0; token < count; ++token) {
        pieces_.push_back(piece_of(vocab, token, false));
        const bool text = !llama_vocab_is_control(vocab, token) && !llama_vocab_is_eog(vocab, token);
        if (text && !pieces_.back().empty()) by_piece_.push_back(token);
    }
    // They came by number, which those keep that begin with the same byte.
    by_number_ = by_piece_;
    const auto first_byte = [this](llama_token token) { return static_cast<unsigned char>(piece(token)[0]); };
    std::stable_sort(by_number_.begin(), by_number_.end(), [&](llama_token a, llama_token b) { return first_byte(a) < first_byte(b); });
    for (const llama_token token : by_piece_) ++begins_[size_t{first_byte(token)} + 1];
    std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
    std::sort(by_piece_.begin(), by_piece_.end(), [this](llama_token a, llama_token b) { return piece(a) < piece(b); });
}

std::vector<llama_token> Vocabulary::tokenize(const std::vector<PromptPart>& parts, bool add_bos) const {
    std::vector<llama_token> tokens;
    if (add_bos && llama_vocab_get_add_bos(vocab_)) tokens.push_back(llama_vocab_bos(vocab_));
    for (const PromptPart& part : parts) append_tokens(vocab_, part, tokens);
    return tokens;
}

std::string Vocabulary::detokenize(std::span<const llama_token> tokens, bool special) const {
    std::string text;
    for (const llama_token token : tokens) {
        if (token < 0 || static_cast<size_t>(token) >= size()) {
            throw EngineError(ErrorCode::InvalidArgument, "Expected tokens from 0 to " + std::to_string(size() - 1) + ", got " +
                                                              std::to_string(token) + ".");
        }
        text += special ? piece_of(vocab_, token, true) : std::string(piece(token));
    }
    return text;
}

std::string Vocabulary::difference_to(const Vocabulary& other) const {
    const auto text = [](const Vocabulary& of, size_t token) { return std::string_view(llama_vocab_get_text(of.vocab_, static_cast<llama_token>(token))); };
    if (llama_vocab_type(vocab_) != llama_vocab_type(other.vocab_)) return "they are of different kinds";
    const size_t common = std::min(size(), other.size());
    for (size_t token = 0; token < common; ++token) {
        if (text(*this, token) == text(other, token)) continue;
        return "token " + std::to_string(token) + " is \"" + std::string(text(*this, token)) + "\" in one and \"" + std::string(text(other, token)) + "\" in the other";
    }
    const Vocabulary& longer = size() > other.size() ? *this : other;
    for (size_t token = common; token < longer.size(); ++token) {
        if (is_padding(longer.vocab_, static_cast<llama_token>(token))) continue;
        return "only one has token " + std::to_string(token) + ", \"" + std::string(text(longer, token)) + "\"";
    }
    return "";
}

std::span<const llama_token> Vocabulary::compatible_with(std::string_view required, std::vector<llama_token>& buffer) const {
    buffer.clear();
    const auto byte = static_cast<unsigned char>(required.front());
    const size_t begin = begins_[byte];
    const size_t count = begins_[size_t{byte} + 1] - begin;
    if (required.size() == 1) return std::span(by_number_).subspan(begin, count);
    // Every further byte narrows the range of tokens that begin with what came before it. Those that end there stand at its front.
    auto first = by_piece_.begin() + static_cast<std::ptrdiff_t>(begin);
    auto last = first + static_cast<std::ptrdiff_t>(count);
    for (size_t length = 1; length < required.size() && first != last; ++length) {
        for (; first != last && piece(*first).size() == length; ++first) buffer.push_back(*first);
        const auto byte_of = [&](llama_token token) { return static_cast<unsigned char>(piece(token)[length]); };
        const auto wanted = static_cast<unsigned char>(required[length]);
        first = std::partition_point(first, last, [&](llama_token token) { return byte_of(token) < wanted; });
        last = std::partition_point(first, last, [&](llama_token token) { return byte_of(token) == wanted; });
    }
    if (buffer.empty()) return {first, last};
    buffer.insert(buffer.end(), first, last);
    return buffer;
}

}  // namespace nmos
