#include "server/chat/chat_service.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/chat/scripted_model.h"

namespace aibackend::chat {
namespace {

class ChatServiceTest : public testing::Test {
 protected:
  ChatServiceTest() { EXPECT_TRUE(catalog_.Add(model_).ok()); }
  static TurnRequest Ask() {
    TurnRequest request;
    request.generate.request_id = "req_1";
    request.generate.messages = {{models::Role::kUser, "What swims?"}};
    return request;
  }
  ChatService Make(ChatService::Options options = {}) {
    return ChatService(catalog_, retriever_, executor_, clock_, options);
  }
  static models::GenerateResult Ok(std::vector<models::Citation> citations = {}) {
    models::GenerateResult result;
    result.finish_reason = "stop";
    result.usage = {3, 2, false};
    result.citations = std::move(citations);
    return result;
  }

  FakeClock clock_;
  FakeRetriever retriever_;
  ScriptedModel model_;
  models::ModelCatalog catalog_;
  std::shared_ptr<Collected> sink_ = std::make_shared<Collected>();
  Executor executor_{2, 100};
};

TEST_F(ChatServiceTest, ATurnIsGroundedAnsweredAndTimed) {
  ChatService service = Make();
  ASSERT_TRUE(service.Start(Ask(), sink_).ok());
  auto model_sink = model_.TakeSink();
  EXPECT_EQ(model_.request().grounding->passages.at(0).text, "The turtle swims.");
  clock_.Advance(absl::Milliseconds(40));
  model_sink->OnDelta(models::Delta("The turtle "));
  clock_.Advance(absl::Milliseconds(10));
  model_sink->OnDelta(models::Delta("swims."));
  model_sink->OnDone(Ok({{"doc", "doc#0", "", "", "The turtle swims.", 10, 27}}));
  sink_->done.WaitForNotification();
  EXPECT_TRUE(sink_->result.status.ok());
  EXPECT_EQ(sink_->streamed, "The turtle swims.");
  EXPECT_EQ(sink_->result.answer.text, "The turtle swims.");
  EXPECT_EQ(sink_->result.time_to_first_token, absl::Milliseconds(40));
  EXPECT_EQ(sink_->result.elapsed, absl::Milliseconds(50));
  EXPECT_EQ(sink_->result.citations.size(), 1u);
  EXPECT_EQ(sink_->result.usage.completion_tokens, 2);
}

TEST_F(ChatServiceTest, AnInventedCitationDoesNotLeave) {
  ChatService service = Make();
  ASSERT_TRUE(service.Start(Ask(), sink_).ok());
  auto model_sink = model_.TakeSink();
  model_sink->OnDelta(models::Delta("x"));
  model_sink->OnDone(Ok({{"doc", "doc#0", "", "", "The turtle flies.", 10, 27}}));
  sink_->done.WaitForNotification();
  EXPECT_TRUE(sink_->result.status.ok());
  EXPECT_TRUE(sink_->result.citations.empty());
  EXPECT_EQ(sink_->result.dropped_citations, 1);
}

TEST_F(ChatServiceTest, WhatAModelInventsIsTakenOutOfTheStreamAndCounted) {
  ChatService service = Make();
  ASSERT_TRUE(service.Start(Ask(), sink_).ok());
  auto model_sink = model_.TakeSink();
  for (const char* piece : {"It swims [", "1: \"turtle sw", "ims\"]. It flies [1: \"turtle ",
                            "flies\"], far [7], ", "\"over the whole sea\" [1] [", "1"}) {
    model_sink->OnDelta(models::Delta(piece));
  }
  EXPECT_EQ(sink_->streamed, "It swims [1]. It flies, far, \"over the whole sea\"");
  model_sink->OnDelta(models::Delta("2]."));
  model_sink->OnDone(Ok());
  sink_->done.WaitForNotification();
  const TurnResult& result = sink_->result;
  EXPECT_EQ(sink_->streamed, "It swims [1]. It flies, far, \"over the whole sea\".");
  EXPECT_EQ(result.answer.text, sink_->streamed);
  EXPECT_EQ(result.dropped_citations, 4);
  ASSERT_EQ(result.citations.size(), 1u);
  EXPECT_EQ(result.citations[0].number, 1);
  EXPECT_EQ(result.citations[0].text, "turtle swims");
  EXPECT_EQ(result.citations[0].start, 14u);
  EXPECT_EQ(result.citations[0].end, 26u);
}

TEST_F(ChatServiceTest, WhatIsHeldBackComesBeforeAToolCallAndAtTheEndAlsoOfAFailure) {
  ChatService service = Make();
  TurnRequest request = Ask();
  request.generate.tools.emplace_back();
  request.generate.tools.back().name = "dive";
  ASSERT_TRUE(service.Start(request, sink_).ok());
  auto model_sink = model_.TakeSink();
  model_sink->OnDelta(models::Delta("Wait "));
  EXPECT_EQ(sink_->streamed, "Wait");
  models::Delta call;
  const std::vector<models::ToolCallDelta> calls = {{0, "c1", "dive", "{}"}};
  call.tool_calls = calls;
  model_sink->OnDelta(call);
  EXPECT_EQ(sink_->streamed, "Wait ");
  model_sink->OnDelta(models::Delta("see [1"));
  models::GenerateResult failed = Ok();
  failed.status = MakeError(Reason::UPSTREAM_TRUNCATED, "cut");
  model_sink->OnDone(failed);
  sink_->done.WaitForNotification();
  EXPECT_EQ(sink_->streamed, "Wait see [1");
  EXPECT_EQ(sink_->result.answer.text, "Wait see [1");
  EXPECT_EQ(sink_->result.dropped_citations, 0);
}

TEST_F(ChatServiceTest, AnAnswerInJsonAndOneWithoutRetrievalAreLeftAsTheyAre) {
  ChatService service = Make();
  for (const bool json : {true, false}) {
    auto sink = std::make_shared<Collected>();
    TurnRequest request = Ask();
    request.retrieval.enabled = json;
    if (json) {
      request.generate.response_format.emplace();
      request.generate.response_format->type = models::ResponseFormat::Type::kJsonObject;
    }
    ASSERT_TRUE(service.Start(request, sink).ok());
    auto model_sink = model_.TakeSink();
    model_sink->OnDelta(models::Delta("{\"a\": [1, 9], \"b\": [9]"));
    model_sink->OnDelta(models::Delta("}"));
    model_sink->OnDone(Ok());
    sink->done.WaitForNotification();
    EXPECT_EQ(sink->streamed, "{\"a\": [1, 9], \"b\": [9]}");
    EXPECT_EQ(sink->result.dropped_citations, 0);
    EXPECT_TRUE(sink->result.citations.empty());
  }
}

TEST_F(ChatServiceTest, StrictWithNothingFoundAnswersNoContextHoweverSureRetrievalIs) {
  retriever_.finds = false;
  ChatService service = Make({/*strict_default=*/true, 10});
  ASSERT_TRUE(service.Start(Ask(), sink_).ok());
  sink_->done.WaitForNotification();
  EXPECT_EQ(sink_->result.outcome, models::Outcome::kNoContext);
  EXPECT_EQ(model_.calls(), 0);
}

TEST_F(ChatServiceTest, StrictWithoutEvidenceAnswersNoContextAndCallsNoModel) {
  retriever_.confidence = 0.2;
  ChatService service = Make({/*strict_default=*/true, 10});
  ASSERT_TRUE(service.Start(Ask(), sink_).ok());
  sink_->done.WaitForNotification();
  EXPECT_TRUE(sink_->result.status.ok());
  EXPECT_EQ(sink_->result.outcome, models::Outcome::kNoContext);
  EXPECT_EQ(sink_->streamed, models::kNoContextAnswer);
  EXPECT_TRUE(sink_->result.citations.empty());
  EXPECT_EQ(model_.calls(), 0);
}

TEST_F(ChatServiceTest, RetrievalOffMeansNoGrounding) {
  ChatService service = Make({true, 10});
  TurnRequest request = Ask();
  request.retrieval.enabled = false;
  ASSERT_TRUE(service.Start(request, sink_).ok());
  auto model_sink = model_.TakeSink();
  EXPECT_FALSE(model_.request().grounding);
  model_sink->OnDone(Ok());
  sink_->done.WaitForNotification();
}

TEST_F(ChatServiceTest, CancelReachesTheModelAndTheAccountIsKept) {
  ChatService service = Make();
  const auto turn = service.Start(Ask(), sink_);
  ASSERT_TRUE(turn.ok());
  auto model_sink = model_.TakeSink();
  model_sink->OnDelta(models::Delta("The tur"));
  (*turn)->Cancel();
  model_.cancelled.WaitForNotification();
  models::GenerateResult ended = Ok();
  ended.status = MakeError(Reason::CANCELLED, "cancelled");
  model_sink->OnDone(ended);
  sink_->done.WaitForNotification();
  EXPECT_EQ(ReasonOf(sink_->result.status), Reason::CANCELLED);
  EXPECT_EQ(sink_->result.answer.text, "The tur");
  EXPECT_EQ(sink_->result.usage.completion_tokens, 2);
}

// Its call is held up by the test.
class SlowToStart final : public models::LanguageModel {
 public:
  ~SlowToStart() override {
    if (ending_.joinable()) ending_.join();
  }
  models::ModelInfo info() const override {
    models::ModelInfo info;
    info.id = "slow";
    return info;
  }
  std::shared_ptr<models::Generation> Generate(
      const models::GenerateRequest&, std::shared_ptr<models::GenerateSink> sink) override {
    called.Notify();
    go_on.WaitForNotification();
    return std::make_shared<Handle>(*this, std::move(sink));
  }

