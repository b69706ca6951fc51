// A file of a small model with weights of K-quants at random, which leave many tokens almost equally likely, and the small model's
// vocabulary.
#pragma once

#include <string>

#include "gguf_file.h"
#include "small_model.h"
#include "synthetic_model.h"

namespace nmos::testing {

class RandomModel {
  public:
    explicit RandomModel(const std::string& shape = "tiny") { synthetic::write_model(*synthetic::find_shape(shape), small_model_path(), file_.path()); }
    std::string path() const { return file_.path(); }

  private:
    TemporaryFile file_;
};

}  // namespace nmos::testing
