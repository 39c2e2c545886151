// The job kind "evaluate": how well a collection's index ranks, by judgements that a client brings.
#pragma once

#include <string>

#include "server/base/clock.h"
#include "server/jobs/job.h"
#include "server/retrieval/document_store.h"

namespace aibackend::tasks {

// Params; unknown ones are refused by name:
//   {"collection": "default", "tenant": "default", "queries": [{"id", "text"}, …],
//    "qrels": [{"query", "document", "relevance"}, …], "modes": ["hybrid", "dense", "lexical"]}
// A relevance above 0 is relevant; a judgement of a query that is not among `queries` isn't used.
// A relevant document that the collection doesn't hold counts as not found.
//
// Result:
//   {"collection", "generation", "embedder", "generation_changed", "queries", "skipped_queries",
//    "modes": {"hybrid": {"ndcg_at_10", "recall_at_100", "mrr_at_10", "lexical_fallbacks",
//                         "ms_per_query"}, ...}}
// The measures (ranking_measures.h) are means over "queries", those that have a relevant document;
// "skipped_queries" have none. "lexical_fallbacks" counts queries that the word legs served though
// the mode asked for an embedding. "generation_changed" is true if another index than the one named
// served a query: a new generation took its place meanwhile.
//
// Each query is ranked kRankedDocuments deep, where a document's rank is its best chunk's. Reads
// the collection as it stands and changes nothing, so that a run may be repeated.
//
// Errors of Run: COLLECTION_NOT_FOUND, and those of Retriever.
class EvaluateJob final : public jobs::JobKind {
 public:
  static constexpr size_t kQueriesMax = 100'000;     // minutes of searching; more says no more
  static constexpr size_t kQrelsMax = 1'000'000;     // bounds the memory of a run
  static constexpr size_t kTextBytesMax = 32 << 10;  // what a search reads of a query
  static constexpr size_t kIdBytesMax = 256;         // as the ids of documents
  static constexpr double kRelevanceMax = 1e6;       // of either sign; sums stay exact enough

  static constexpr size_t kRankedDocuments = 100;
  // What Retrieve gives at most. A query whose best chunks are of fewer documents is ranked less
  // deep.
  static constexpr int kChunksMax = 1000;

  EvaluateJob(retrieval::DocumentStore& store, Clock& clock) : store_(store), clock_(clock) {}

  std::string name() const override { return "evaluate"; }
  absl::Status Validate(const jobs::Json& params) const override;
  absl::StatusOr<jobs::Json> Run(const jobs::Json& params, jobs::JobContext& context) override;

 private:
  retrieval::DocumentStore& store_;
  Clock& clock_;
};

}  // namespace aibackend::tasks
