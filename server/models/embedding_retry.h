// Asks an embedding model again after failures that may pass.
#pragma once

#include <functional>
#include <memory>

#include "server/base/timer.h"
#include "server/models/embedding_model.h"
#include "server/models/retry.h"

namespace aibackend::models {

// As Retry, of which see RetrySchedule. The result is the last attempt's; its upstream_calls are
// all attempts'. Cancel reaches the attempt that runs, or ends the wait for one; then no other
// starts, and any end but a success is CANCELLED.
class EmbeddingRetry final : public EmbeddingModel {
 public:
  // References outlive the model, which outlives its calls.
  EmbeddingRetry(EmbeddingModel& inner, Timer& timer, RetryOptions options);

  ModelInfo info() const override { return inner_.info(); }
  std::shared_ptr<Generation> Embed(EmbedRequest request,
                                    std::function<void(EmbedResult)> done) override;

 private:
  class Call;

  EmbeddingModel& inner_;
  Timer& timer_;
  const RetryOptions options_;
};

}  // namespace aibackend::models
