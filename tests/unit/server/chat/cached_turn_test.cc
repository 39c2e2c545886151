// Turns that a cache may answer.
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "server/chat/answer_cache.h"
#include "server/chat/chat_service.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/chat/scripted_model.h"

namespace aibackend::chat {
namespace {

class CachedTurnTest : public testing::Test {
 protected:
  CachedTurnTest() {
    EXPECT_TRUE(catalog_.Add(model_).ok());
    guard::Rule rule;
    rule.name = "mail";
    rule.kind = guard::Rule::Kind::kEmail;
    rule.action = guard::Rule::Action::kMask;
    auto built = guard::Guardrails::Build({rule});
    EXPECT_TRUE(built.ok());
    rails_ = *std::move(built);
  }
  static TurnRequest Ask(std::string text = "What swims?") {
    TurnRequest request;
    request.generate.messages = {{models::Role::kUser, std::move(text)}};
    request.generate.temperature = 0;
    return request;
  }
  std::shared_ptr<Collected> Start(TurnRequest request) {
    auto sink = std::make_shared<Collected>();
    EXPECT_TRUE(service_.Start(std::move(request), sink).ok());
    return sink;
  }
  // The model answers "The turtle swims [1]."
  std::shared_ptr<Collected> Answered(TurnRequest request, const std::string& finish = "stop") {
    auto sink = Start(std::move(request));
    auto model_sink = model_.TakeSink();
    model_sink->OnDelta(models::Delta("The turtle swims [1]."));
    models::GenerateResult result;
    result.finish_reason = finish;
    result.usage = {30, 4, false};
    result.upstream_calls = 1;
    model_sink->OnDone(result);
    sink->done.WaitForNotification();
    return sink;
  }
  // Without a model.
  std::shared_ptr<Collected> Hit(TurnRequest request) {
    const int calls = model_.calls();
    auto sink = Start(std::move(request));
    sink->done.WaitForNotification();
    EXPECT_EQ(model_.calls(), calls);
    return sink;
  }

