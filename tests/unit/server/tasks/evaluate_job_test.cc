#include "server/tasks/evaluate_job.h"

#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/tasks/fake_document_store.h"
#include "tests/unit/server/tasks/fake_job_context.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using retrieval::Mode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Answers each query with the documents that a test gives it, a chunk each.
class RankingStore final : public FakeDocumentStore {
 public:
  absl::StatusOr<retrieval::RetrieveResult> Retrieve(
      const retrieval::RetrieveQuery& query) const override {
    clock.Advance(absl::Milliseconds(2));
    top_ks.push_back(query.top_k);
    if (!error.ok()) return error;
    retrieval::RetrieveResult result;
    result.mode = fitted ? query.mode : Mode::kLexical;
    result.generation = generation;
    const auto found = rankings.find(query.text);
    if (found == rankings.end()) return result;
    for (const std::string& document : found->second) {
      if (result.matches.size() == static_cast<size_t>(query.top_k)) break;
      result.matches.emplace_back();
      result.matches.back().document_id = document;
    }
    return result;
  }
  absl::StatusOr<retrieval::CollectionInfo> GetCollection(
      const retrieval::CollectionId& id) override {
    if (id.name == "absent") return MakeError(Reason::COLLECTION_NOT_FOUND, "no such collection");
    retrieval::CollectionInfo info;
    info.serving.number = 7;
    info.serving.embedder = "fitted";
    return info;
  }

  std::map<std::string, std::vector<std::string>> rankings;  // by the query's text
  absl::Status error;
  bool fitted = true;
  int generation = 7;
  mutable FakeClock clock;
  mutable std::vector<int> top_ks;
};

Json Judged(const char* query, const char* document, double relevance) {
  return {{"query", query}, {"document", document}, {"relevance", relevance}};
}

class EvaluateJobTest : public ::testing::Test {
 protected:
  EvaluateJobTest() {
    store_.rankings = {{"first question", {"a", "x", "b"}}, {"second question", {"x", "c"}}};
  }

  Json Params() const {
    return {{"collection", "books"},
            {"queries",
             {{{"id", "1"}, {"text", "first question"}},
              {{"id", "2"}, {"text", "second question"}},
              {{"id", "3"}, {"text", "nobody judged this"}}}},
            {"qrels",
             {Judged("1", "a", 1), Judged("1", "b", 1), Judged("1", "x", 0), Judged("2", "c", 2),
              Judged("9", "a", 1)}}};
  }
  // The reason and the field of what is wrong with the params.
  std::string Problem(const Json& params) const {
    const absl::Status status = job_.Validate(params);
    return status.ok() ? "none" : absl::StrCat(ReasonName(ReasonOf(status)), " ", FieldOf(status));
  }

  RankingStore store_;
  EvaluateJob job_{store_, store_.clock};
  jobs::FakeJobContext context_;
};

TEST_F(EvaluateJobTest, MeasuresAreMeansOverTheQueriesThatHaveARelevantDocument) {
  const auto result = job_.Run(Params(), context_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)["collection"], "books");
  EXPECT_EQ((*result)["generation"], 7);
  EXPECT_EQ((*result)["embedder"], "fitted");
  EXPECT_EQ((*result)["generation_changed"], false);
  EXPECT_EQ((*result)["queries"], 2);
  EXPECT_EQ((*result)["skipped_queries"], 1);
  EXPECT_EQ((*result)["modes"].size(), 3u);
  const Json& hybrid = (*result)["modes"]["hybrid"];
  const double first = (1 + 0.5) / (1 + 1 / std::log2(3.0));
  const double second = 1 / std::log2(3.0);
  EXPECT_NEAR(hybrid["ndcg_at_10"].get<double>(), (first + second) / 2, 1e-12);
  EXPECT_EQ(hybrid["recall_at_100"], 1.0);
  EXPECT_EQ(hybrid["mrr_at_10"], 0.75);
  EXPECT_EQ(hybrid["lexical_fallbacks"], 0);
  EXPECT_EQ(hybrid["ms_per_query"], 2.0);
}

TEST_F(EvaluateJobTest, OnlyTheModesThatAreNamedAreMeasured) {
  Json params = Params();
  params["modes"] = {"dense"};
  const auto result = job_.Run(params, context_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)["modes"].size(), 1u);
  EXPECT_TRUE((*result)["modes"].contains("dense"));
}

