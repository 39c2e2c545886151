// The job kind "index_documents": adds documents, then indexes their collection anew.
#pragma once

#include <string>
#include <vector>

#include "server/jobs/job.h"
#include "server/retrieval/document_store.h"

namespace aibackend::tasks {

// Params, all optional; unknown ones are refused by name:
//   {"collection": "default", "tenant": "default", "embedder": the collection's own,
//   "documents": [{"id", "title", "text", "source", "metadata"}, …]}
// Result: {"documents", "chunks", "generation", "embedder"} of the collection, and what became of
// the job's own documents: {"added", "updated", "unchanged"}.
//
// A run that is repeated after a crash finds what was added unchanged, what was embedded kept, and
// makes no generation where the one that serves is its own.
class IndexDocumentsJob final : public jobs::JobKind {
 public:
  static constexpr size_t kDocumentsMax = 10'000;  // more belongs in several jobs

  explicit IndexDocumentsJob(retrieval::DocumentStore& store) : store_(store) {}

  std::string name() const override { return "index_documents"; }
  absl::Status Validate(const jobs::Json& params) const override;
  absl::StatusOr<jobs::Json> Run(const jobs::Json& params, jobs::JobContext& context) override;

 private:
  struct Counts;
  absl::StatusOr<Counts> AddAll(const retrieval::CollectionId& collection,
                                std::vector<retrieval::StoredDocument> documents,
                                jobs::JobContext& context);

  retrieval::DocumentStore& store_;
};

}  // namespace aibackend::tasks
