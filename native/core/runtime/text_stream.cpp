#include "runtime/text_stream.h"

#include <algorithm>
#include <utility>

namespace nmos {

size_t incomplete_tail(std::string_view text) {
    for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
        const auto byte = static_cast<unsigned char>(text[text.size() - back]);
        if ((byte & 0xC0) == 0x80) continue;
        const size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
        return length > back ? back : 0;
    }
    return 0;
}

TextStream::TextStream(size_t skip, std::vector<std::string> stops) : skip_(skip), stops_(std::move(stops)) {}

std::string TextStream::push(std::string_view bytes) {
    if (stopped_) return "";
    const size_t swallowed = std::min(skip_, bytes.size());
    skip_ -= swallowed;
    pending_ += bytes.substr(swallowed);
    size_t cut = first_stop();
    stopped_ = cut != std::string::npos;
    if (!stopped_) cut = pending_.size() - held_back();
    std::string certain = pending_.substr(0, cut);
    if (stopped_) pending_.clear();
    else pending_.erase(0, cut);
    return certain;
}

std::string TextStream::finish() {
    pending_.resize(pending_.size() - incomplete_tail(pending_));
    return std::exchange(pending_, "");
}

// Where the stop string begins that is complete first, so that it does not matter how tokens cut the text.
size_t TextStream::first_stop() const {
    size_t first = std::string::npos;
    size_t first_end = std::string::npos;
    for (const std::string& stop : stops_) {
        const size_t begin = pending_.find(stop);
        if (begin == std::string::npos) continue;
        const size_t end = begin + stop.size();
        if (end > first_end || (end == first_end && begin > first)) continue;
        first = begin;
        first_end = end;
    }
    return first;
}

size_t TextStream::held_back() const {
    size_t held = incomplete_tail(pending_);
    for (const std::string& stop : stops_) {
        for (size_t length = std::min(stop.size() - 1, pending_.size()); length > held; --length) {
            if (pending_.ends_with(std::string_view(stop).substr(0, length))) held = length;
        }
    }
    return held;
}

}  // namespace nmos