  FakeClock clock_;
  FakeRetriever retriever_;
  ScriptedModel model_;
  models::ModelCatalog catalog_;
  guard::Guardrails rails_;
  AnswerCache cache_{clock_, nullptr, {}};
  Executor executor_{2, 100};
  ChatService service_{catalog_, retriever_, executor_, clock_, {false, 10'000, &rails_, &cache_}};
};

TEST_F(CachedTurnTest, ASecondTimeTheAnswerComesFromTheCacheWithItsCitations) {
  auto first = Answered(Ask());
  EXPECT_TRUE(first->result.cache_missed);
  EXPECT_EQ(first->result.cache, "");
  clock_.Advance(absl::Seconds(5));
  const int retrievals = retriever_.calls;
  auto second = Hit(Ask());
  const TurnResult& result = second->result;
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(second->streamed, "The turtle swims [1].");
  EXPECT_EQ(result.answer.text, second->streamed);
  EXPECT_EQ(result.cache, "exact");
  EXPECT_FALSE(result.cache_missed);
  EXPECT_EQ(result.upstream_calls, 0);
  EXPECT_EQ(result.usage.prompt_tokens, 30);
  EXPECT_EQ(result.citations.size(), 1u);
  EXPECT_EQ(result.passages, std::vector<std::string>{"doc#0"});
  EXPECT_EQ(result.finish_reason, "stop");
  EXPECT_EQ(result.elapsed, absl::ZeroDuration());
  EXPECT_EQ(retriever_.calls, retrievals);
  ASSERT_EQ(result.timeline.size(), 2u);
  EXPECT_EQ(result.timeline[0].name, "cache");
  EXPECT_EQ(result.timeline[0].note, "exact");
  EXPECT_EQ(result.timeline[1].name, "answered");
}

TEST_F(CachedTurnTest, WhenTheDocumentsChangeTheModelIsAskedAgain) {
  Answered(Ask());
  retriever_.revision = 2;
  Answered(Ask());
  Hit(Ask());
  retriever_.revision = absl::nullopt;
  EXPECT_FALSE(Answered(Ask())->result.cache_missed);
}

TEST_F(CachedTurnTest, AnAnswerFromASearchThatLackedItsVectorIsNotKept) {
  retriever_.is_degraded = true;
  Answered(Ask());
  retriever_.is_degraded = false;
  EXPECT_TRUE(Answered(Ask())->result.cache_missed);
  Hit(Ask());
}

TEST_F(CachedTurnTest, TheResultTellsWhetherAModelWasAsked) {
  EXPECT_TRUE(Answered(Ask())->result.model_asked);
  EXPECT_FALSE(Hit(Ask())->result.model_asked);
  TurnRequest strict = Ask("What flies?");
  strict.retrieval.strict = true;
  retriever_.finds = false;
  EXPECT_FALSE(Hit(strict)->result.model_asked);
}

TEST_F(CachedTurnTest, WhatRulesDoIsToldOnceOfWhatComesInAndOnceOfWhatIsGenerated) {
  std::vector<std::string> told;
  ChatService::Options options{false, 10'000, &rails_, &cache_};
  options.on_guarded = [&](const std::vector<std::string>& outcomes) {  // by one turn at a time
    told.insert(told.end(), outcomes.begin(), outcomes.end());
  };
  ChatService service(catalog_, retriever_, executor_, clock_, options);
  auto sink = std::make_shared<Collected>();
  TurnRequest request = Ask("Does a@b.de swim?");
  ASSERT_TRUE(service.Guard(request).ok());
  ASSERT_TRUE(service.Start(request, sink).ok());
  auto model_sink = model_.TakeSink();
  model_sink->OnDelta(models::Delta("Ask c@d.de."));
  models::GenerateResult result;
  result.finish_reason = "stop";
  model_sink->OnDone(result);
  sink->done.WaitForNotification();
  EXPECT_EQ(told, (std::vector<std::string>{"mail:mask", "mail:mask"}));

  told.clear();
  sink = std::make_shared<Collected>();
  ASSERT_TRUE(service.Start(Ask("Does [email] swim?"), sink).ok());
  sink->done.WaitForNotification();
  EXPECT_EQ(sink->result.cache, "exact");
  EXPECT_EQ(sink->result.guardrails, std::vector<std::string>{"mail:mask"});
  EXPECT_TRUE(told.empty());
}

TEST_F(CachedTurnTest, TheHookIsForWhatTheCacheDoesNotHave) {
  int calls = 0;
  TurnRequest request = Ask();
  request.before_model = [&](const models::ModelInfo&, models::GenerateRequest&) {
    ++calls;
    return absl::OkStatus();
  };
  Answered(request);
  EXPECT_EQ(calls, 1);
  Hit(request);
  EXPECT_EQ(calls, 1);
}

TEST_F(CachedTurnTest, AnAnswerThatTheHookCutShortIsNotTheRequests) {
  TurnRequest request = Ask();
  request.before_model = [](const models::ModelInfo&, models::GenerateRequest& generate) {
    generate.max_tokens = 1;
    return absl::OkStatus();
  };
  Answered(request, "length");
  Answered(Ask(), "length");  // by the model's own limit
  Hit(Ask());
}

TEST_F(CachedTurnTest, WhatRulesLeaveOfAQuestionIsWhatIsLookedFor) {
  auto first = Answered(Ask("Does a@b.de swim?"));
  EXPECT_EQ(first->result.guardrails, std::vector<std::string>{"mail:mask"});
  auto second = Hit(Ask("Does c@d.de swim?"));
  EXPECT_EQ(second->result.guardrails, std::vector<std::string>{"mail:mask"});
  auto third = Hit(Ask("Does [email] swim?"));
  EXPECT_TRUE(third->result.guardrails.empty());
}

TEST_F(CachedTurnTest, ToolCallsAreAnswersToo) {
  TurnRequest request = Ask();
  request.generate.tools.emplace_back();
  request.generate.tools.back().name = "dive";
  auto first = Start(request);
  auto model_sink = model_.TakeSink();
  const std::vector<models::ToolCallDelta> calls = {{0, "c1", "dive", "{}"}};
  models::Delta call;
  call.tool_calls = calls;
  model_sink->OnDelta(call);
  models::GenerateResult result;
  result.finish_reason = "tool_calls";
  model_sink->OnDone(result);
  first->done.WaitForNotification();
  auto second = Hit(request);
  EXPECT_EQ(second->called, "{}");
  EXPECT_EQ(second->result.answer.tool_calls.at(0).id, "c1");
  EXPECT_EQ(second->result.finish_reason, "tool_calls");
}

TEST_F(CachedTurnTest, NoContextAndFailuresAreFoundOutAnew) {
  TurnRequest strict = Ask();
  strict.retrieval.strict = true;
  retriever_.finds = false;
  EXPECT_EQ(Hit(strict)->result.outcome, models::Outcome::kNoContext);
  EXPECT_EQ(Hit(strict)->result.cache, "");

  auto sink = Start(Ask());
  models::GenerateResult failed;
  failed.status = MakeError(Reason::UPSTREAM_TRUNCATED, "cut");
  model_.TakeSink()->OnDone(failed);
  sink->done.WaitForNotification();
  EXPECT_EQ(Answered(Ask())->result.cache, "");
}

TEST_F(CachedTurnTest, ATurnThatIsNotForTheCacheSaysNothingOfIt) {
  TurnRequest warm = Ask();
  warm.generate.temperature = 1;
  const auto sink = Answered(warm);
  EXPECT_EQ(sink->result.cache, "");
  EXPECT_FALSE(sink->result.cache_missed);
}

}  // namespace
}  // namespace aibackend::chat
