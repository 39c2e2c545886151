// The port to what turns texts into vectors outside of this folder: an embedding model.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace aibackend::retrieval {

// What is made from a collection's own texts has this name; no embedder outside has it.
inline constexpr char kFittedEmbedder[] = "fitted";

// Thread-safe.
class TextEmbedder {
 public:
  virtual ~TextEmbedder() = default;

  // What requests and generations name it by: the id of the model.
  virtual const std::string& name() const = 0;

  // Texts with the same key and the same bytes have the same vector, for ever: what they are kept
  // by. Another upstream model or another number of dimensions behind the same name is another key.
  virtual const std::string& key() const = 0;

  // Blocks until all are there or `deadline` has passed. One vector a text, in their order, finite,
  // all of one size, of any length; or an error and nothing. Retries what a retry can help with.
  // Errors: UPSTREAM_*, OVERLOADED.
  virtual absl::StatusOr<std::vector<std::vector<float>>> Embed(
      const std::vector<std::string>& texts, absl::Time deadline) = 0;
};

}  // namespace aibackend::retrieval
