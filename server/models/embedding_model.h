// The port to embedding models: texts to vectors.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "server/models/language_model.h"

namespace aibackend::models {

struct EmbedRequest {
  std::string request_id;
  std::string model;                // the id the client named
  std::vector<std::string> inputs;  // UTF-8, none of them empty
  absl::optional<int> dimensions;
  std::string user;
  telemetry::TraceContext trace;  // as GenerateRequest::trace
  std::string extra;              // as GenerateRequest::extra
};

struct EmbedResult {
  absl::Status status;
  std::vector<std::vector<float>> vectors;  // when OK: one an input, in its order, all of one size
  TokenUsage usage;                         // prompt tokens
  std::string model;                        // as GenerateResult::model
  int upstream_calls = 0;
};

// Thread-safe; many calls run at once.
//
// Embed() returns at once and doesn't block; `done` is called exactly once, never from inside
// Embed() or Cancel(), on a thread that must not be blocked. Errors: as LanguageModel.
class EmbeddingModel {
 public:
  virtual ~EmbeddingModel() = default;
  virtual ModelInfo info() const = 0;
  virtual std::shared_ptr<Generation> Embed(EmbedRequest request,
                                            std::function<void(EmbedResult)> done) = 0;
};

}  // namespace aibackend::models
