#include "server/chat/extractive_model.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/chat/extractive_answer.h"
#include "server/retrieval/analyzer.h"

namespace aibackend::chat {
namespace {

using models::Citation;
using models::GenerateRequest;
using models::GenerateResult;
using models::Outcome;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Every term weighs the same.
class FlatRetriever final : public retrieval::Retriever {
 public:
  absl::StatusOr<retrieval::RetrieveResult> Retrieve(
      const retrieval::RetrieveQuery&) const override {
    return retrieval::RetrieveResult();
  }
  std::vector<WeightedTerm> Analyze(absl::string_view text,
                                    const retrieval::CollectionId&) const override {
    std::vector<WeightedTerm> terms;
    for (auto& word : retrieval::AnalyzeWords(text)) terms.push_back({word, 1});
    return terms;
  }
};

class RecordingSink final : public models::GenerateSink {
 public:
  explicit RecordingSink(std::function<void(size_t)> on_delta = {})
      : on_delta_(std::move(on_delta)) {}

  void OnDelta(const models::Delta& delta) override {
    deltas_.emplace_back(delta.text);
    if (on_delta_) on_delta_(deltas_.size());
  }
  void OnDone(GenerateResult result) override {
    result_ = std::move(result);
    done_.Notify();
  }

  // The ones below may be called when Wait() has returned.
  const GenerateResult& Wait() {
    done_.WaitForNotification();
    return result_;
  }
  const std::vector<std::string>& deltas() const { return deltas_; }
  std::string text() const {
    std::string text;
    for (const std::string& delta : deltas_) text += delta;
    return text;
  }

 private:
  std::function<void(size_t)> on_delta_;
  std::vector<std::string> deltas_;
  GenerateResult result_;
  absl::Notification done_;
};

constexpr char kPolicy[] =
    "# Refund policy\n\nOur shop is in Leeds. Refunds are granted within 30 days of purchase. "
    "How do refunds work? Shipping takes five days.";

GenerateRequest Asking(const std::string& question, const std::string& text = kPolicy) {
  GenerateRequest request;
  request.messages = {{models::Role::kSystem, "Be brief."}, {models::Role::kUser, question}};
  models::Grounding grounding;
  grounding.confidence = 0.9;
  grounding.passages = {{"policy", "policy#1", "Policy", "policy.md", text, 1000, 1.0}};
  request.grounding = std::move(grounding);
  return request;
}

class ExtractiveModelTest : public ::testing::Test {
 protected:
  std::shared_ptr<RecordingSink> Run(const GenerateRequest& request) {
    auto sink = std::make_shared<RecordingSink>();
    model_.Generate(request, sink);
    sink->Wait();
    return sink;
  }

  static void ExpectVerbatim(const GenerateRequest& request, const RecordingSink& sink,
                             const GenerateResult& result) {
    std::string joined;
    for (const Citation& c : result.citations) {
      const auto& passage = request.grounding->passages.front();
      EXPECT_EQ(c.text, passage.text.substr(c.start - passage.start, c.end - c.start));
      joined += (joined.empty() ? "" : " ") + c.text;
    }
    EXPECT_EQ(joined, sink.text());
  }

  FlatRetriever retriever_;
  Timer timer_;
  ExtractiveModel model_{retriever_, timer_, {/*words_per_second=*/0}};
};

TEST_F(ExtractiveModelTest, AnswersWithTheSentenceWordForWord) {
  const GenerateRequest request = Asking("When are refunds granted?");
  const auto sink = Run(request);
  const GenerateResult& result = sink->Wait();
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.outcome, Outcome::kAnswered);
  EXPECT_EQ(result.finish_reason, "stop");
  EXPECT_EQ(sink->text(), "Refunds are granted within 30 days of purchase.");
  ASSERT_THAT(result.citations, SizeIs(1));
  EXPECT_EQ(result.citations[0].document_id, "policy");
  EXPECT_EQ(result.citations[0].chunk_id, "policy#1");
  ExpectVerbatim(request, *sink, result);
  EXPECT_EQ(sink->deltas().size(), 1U);
}

TEST_F(ExtractiveModelTest, AddsASentenceThatHoldsTheOtherHalfOfTheQuestion) {
  const GenerateRequest request = Asking("When are refunds granted and how long is shipping?");
  const auto sink = Run(request);
  EXPECT_EQ(sink->text(),
            "Refunds are granted within 30 days of purchase. Shipping takes five days.");
  EXPECT_THAT(sink->Wait().citations, SizeIs(2));
  ExpectVerbatim(request, *sink, sink->Wait());
}

TEST_F(ExtractiveModelTest, AnswersInJapanese) {
  const GenerateRequest request = Asking(
      "返金はいつまでですか", "店は大阪にあります。返金は購入から三十日までです。送料は無料。");
  const auto sink = Run(request);
  EXPECT_EQ(sink->text(), "返金は購入から三十日までです。");
  ExpectVerbatim(request, *sink, sink->Wait());
}

TEST_F(ExtractiveModelTest, WithoutEvidenceItSaysSo) {
  GenerateRequest unsure = Asking("Who wrote Hamlet?");
  unsure.grounding->confidence = 0.46;
  GenerateRequest empty = Asking("When are refunds granted?");
  empty.grounding->passages.clear();
  GenerateRequest off = Asking("When are refunds granted?");
  off.grounding.reset();
  for (const GenerateRequest& request : {unsure, empty, off}) {
    const auto sink = Run(request);
    EXPECT_EQ(sink->Wait().outcome, Outcome::kNoContext);
    EXPECT_TRUE(sink->Wait().status.ok());
    EXPECT_THAT(sink->Wait().citations, IsEmpty());
    EXPECT_EQ(sink->text(), models::kNoContextAnswer);
  }
}

TEST_F(ExtractiveModelTest, AStreamIsWordsThatJoinToTheAnswer) {
  for (const char* text : {kPolicy, "返金は購入から三十日までです。"}) {
    GenerateRequest request = Asking("refunds granted 返金", text);
    const std::string whole = Run(request)->text();
    request.stream = true;
    const auto sink = Run(request);
    EXPECT_EQ(sink->text(), whole);
    EXPECT_GT(sink->deltas().size(), 4U);
    for (const std::string& delta : sink->deltas()) EXPECT_TRUE(IsValidUtf8(delta));
  }
}

TEST_F(ExtractiveModelTest, AStreamKeepsItsPace) {
  ExtractiveModel paced(retriever_, timer_, {/*words_per_second=*/200});
  GenerateRequest request = Asking("When are refunds granted?");
  request.stream = true;
  const auto sink = std::make_shared<RecordingSink>();
  const absl::Time start = absl::Now();
  paced.Generate(request, sink);
  sink->Wait();
  EXPECT_EQ(sink->deltas().size(), 8U);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(7 * 5));
}

