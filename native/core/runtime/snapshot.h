// A copy of a session's KV cache in RAM, for any session of the same model.
//
// It may outlive the session and the model, and is only read once it is made: any thread may hold and free it.
#pragma once

#include <llama.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace nmos {

class Model;

struct Snapshot {
    std::weak_ptr<const Model> model;  // whose weights and type of KV it belongs to
    std::vector<llama_token> tokens;
    std::vector<uint8_t> kv;           // in the library's own format
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace nmos
