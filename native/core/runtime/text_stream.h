// Turns the bytes of tokens into text that may be shown: whole characters only, and nothing that is, or may become,
// part of a stop string.
//
// Pure; used by one thread at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nmos {

class TextStream {
  public:
    // The first `skip` bytes are swallowed (token healing: the user has already typed them). Stop strings are valid
    // UTF-8 and not empty.
    TextStream(size_t skip, std::vector<std::string> stops);

    // Takes the bytes of a token and returns the text that has become certain.
    std::string push(std::string_view bytes);
    // Returns what was held back; half a character at the end is dropped.
    std::string finish();

    // A stop string came; everything behind it is ignored.
    bool stopped() const { return stopped_; }

  private:
    size_t first_stop() const;
    size_t held_back() const;

    size_t skip_;
    std::vector<std::string> stops_;
    std::string pending_;
    bool stopped_ = false;
};

// Bytes at the end of `text` that begin a UTF-8 character without ending it: 0 to 3.
size_t incomplete_tail(std::string_view text);

}  // namespace nmos