  absl::Notification called;
  absl::Notification go_on;

 private:
  struct Handle final : models::Generation {
    Handle(SlowToStart& m, std::shared_ptr<models::GenerateSink> s)
        : model(m), sink(std::move(s)) {}
    void Cancel() override {
      models::GenerateResult result;
      result.status = MakeError(Reason::CANCELLED, "cancelled");
      model.ending_ = std::thread([done = std::move(sink), result] { done->OnDone(result); });
    }
    SlowToStart& model;
    std::shared_ptr<models::GenerateSink> sink;
  };

  std::thread ending_;
};

TEST_F(ChatServiceTest, CancelDoesNotWaitForAModelThatIsBeingAskedAndReachesIt) {
  SlowToStart slow;
  ASSERT_TRUE(catalog_.Add(slow).ok());
  TurnRequest request = Ask();
  request.generate.model = "slow";
  ChatService service = Make();
  auto turn = service.Start(request, sink_);
  ASSERT_TRUE(turn.ok());
  slow.called.WaitForNotification();
  (*turn)->Cancel();  // returns
  slow.go_on.Notify();
  sink_->done.WaitForNotification();
  EXPECT_EQ(ReasonOf(sink_->result.status), Reason::CANCELLED);
}

TEST_F(ChatServiceTest, ATurnCancelledBeforeItBeganDoesNothing) {
  absl::Notification release;
  Executor busy(1, 10);
  ASSERT_TRUE(busy.TrySubmit([&] { release.WaitForNotification(); }));
  ChatService service(catalog_, retriever_, busy, clock_, {});
  const auto turn = service.Start(Ask(), sink_);
  ASSERT_TRUE(turn.ok());
  (*turn)->Cancel();
  release.Notify();
  sink_->done.WaitForNotification();
  EXPECT_EQ(ReasonOf(sink_->result.status), Reason::CANCELLED);
  EXPECT_EQ(model_.calls(), 0);
  EXPECT_EQ(retriever_.calls, 0);  // nobody waits for what it finds
}

TEST_F(ChatServiceTest, MoreTurnsThanAllowedAreRefusedAndTheirPlacesComeBack) {
  ChatService service = Make({false, 1});
  ASSERT_TRUE(service.Start(Ask(), sink_).ok());
  auto model_sink = model_.TakeSink();
  const auto refused = service.Start(Ask(), std::make_shared<Collected>());
  EXPECT_EQ(ReasonOf(refused.status()), Reason::OVERLOADED);
  EXPECT_TRUE(RetryAfterOf(refused.status()));
  model_sink->OnDone(Ok());
  sink_->done.WaitForNotification();
  model_sink.reset();
  auto again = std::make_shared<Collected>();
  ASSERT_TRUE(service.Start(Ask(), again).ok());
  model_.TakeSink()->OnDone(Ok());
  again->done.WaitForNotification();
}

std::vector<std::string> StepsOf(const TurnResult& result) {
  std::vector<std::string> steps;
  for (const Step& step : result.timeline) {
    steps.push_back(
        absl::StrCat(step.name, " ", absl::ToInt64Milliseconds(step.at), " ", step.note));
  }
  return steps;
}

TEST_F(ChatServiceTest, ATurnTellsItsStepsAndItsPassages) {
  ChatService service = Make();
  ASSERT_TRUE(service.Start(Ask(), sink_).ok());
  auto model_sink = model_.TakeSink();
  clock_.Advance(absl::Milliseconds(40));
  model_sink->OnDelta(models::Delta("The turtle"));
  clock_.Advance(absl::Milliseconds(10));
  model_sink->OnDone(Ok());
  sink_->done.WaitForNotification();
  EXPECT_EQ(StepsOf(sink_->result),
            (std::vector<std::string>{"retrieved 0 hybrid, confidence 0.90, 1 passages",
                                      "asked 0 scripted", "first_token 40 ", "answered 50 stop"}));
  EXPECT_EQ(sink_->result.passages, std::vector<std::string>{"doc#0"});
}

TEST_F(ChatServiceTest, TheHookSeesThePassagesAndMayShortenTheAnswer) {
  ChatService service = Make();
  TurnRequest request = Ask();
  request.generate.max_tokens = 500;
  request.before_model = [this](const models::ModelInfo& model, models::GenerateRequest& generate) {
    EXPECT_EQ(model.id, "scripted");
    EXPECT_EQ(generate.grounding->passages.size(), 1u);
    EXPECT_EQ(model_.calls(), 0);
    generate.max_tokens = 7;
    return absl::OkStatus();
  };
  ASSERT_TRUE(service.Start(request, sink_).ok());
  auto model_sink = model_.TakeSink();
  EXPECT_EQ(model_.request().max_tokens, 7);
  model_sink->OnDone(Ok());
  sink_->done.WaitForNotification();
}

TEST_F(ChatServiceTest, WhatTheHookRefusesIsNotAsked) {
  ChatService service = Make();
  TurnRequest request = Ask();
  request.before_model = [](const models::ModelInfo&, models::GenerateRequest&) {
    return MakeError(Reason::QUOTA_EXCEEDED, "no tokens are left");
  };
  ASSERT_TRUE(service.Start(request, sink_).ok());
  sink_->done.WaitForNotification();
  EXPECT_EQ(ReasonOf(sink_->result.status), Reason::QUOTA_EXCEEDED);
  EXPECT_EQ(model_.calls(), 0);
  EXPECT_EQ(StepsOf(sink_->result).size(), 1u);
}

TEST_F(ChatServiceTest, TheHookIsNotCalledWhereNoModelIs) {
  retriever_.finds = false;
  ChatService service = Make({/*strict_default=*/true, 10});
  TurnRequest request = Ask();
  bool called = false;
  request.before_model = [&](const models::ModelInfo&, models::GenerateRequest&) {
    called = true;
    return absl::OkStatus();
  };
  ASSERT_TRUE(service.Start(request, sink_).ok());
  sink_->done.WaitForNotification();
  EXPECT_EQ(sink_->result.outcome, models::Outcome::kNoContext);
  EXPECT_FALSE(called);
}

TEST_F(ChatServiceTest, AnUnknownModelIsRefusedWithTheKnownOnes) {
  ChatService service = Make();
  TurnRequest request = Ask();
  request.generate.model = "nope";
  const auto refused = service.Start(request, sink_);
  EXPECT_EQ(ReasonOf(refused.status()), Reason::MODEL_NOT_FOUND);
  EXPECT_NE(std::string(refused.status().message()).find("scripted"), std::string::npos);
}

}  // namespace
}  // namespace aibackend::chat
