// Where in a JSON document a reader is: a chain of the levels above, on the stack, which becomes a
// path such as documents[3].metadata.owner only when there is an error to name it in.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace aibackend::gateway {

struct JsonPlace {
  const JsonPlace* above = nullptr;
  absl::string_view name;  // of an object's member; empty for an element and for the document
  int index = -1;          // of an array's element

  std::string ToString() const {
    std::string path = above ? above->ToString() : std::string();
    if (index >= 0) return absl::StrCat(path, "[", index, "]");
    return path.empty() ? std::string(name) : absl::StrCat(path, ".", name);
  }
};

}  // namespace aibackend::gateway
