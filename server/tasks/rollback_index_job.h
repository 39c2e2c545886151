// The job kind "rollback_index": back to the embedder of a former generation.
#pragma once

#include <string>

#include "server/jobs/job.h"
#include "server/retrieval/document_store.h"

namespace aibackend::tasks {

// Params, all optional; unknown ones are refused by name:
//   {"collection": "default", "tenant": "default", "generation": the one before the serving one}
// Result: {"documents", "chunks", "generation", "embedder"}.
//
// What is made is a new generation of the documents as they are now. It works while the embedder is
// away, with the vectors that are kept. A run that is repeated after a crash makes no second one.
class RollbackIndexJob final : public jobs::JobKind {
 public:
  explicit RollbackIndexJob(retrieval::DocumentStore& store) : store_(store) {}

  std::string name() const override { return "rollback_index"; }
  // Refuses generations that there are none of, too.
  absl::Status Validate(const jobs::Json& params) const override;
  absl::StatusOr<jobs::Json> Run(const jobs::Json& params, jobs::JobContext& context) override;

 private:
  retrieval::DocumentStore& store_;
};

}  // namespace aibackend::tasks
