#include "server/tasks/evaluate_job.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/tasks/evaluate_params.h"
#include "server/tasks/ranking_measures.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using retrieval::Match;
using retrieval::RetrieveResult;

constexpr int kChunksGrowth = 4;  // how many times more are asked for when they were too few

struct Ranked {
  Ranking documents;
  bool fell_back = false;  // the word legs alone served, and were not asked to
  int generation = 0;
};

// The documents of the matches, each at its best chunk's rank.
Ranking DocumentsOf(const std::vector<Match>& matches) {
  Ranking documents;
  absl::flat_hash_set<absl::string_view> seen;
  for (const Match& match : matches) {
    if (documents.size() == EvaluateJob::kRankedDocuments) break;
    if (seen.insert(match.document_id).second) documents.push_back(match.document_id);
  }
  return documents;
}

// Asks for more chunks until they are of enough documents, or there are no more.
absl::StatusOr<Ranked> Rank(const retrieval::Retriever& retriever, retrieval::RetrieveQuery query) {
  query.top_k = EvaluateJob::kRankedDocuments;
  for (;; query.top_k = std::min(kChunksGrowth * query.top_k, EvaluateJob::kChunksMax)) {
    AIB_ASSIGN_OR_RETURN(const RetrieveResult result, retriever.Retrieve(query));
    Ranking documents = DocumentsOf(result.matches);
    if (documents.size() == EvaluateJob::kRankedDocuments ||
        result.matches.size() < static_cast<size_t>(query.top_k) ||
        query.top_k == EvaluateJob::kChunksMax) {
      return Ranked{std::move(documents), result.mode != query.mode, result.generation};
    }
  }
}

// The sums of one mode's measures, on their way to means.
struct Sums {
  double ndcg = 0;
  double recall = 0;
  double reciprocal_rank = 0;
  int64_t queries = 0;
  int64_t fallbacks = 0;
  absl::Duration time;

  void Add(const Judgements& judgements, const Ranked& ranked) {
    ndcg += NdcgAt(10, judgements, ranked.documents);
    recall += RecallAt(100, judgements, ranked.documents);
    reciprocal_rank += ReciprocalRankAt(10, judgements, ranked.documents);
    fallbacks += ranked.fell_back ? 1 : 0;
    ++queries;
  }

  Json ToJson() const {
    const auto mean = [this](double sum) { return sum / static_cast<double>(queries); };
    return {{"ndcg_at_10", mean(ndcg)},
            {"recall_at_100", mean(recall)},
            {"mrr_at_10", mean(reciprocal_rank)},
            {"lexical_fallbacks", fallbacks},
            {"ms_per_query", mean(absl::ToDoubleMilliseconds(time))}};
  }
};

// Those that say something, and how many don't.
size_t DropQueriesWithoutRelevant(std::vector<EvaluateParams::Query>& queries) {
  const size_t all = queries.size();
  queries.erase(std::remove_if(queries.begin(), queries.end(),
                               [](const auto& query) { return !HasRelevant(query.judgements); }),
                queries.end());
  return all - queries.size();
}

}  // namespace

absl::Status EvaluateJob::Validate(const Json& params) const {
  return ParseEvaluateParams(params).status();
}

absl::StatusOr<Json> EvaluateJob::Run(const Json& json, jobs::JobContext& context) {
  AIB_ASSIGN_OR_RETURN(EvaluateParams params, ParseEvaluateParams(json));
  AIB_ASSIGN_OR_RETURN(const auto collection, store_.GetCollection(params.collection));
  const size_t skipped = DropQueriesWithoutRelevant(params.queries);
  const auto total = static_cast<int64_t>(params.queries.size() * params.modes.size());
  bool generation_changed = false;
  int64_t done = 0;
  Json modes = Json::object();
  for (const auto& [name, mode] : params.modes) {
    Sums sums;
    for (const EvaluateParams::Query& query : params.queries) {
      AIB_RETURN_IF_ERROR(context.CheckAlive());
      context.ReportProgress(done++, total, absl::StrCat("ranking, ", name));
      retrieval::RetrieveQuery question;
      question.text = query.text;
      question.collection = params.collection;
      question.mode = mode;
      const absl::Time start = clock_.Now();
      AIB_ASSIGN_OR_RETURN(const Ranked ranked, Rank(store_, std::move(question)));
      sums.time += clock_.Now() - start;
      sums.Add(query.judgements, ranked);
      generation_changed |= ranked.generation != collection.serving.number;
    }
    modes[name] = sums.ToJson();
  }
  context.ReportProgress(total, total, "done");
  return Json{{"collection", params.collection.name},
              {"generation", collection.serving.number},
              {"embedder", collection.serving.embedder},
              {"generation_changed", generation_changed},
              {"queries", params.queries.size()},
              {"skipped_queries", skipped},
              {"modes", std::move(modes)}};
}

}  // namespace aibackend::tasks
