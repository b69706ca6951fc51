// What a planner needs to know about a model that is not on this machine yet.
//
// An outline is the header of a GGUF file with the shapes of all tensors, but neither vocabulary nor data; its field
// nmos.outline.file_bytes says how large the model's file is. src/engine/models/model_outline.ts writes it.
#pragma once

#include <string>

#include "plan/model_profile.h"

namespace nmos {

// The profile of the model that an outline describes, or of a model as `read_model_profile` reads it, with its errors. That takes
// an outline for a model that was cut short, so that nobody loads one. Any thread.
ModelProfile read_model_or_outline(const std::string& path);

}  // namespace nmos