TEST_F(EvaluateJobTest, WhereNothingIsFittedItSaysWhichModesFellBack) {
  store_.fitted = false;
  const auto result = job_.Run(Params(), context_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)["modes"]["hybrid"]["lexical_fallbacks"], 2);
  EXPECT_EQ((*result)["modes"]["dense"]["lexical_fallbacks"], 2);
  EXPECT_EQ((*result)["modes"]["lexical"]["lexical_fallbacks"], 0);
}

TEST_F(EvaluateJobTest, AnIndexThatIsSwappedMeanwhileIsTold) {
  store_.generation = 8;
  const auto result = job_.Run(Params(), context_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)["generation_changed"], true);
}

// 300 chunks of the document that is best, then 99 others: 400 chunks are of 100 documents.
TEST_F(EvaluateJobTest, MoreChunksAreAskedForUntilAHundredDocumentsAreThere) {
  auto& ranking = store_.rankings["first question"];
  ranking.assign(300, "long");
  for (int i = 0; i < 98; ++i) ranking.push_back(absl::StrCat("d", i));
  ranking.insert(ranking.end(), {"a", "b"});
  Json params = Params();
  params["modes"] = {"hybrid"};
  params["queries"].erase(1);
  const auto result = job_.Run(params, context_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(store_.top_ks, ElementsAre(100, 400));
  EXPECT_EQ((*result)["modes"]["hybrid"]["recall_at_100"], 0.5);  // "b" is the 101st document
}

TEST_F(EvaluateJobTest, ACollectionOfFewDocumentsIsAskedOnce) {
  ASSERT_TRUE(job_.Run(Params(), context_).ok());
  EXPECT_THAT(store_.top_ks, ElementsAre(100, 100, 100, 100, 100, 100));  // 2 queries, 3 modes
}

TEST_F(EvaluateJobTest, NoMoreChunksAreAskedForThanRetrieveGives) {
  store_.rankings["first question"].assign(5000, "long");
  Json params = Params();
  params["modes"] = {"hybrid"};
  params["queries"].erase(1);
  ASSERT_TRUE(job_.Run(params, context_).ok());
  EXPECT_THAT(store_.top_ks, ElementsAre(100, 400, 1000));
}

TEST_F(EvaluateJobTest, ProgressCountsQueriesAndEndsFull) {
  ASSERT_TRUE(job_.Run(Params(), context_).ok());
  int64_t last = -1;
  for (const auto& progress : context_.progress) {
    EXPECT_EQ(progress.total, 6);
    EXPECT_EQ(progress.done, last + 1);
    last = progress.done;
  }
  EXPECT_EQ(last, 6);
}

TEST_F(EvaluateJobTest, AJobThatShouldStopStopsBetweenQueries) {
  context_.stop_after = 3;
  EXPECT_EQ(ReasonOf(job_.Run(Params(), context_).status()), Reason::DRAINING);
  EXPECT_EQ(store_.top_ks.size(), 3u);
}

TEST_F(EvaluateJobTest, ErrorsOfTheStoreEndTheJob) {
  Json absent = Params();
  absent["collection"] = "absent";
  EXPECT_EQ(ReasonOf(job_.Run(absent, context_).status()), Reason::COLLECTION_NOT_FOUND);
  store_.error = MakeError(Reason::UPSTREAM_UNAVAILABLE, "no embedding");
  EXPECT_EQ(ReasonOf(job_.Run(Params(), context_).status()), Reason::UPSTREAM_UNAVAILABLE);
}

TEST_F(EvaluateJobTest, BadParamsAreRefusedByName) {
  EXPECT_EQ(Problem(Params()), "none");
  const auto with = [this](const Json& patch) {
    Json params = Params();
    params.merge_patch(patch);
    return Problem(params);
  };
  EXPECT_EQ(Problem(Json()), "WRONG_TYPE params");
  EXPECT_EQ(with({{"cutoff", 10}}), "UNKNOWN_FIELD params.cutoff");
  EXPECT_EQ(with({{"collection", "a b"}}), "FIELD_INVALID params.collection");
  EXPECT_EQ(with({{"queries", nullptr}}), "FIELD_REQUIRED params.queries");
  EXPECT_EQ(with({{"queries", "all"}}), "WRONG_TYPE params.queries");
  EXPECT_EQ(with({{"queries", Json::array()}}), "FIELD_OUT_OF_RANGE params.queries");
  EXPECT_EQ(with({{"qrels", nullptr}}), "FIELD_REQUIRED params.qrels");
  EXPECT_EQ(with({{"modes", {"hybrid", "psychic"}}}), "MODE_UNKNOWN params.modes[1]");
  EXPECT_EQ(with({{"modes", {1}}}), "MODE_UNKNOWN params.modes[0]");
  EXPECT_EQ(with({{"modes", {"dense", "dense"}}}), "FIELD_INVALID params.modes[1]");
}

TEST_F(EvaluateJobTest, BadQueriesAreRefusedByTheirPath) {
  const auto with = [this](const Json& query) {
    Json params = Params();
    params["queries"][1] = query;
    return Problem(params);
  };
  EXPECT_EQ(with("text"), "WRONG_TYPE params.queries[1]");
  EXPECT_EQ(with({{"id", 2}, {"text", "x"}}), "WRONG_TYPE params.queries[1].id");
  EXPECT_EQ(with({{"text", "x"}}), "FIELD_REQUIRED params.queries[1].id");
  EXPECT_EQ(with({{"id", "2"}, {"text", ""}}), "FIELD_REQUIRED params.queries[1].text");
  EXPECT_EQ(with({{"id", "2"}, {"text", "x"}, {"topic", "y"}}),
            "UNKNOWN_FIELD params.queries[1].topic");
  EXPECT_EQ(with({{"id", "1"}, {"text", "x"}}), "FIELD_INVALID params.queries[1].id");
  const std::string longest(EvaluateJob::kTextBytesMax, 'x');
  EXPECT_EQ(with({{"id", "2"}, {"text", longest}}), "none");
  EXPECT_EQ(with({{"id", "2"}, {"text", longest + "x"}}),
            "FIELD_OUT_OF_RANGE params.queries[1].text");
}

TEST_F(EvaluateJobTest, BadJudgementsAreRefusedByTheirPath) {
  const auto with = [this](const Json& judgement) {
    Json params = Params();
    params["qrels"][1] = judgement;
    return Problem(params);
  };
  EXPECT_EQ(with({{"query", "1"}, {"document", "b"}}), "WRONG_TYPE params.qrels[1].relevance");
  EXPECT_EQ(with({{"query", "1"}, {"document", "b"}, {"relevance", "1"}}),
            "WRONG_TYPE params.qrels[1].relevance");
  EXPECT_EQ(with(Judged("1", "b", 1e7)), "FIELD_OUT_OF_RANGE params.qrels[1].relevance");
  EXPECT_EQ(with(Judged("1", "b", INFINITY)), "FIELD_OUT_OF_RANGE params.qrels[1].relevance");
  EXPECT_EQ(with({{"query", "1"}, {"relevance", 1}}), "FIELD_REQUIRED params.qrels[1].document");
  EXPECT_EQ(with(Judged("1", "a", 1)), "none");  // the same as qrels[0]
  EXPECT_EQ(with(Judged("1", "a", 2)), "FIELD_INVALID params.qrels[1]");
  EXPECT_EQ(with(Judged("1", "b", -1)), "none");
}

TEST_F(EvaluateJobTest, JudgementsWithoutARelevantDocumentMeasureNothing) {
  Json params = Params();
  params["qrels"] = {Judged("1", "a", 0), Judged("9", "a", 1)};
  EXPECT_EQ(Problem(params), "FIELD_INVALID params.qrels");
}

TEST_F(EvaluateJobTest, TooManyQueriesAreRefused) {
  Json params = Params();
  params["queries"] = Json::array();
  for (size_t i = 0; i <= EvaluateJob::kQueriesMax; ++i) params["queries"].push_back(nullptr);
  const absl::Status status = job_.Validate(params);
  EXPECT_EQ(FieldOf(status), "params.queries");
  EXPECT_THAT(std::string(status.message()), HasSubstr("100001"));
}

}  // namespace
}  // namespace aibackend::tasks
