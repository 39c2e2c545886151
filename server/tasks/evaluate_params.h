// What an "evaluate" job is asked for, checked.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "server/jobs/job.h"
#include "server/retrieval/retriever.h"
#include "server/tasks/ranking_measures.h"

namespace aibackend::tasks {

struct EvaluateParams {
  struct Query {
    std::string id;
    std::string text;
    Judgements judgements;
  };
  struct NamedMode {
    const char* name;
    retrieval::Mode mode;
  };
  retrieval::CollectionId collection;
  std::vector<Query> queries;  // in the order of the params; at least one has a relevant document
  std::vector<NamedMode> modes;
};

// Reads the params that evaluate_job.h describes, within its limits. Errors name the field by its
// path, such as "params.qrels[3].relevance".
absl::StatusOr<EvaluateParams> ParseEvaluateParams(const jobs::Json& json);

}  // namespace aibackend::tasks
