// The port to what turns texts into vectors outside of this folder: an embedding model.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/telemetry/tracer.h"

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
  // by. Another upstream model or another server behind the same name is another key.
  virtual const std::string& key() const = 0;

  // Gets the vectors of texts[first], texts[first + 1] …: finite, of any length, all of one size.
  // Pieces come in any order, each text once. With no vectors it is called once a second while
  // nothing comes, so that who waits may stop. A status that isn't OK ends the call with it.
  using OnVectors =
      absl::FunctionRef<absl::Status(size_t first, std::vector<std::vector<float>> vectors)>;

  // Blocks until all are there, or `deadline` (of the machine's clock) has passed. `trace` is of
  // who asks, and may be none. `on_vectors` is called on this thread; what it got before an error
  // was paid for, and is as good as any. Retries what a retry can help with. No text is empty.
  // Errors: UPSTREAM_*, OVERLOADED.
  virtual absl::Status Embed(const std::vector<std::string>& texts, absl::Time deadline,
                             const telemetry::TraceContext& trace, OnVectors on_vectors) = 0;
};

}  // namespace aibackend::retrieval
