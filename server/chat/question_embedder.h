// What questions mean, as vectors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/retrieval/query_vectors.h"
#include "server/retrieval/text_embedder.h"
#include "server/retrieval/watched_embedder.h"

namespace aibackend::chat {

// Thread-safe.
class QuestionEmbedder {
 public:
  using Vector = std::shared_ptr<const std::vector<float>>;

  virtual ~QuestionEmbedder() = default;
  // Of length 1; vectors of one size are of one space. Blocks, but not long: who waits has a model
  // to ask.
  virtual absl::StatusOr<Vector> VectorOf(const std::string& question,
                                          const telemetry::TraceContext& trace) = 0;
};

// By an embedder that collections could have, too: questions asked last are remembered, and one
// that is away or overrun is not waited for.
class TextQuestionEmbedder final : public QuestionEmbedder {
 public:
  struct Options {
    absl::Duration timeout = absl::Seconds(2);
    int waiting_max = 2;  // threads of turns that may wait at once; others don't
  };

  // Both outlive it.
  TextQuestionEmbedder(retrieval::TextEmbedder& embedder, Clock& clock, Options options)
      : embedder_(embedder, clock), vectors_(options.timeout, options.waiting_max) {}

  absl::StatusOr<Vector> VectorOf(const std::string& question,
                                  const telemetry::TraceContext& trace) override {
    return vectors_.Get(embedder_, question, trace);
  }

 private:
  retrieval::WatchedEmbedder embedder_;
  retrieval::QueryVectors vectors_;
};

}  // namespace aibackend::chat
