// Copies weights from one place in RAM to another.
//
// By several threads where there is much to copy: one alone is slower than memory is, the more so where it is the first to touch
// a page. Where the system has no thread to give, or no memory for one, the calling thread does more. Any thread.
#pragma once

#include <cstddef>
#include <functional>

namespace nmos {

// Calls `copy` with parts of `count` pieces, from the first to behind the last, on several threads; `bytes` are those of all pieces.
// It must not throw.
void copy_in_parts(size_t count, size_t bytes, const std::function<void(size_t, size_t)>& copy);

// `count` rows of `bytes` each, that begin so many bytes behind one another.
void copy_rows(char* to, size_t to_stride, const char* from, size_t from_stride, size_t bytes, size_t count);

void copy_bytes(char* to, const char* from, size_t bytes);

}  // namespace nmos
