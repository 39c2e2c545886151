// Retry, Balance and Fallback.
#include <cmath>
#include <functional>

#include "server/models/attempts.h"
#include "server/models/balance.h"
#include "server/models/fallback.h"
#include "server/models/retry.h"
#include "tests/unit/server/models/router_fixture.h"

namespace aibackend::models {
namespace {

class RetryTest : public ::testing::Test {
 protected:
  // Retries at once, unless the test changes `options`.
  RetryTest() {
    options.retries = 2;
    options.base = absl::Seconds(1);
    options.cap = absl::Seconds(10);
    options.wait_max = absl::Hours(1);
    options.random = [] { return 0.0; };
  }
  std::shared_ptr<Generation> Start() {
    retry = std::make_unique<Retry>(model, timer, options);
    return retry->Generate(Asking("Hello"), sink);
  }

  ModelOfTest model{"small"};
  Timer timer;
  Retry::Options options;
  std::unique_ptr<Retry> retry;
  std::shared_ptr<SinkOfTest> sink = std::make_shared<SinkOfTest>();
};

TEST_F(RetryTest, AFailureThatMayPassIsTriedAgainAndAllCallsAreCounted) {
  Start();
  model.Call(0)->End(Reason::UPSTREAM_UNAVAILABLE);
  model.Call(1)->End(Reason::UPSTREAM_BAD_RESPONSE);
  model.Call(2)->Say("Hi");
  model.Call(2)->End();
  const GenerateResult result = sink->WaitDone();
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.upstream_calls, 3);
  EXPECT_EQ(result.usage.prompt_tokens, 7);  // of the last attempt alone
  EXPECT_EQ(sink->text(), "Hi");
  EXPECT_EQ(model.Call(2)->request.messages.at(0).content, "Hello");
}

TEST_F(RetryTest, TheLastErrorIsTheResultWhenAllAttemptsFailed) {
  Start();
  model.Call(0)->End(Reason::UPSTREAM_UNAVAILABLE);
  model.Call(1)->End(Reason::UPSTREAM_UNAVAILABLE);
  model.Call(2)->End(Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(ReasonOf(sink->WaitDone().status), Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(sink->WaitDone().upstream_calls, 3);
  EXPECT_EQ(model.calls(), 3U);
}

TEST_F(RetryTest, NothingIsTriedAgainAfterADelta) {
  Start();
  model.Call(0)->Say("Half an ans");
  model.Call(0)->End(Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonOf(sink->WaitDone().status), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(model.calls(), 1U);
}

TEST_F(RetryTest, WhatDoesNotPassIsNotTriedAgain) {
  for (const auto reason :
       {Reason::UPSTREAM_TIMEOUT, Reason::UPSTREAM_REJECTED_REQUEST, Reason::OVERLOADED,
        Reason::UPSTREAM_REFUSED_CREDENTIALS, Reason::CANCELLED, Reason::FIELD_INVALID}) {
    const size_t calls = model.calls();
    sink = std::make_shared<SinkOfTest>();
    Start();
    model.Call(calls)->End(reason);
    EXPECT_EQ(ReasonOf(sink->WaitDone().status), reason);
    EXPECT_EQ(model.calls(), calls + 1) << ReasonName(reason);
  }
}

TEST_F(RetryTest, ARetryAfterIsWaitedForAndOneTooLongEndsItAtOnce) {
  options.wait_max = absl::Milliseconds(50);
  Start();
  const absl::Time before = absl::Now();
  model.Call(0)->End(LimitedFor(absl::Milliseconds(50)));
  const auto second = model.Call(1);
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(50));
  second->End(LimitedFor(absl::Milliseconds(51)));
  EXPECT_EQ(sink->ends(), 1);
  EXPECT_EQ(RetryAfterOf(sink->WaitDone().status), absl::Milliseconds(51));
}

TEST_F(RetryTest, TheBackoffDoublesUpToTheCap) {
  // Each wait is the ceiling times the random number, so 0.001 of it is 1, 2 and 3 ms.
  options.retries = 3;
  options.cap = absl::Seconds(3);
  int asked = 0;
  options.random = [&] { return ++asked, 0.001; };
  Start();
  for (size_t i = 0; i < 3; ++i) {
    const absl::Time before = absl::Now();
    model.Call(i)->End(Reason::UPSTREAM_UNAVAILABLE);
    model.Call(i + 1);
    EXPECT_GE(absl::Now() - before, absl::Milliseconds(i + 1));
  }
  model.Call(3)->End();
  EXPECT_EQ(sink->WaitDone().upstream_calls, 4);
  EXPECT_EQ(asked, 3);
}

TEST_F(RetryTest, CancelDuringAWaitEndsItAtOnceWithTheLastAttemptsAccount) {
  options.random = [] { return 0.999; };
  options.base = absl::Hours(1);
  options.cap = absl::Hours(1);
  const auto generation = Start();
  model.Call(0)->End(Reason::UPSTREAM_UNAVAILABLE);
  generation->Cancel();
  generation->Cancel();
  const GenerateResult result = sink->WaitDone();
  EXPECT_EQ(ReasonOf(result.status), Reason::CANCELLED);
  EXPECT_EQ(result.upstream_calls, 1);
  EXPECT_EQ(result.usage.prompt_tokens, 7);
  RunWhatIsDue(timer);
  EXPECT_EQ(model.calls(), 1U);
}

TEST_F(RetryTest, CancelReachesTheAttemptThatRunsAndNoOtherStarts) {
  const auto generation = Start();
  model.Call(0)->End(Reason::UPSTREAM_UNAVAILABLE);
  const auto second = model.Call(1);
  generation->Cancel();
  EXPECT_TRUE(second->is_cancelled);
  EXPECT_EQ(sink->ends(), 0);
  second->End(Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(sink->WaitDone().status), Reason::CANCELLED);
  EXPECT_EQ(model.calls(), 2U);
}

TEST_F(RetryTest, AnAnswerThatCameDespiteACancelStands) {
  const auto generation = Start();
  generation->Cancel();
  model.Call(0)->End();
  EXPECT_TRUE(sink->WaitDone().status.ok());
}

TEST(WeightsTest, AreHitAsOftenAsTheySay) {
  const std::vector<double> weights = {1, 0, 3, -1, std::nan("")};
  std::vector<int> hits(weights.size());
  for (int i = 0; i < 1000; ++i) ++hits[ChooseByWeight(weights, i / 1000.0)];
  EXPECT_EQ(hits, (std::vector<int>{250, 0, 750, 0, 0}));
  EXPECT_EQ(ChooseByWeight({0, 0}, 0.9), 0U);
}

class BalanceTest : public ::testing::Test {
 protected:
  std::shared_ptr<Generation> Start() { return balance.Generate(Asking("Hello"), sink); }
  // Ends the calls at a and b in turn, and returns what came of it.
  absl::Status AfterBoth(absl::Status first, absl::Status second) {
    random = 0;
    sink = std::make_shared<SinkOfTest>();
    const size_t calls = a.calls();
    Start();
    a.Call(calls)->End(std::move(first));
    b.Call(calls)->End(std::move(second));
    return sink->WaitDone().status;
  }

  ModelOfTest a{"a"};
  ModelOfTest b{"b"};
  Timer timer;
  double random = 0;
  Balance balance{ModelOfTest("name").info(), {{&a, 1}, {&b, 3}}, timer, [this] { return random; }};
  std::shared_ptr<SinkOfTest> sink = std::make_shared<SinkOfTest>();
};

TEST_F(BalanceTest, AFailureThatAnotherMayNotShareGoesToAnother) {
  EXPECT_EQ(balance.info().id, "name");
  random = 0.25;
  Start();
  b.Call(0)->End(Reason::UPSTREAM_REFUSED_CREDENTIALS);
  a.Call(0)->End();
  EXPECT_TRUE(sink->WaitDone().status.ok());
  EXPECT_EQ(sink->WaitDone().upstream_calls, 2);
  EXPECT_EQ(a.calls() + b.calls(), 2U);
}

TEST_F(BalanceTest, ARequestAtFaultGoesToNoOther) {
  Start();
  a.Call(0)->End(Reason::UPSTREAM_REJECTED_REQUEST);
  EXPECT_EQ(ReasonOf(sink->WaitDone().status), Reason::UPSTREAM_REJECTED_REQUEST);
  EXPECT_EQ(b.calls(), 0U);
}

TEST_F(BalanceTest, WhenAllFailedTheErrorIsTheOneThatSaysMost) {
  const auto error = [](v1::Error::Reason reason) { return MakeError(reason, "x"); };
  EXPECT_EQ(
      RetryAfterOf(AfterBoth(LimitedFor(absl::Seconds(5)), error(Reason::UPSTREAM_UNAVAILABLE))),
      absl::Seconds(5));
  EXPECT_EQ(RetryAfterOf(AfterBoth(LimitedFor(absl::Seconds(5)), LimitedFor(absl::Seconds(9)))),
            absl::Seconds(5));
  EXPECT_EQ(ReasonOf(AfterBoth(error(Reason::UPSTREAM_TIMEOUT), LimitedFor(absl::Seconds(5)))),
            Reason::UPSTREAM_TIMEOUT);
  EXPECT_EQ(ReasonOf(AfterBoth(error(Reason::UPSTREAM_TRUNCATED),
                               error(Reason::UPSTREAM_REFUSED_CREDENTIALS))),
            Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(
      ReasonOf(AfterBoth(error(Reason::UPSTREAM_TRUNCATED), error(Reason::UPSTREAM_UNAVAILABLE))),
      Reason::UPSTREAM_UNAVAILABLE);
}

class FallbackTest : public ::testing::Test {
 protected:
  FallbackTest() {
    request.temperature = 1.5;
    request.grounding.emplace();
  }
  static ModelInfo Limited(std::string id, bool is_general) {
    ModelInfo info;
    info.id = std::move(id);
    info.temperature_max = 1;
    info.is_general = is_general;
    return info;
  }
  std::shared_ptr<Generation> Start() { return fallback.Generate(request, sink); }

  ModelOfTest asked{"asked"};
  ModelOfTest other{Limited("other", true)};
  ModelOfTest quoting{Limited("quoting", false)};
  Timer timer;
  Fallback fallback{{&asked, &other, &quoting}, timer};
  GenerateRequest request = Asking("Hello");
  std::shared_ptr<SinkOfTest> sink = std::make_shared<SinkOfTest>();
};

TEST_F(FallbackTest, TheNextModelAnswersUnderItsOwnNameAndWithinItsLimits) {
  EXPECT_EQ(fallback.info().id, "asked");
  Start();
  EXPECT_EQ(asked.Call(0)->request.temperature, 1.5);
  asked.Call(0)->End(Reason::UPSTREAM_TIMEOUT);
  EXPECT_EQ(other.Call(0)->request.temperature, 1);
  EXPECT_EQ(other.Call(0)->request.model, "other");
  other.Call(0)->End();
  const GenerateResult result = sink->WaitDone();
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.model, "other");
  EXPECT_EQ(result.upstream_calls, 2);
}

TEST_F(FallbackTest, ItTellsWhoMayAnswerInItsPlace) {
  EXPECT_EQ(fallback.info().fallbacks,
            (std::vector<std::string>{other.info().id, quoting.info().id}));
  EXPECT_TRUE(asked.info().fallbacks.empty());
}

TEST_F(FallbackTest, TheModelThatWasAskedIsNamedToo) {
  Start();
  asked.Call(0)->End();
  EXPECT_EQ(sink->WaitDone().model, "asked");
}

TEST_F(FallbackTest, NoOtherModelFinishesWhatOneBegan) {
  Start();
  asked.Call(0)->Say("Half");
  asked.Call(0)->End(Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonOf(sink->WaitDone().status), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(sink->WaitDone().model, "asked");
  EXPECT_EQ(other.calls(), 0U);
}

TEST_F(FallbackTest, WhenAllFailTheErrorIsTheFirstModels) {
  Start();
  asked.Call(0)->End(Reason::UPSTREAM_RATE_LIMITED);
  other.Call(0)->End(Reason::UPSTREAM_UNAVAILABLE);
  quoting.Call(0)->End(Reason::OVERLOADED);
  const GenerateResult result = sink->WaitDone();
  EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(result.model, "asked");
  EXPECT_EQ(result.upstream_calls, 3);
}

TEST_F(FallbackTest, AFallbacksTruncatedAnswerIsItsOwnError) {
  Start();
  asked.Call(0)->End(Reason::UPSTREAM_RATE_LIMITED);
  other.Call(0)->Say("Half");
  other.Call(0)->End(Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonOf(sink->WaitDone().status), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(sink->WaitDone().model, "other");
}

TEST_F(FallbackTest, AModelThatCanNotTakeTheRequestIsPassedOver) {
  const GenerateRequest plain = request;
  const std::vector<std::function<void()>> demands = {
      [&] { request.tools.emplace_back(); },
      [&] {
        request.messages[0].parts.push_back({ContentPart::Kind::kImage, "", "data:", ""});
      },
      [&] { request.messages[0].tool_calls.emplace_back(); },
      [&] { request.messages[0].role = Role::kTool; },
      [&] {
        request.response_format = {ResponseFormat::Type::kJsonObject, "", "", "", {}};
      },
      [&] { request.grounding.reset(); }};
  for (size_t i = 0; i < demands.size(); ++i) {
    request = plain;
    demands[i]();
    sink = std::make_shared<SinkOfTest>();
    Start();
    asked.Call(i)->End(Reason::UPSTREAM_UNAVAILABLE);
    other.Call(i)->End(Reason::UPSTREAM_UNAVAILABLE);
    EXPECT_EQ(sink->ends(), 1) << i;
    EXPECT_EQ(quoting.calls(), 0U) << i;
  }
}

}  // namespace
}  // namespace aibackend::models
