// RAM that a card reads and writes by itself.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>

#include <cstddef>

namespace nmos {

// Of memory that this card reads by itself; null when there is none. Drivers with several cards may have it for one only.
ggml_backend_buffer_type_t pinned_memory_type(ggml_backend_dev_t card);

// Null when the system grants none: what drivers give out instead then, ordinary memory, does not count.
ggml_backend_buffer_ptr allocate_pinned(ggml_backend_dev_t card, size_t bytes);

}  // namespace nmos