TEST_F(ExtractiveModelTest, CancelEndsAStreamWithWhatWasSent) {
  // A word every 1000 s after the first: only Cancel() can end it in time.
  ExtractiveModel slow(retriever_, timer_, {/*words_per_second=*/0.001});
  GenerateRequest request = Asking("When are refunds granted?");
  request.stream = true;
  absl::Notification has_begun;
  const auto sink = std::make_shared<RecordingSink>([&](size_t) { has_begun.Notify(); });
  const auto generation = slow.Generate(request, sink);
  has_begun.WaitForNotification();
  generation->Cancel();
  generation->Cancel();  // idempotent
  const GenerateResult& result = sink->Wait();
  EXPECT_EQ(ReasonOf(result.status), Reason::CANCELLED);
  EXPECT_EQ(sink->text(), "Refunds ");
  EXPECT_EQ(result.usage.completion_tokens, EstimateTokens("Refunds "));
  EXPECT_GT(result.usage.prompt_tokens, 0);
}

TEST_F(ExtractiveModelTest, CancelFromWithinADeltaStopsAtThatWord) {
  std::shared_ptr<models::Generation> generation;
  absl::Mutex mutex;
  const auto sink = std::make_shared<RecordingSink>([&](size_t count) {
    absl::MutexLock lock(&mutex);
    if (count == 3) generation->Cancel();
  });
  GenerateRequest request = Asking("When are refunds granted?");
  request.stream = true;
  {
    absl::MutexLock lock(&mutex);  // until `generation` is set
    generation = model_.Generate(request, sink);
  }
  EXPECT_EQ(ReasonOf(sink->Wait().status), Reason::CANCELLED);
  EXPECT_EQ(sink->deltas().size(), 3U);
}

TEST_F(ExtractiveModelTest, CancelAfterTheEndChangesNothing) {
  const auto sink = std::make_shared<RecordingSink>();
  const auto generation = model_.Generate(Asking("When are refunds granted?"), sink);
  sink->Wait();
  generation->Cancel();
  EXPECT_TRUE(sink->Wait().status.ok());
}

TEST_F(ExtractiveModelTest, MaxTokensEndsAfterAWholeWordAndCutsTheCitation) {
  GenerateRequest request = Asking("When are refunds granted and how long is shipping?");
  const std::string whole = Run(request)->text();
  for (int tokens = 1; tokens <= EstimateTokens(whole); ++tokens) {
    request.max_tokens = tokens;
    for (const bool stream : {false, true}) {
      request.stream = stream;
      const auto sink = Run(request);
      const GenerateResult& result = sink->Wait();
      const std::string text = sink->text();
      EXPECT_EQ(result.finish_reason, text == whole ? "stop" : "length");
      EXPECT_EQ(whole.substr(0, text.size()), text);
      EXPECT_LE(result.usage.completion_tokens, tokens);
      EXPECT_FALSE(result.usage.estimated);
      ExpectVerbatim(request, *sink, result);
    }
  }
  EXPECT_EQ(request.max_tokens, EstimateTokens(whole));
}

TEST_F(ExtractiveModelTest, SaysWhatItIgnores) {
  const models::ModelInfo info = model_.info();
  EXPECT_EQ(info.id, "extractive");
  EXPECT_EQ(info.provider, "embedded");
  EXPECT_THAT(info.ignored_parameters, ::testing::Contains("temperature"));
}

}  // namespace
}  // namespace aibackend::chat
