#include "server/models/embedding_retry.h"

#include "tests/unit/server/models/router_fixture.h"

namespace aibackend::models {
namespace {

// One call in an EmbedderOfTest. Says nothing by itself, also not when it is cancelled.
class EmbedOfTest final : public Generation {
 public:
  EmbedOfTest(EmbedRequest r, std::function<void(EmbedResult)> done)
      : request(std::move(r)), done_(std::move(done)) {}
  void Cancel() override { is_cancelled = true; }
  void End(absl::Status status = absl::OkStatus()) {
    EmbedResult result;
    if (status.ok()) result.vectors.assign(request.inputs.size(), {1.0F});
    result.status = std::move(status);
    result.upstream_calls = 1;
    std::exchange(done_, nullptr)(std::move(result));
  }

  const EmbedRequest request;
  std::atomic<bool> is_cancelled{false};

 private:
  std::function<void(EmbedResult)> done_;
};

class EmbedderOfTest final : public EmbeddingModel {
 public:
  ModelInfo info() const override { return {}; }
  std::shared_ptr<Generation> Embed(EmbedRequest request,
                                    std::function<void(EmbedResult)> done) override {
    auto call = std::make_shared<EmbedOfTest>(std::move(request), std::move(done));
    absl::MutexLock lock(&mutex_);
    calls_.push_back(call);
    return call;
  }
  std::shared_ptr<EmbedOfTest> Call(size_t number) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&] { return calls_.size() > number; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&there), kLongest)) << "no call";
    return calls_.at(number);
  }
  size_t calls() {
    absl::MutexLock lock(&mutex_);
    return calls_.size();
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::shared_ptr<EmbedOfTest>> calls_ ABSL_GUARDED_BY(mutex_);
};

class EmbeddingRetryTest : public ::testing::Test {
 protected:
  // Retries at once, unless the test changes `options`.
  EmbeddingRetryTest() {
    options.retries = 2;
    options.base = absl::Seconds(1);
    options.cap = absl::Seconds(10);
    options.wait_max = absl::Hours(1);
    options.random = [] { return 0.0; };
  }
  std::shared_ptr<Generation> Start() {
    retry = std::make_unique<EmbeddingRetry>(model, timer, options);
    EmbedRequest request;
    request.inputs = {"one", "two"};
    return retry->Embed(std::move(request), [this](EmbedResult result) {
      absl::MutexLock lock(&mutex);
      EXPECT_EQ(++ends, 1) << "ended twice";
      end = std::move(result);
    });
  }
  EmbedResult Wait() {
    absl::MutexLock lock(&mutex);
    const auto done = [this] { return ends > 0; };
    EXPECT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&done), kLongest)) << "no end";
    return end;
  }
  bool HasEnded() {
    absl::MutexLock lock(&mutex);
    return ends > 0;
  }

  EmbedderOfTest model;
  RetryOptions options;
  std::unique_ptr<EmbeddingRetry> retry;
  absl::Mutex mutex;
  int ends = 0;
  EmbedResult end;
  Timer timer;
};

TEST_F(EmbeddingRetryTest, AFailureThatMayPassIsTriedAgainAndAllCallsAreCounted) {
  Start();
  model.Call(0)->End(MakeError(Reason::UPSTREAM_UNAVAILABLE, "a stale connection"));
  model.Call(1)->End(MakeError(Reason::UPSTREAM_RATE_LIMITED, "too fast"));
  EXPECT_EQ(model.Call(2)->request.inputs.size(), 2U);
  model.Call(2)->End();
  const EmbedResult result = Wait();
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.vectors.size(), 2U);
  EXPECT_EQ(result.upstream_calls, 3);
}

TEST_F(EmbeddingRetryTest, TheLastErrorIsTheResultWhenAllAttemptsFailed) {
  Start();
  model.Call(0)->End(MakeError(Reason::UPSTREAM_UNAVAILABLE, "away"));
  model.Call(1)->End(MakeError(Reason::UPSTREAM_UNAVAILABLE, "away"));
  model.Call(2)->End(MakeError(Reason::UPSTREAM_BAD_RESPONSE, "no JSON"));
  EXPECT_EQ(ReasonOf(Wait().status), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(model.calls(), 3U);
}

TEST_F(EmbeddingRetryTest, WhatDoesNotPassIsNotTriedAgain) {
  Start();
  model.Call(0)->End(MakeError(Reason::UPSTREAM_REJECTED_REQUEST, "too long"));
  EXPECT_EQ(ReasonOf(Wait().status), Reason::UPSTREAM_REJECTED_REQUEST);
  EXPECT_EQ(model.calls(), 1U);
}

TEST_F(EmbeddingRetryTest, CancelDuringAWaitEndsItAtOnce) {
  options.random = [] { return 0.999; };
  options.base = absl::Hours(1);
  options.cap = absl::Hours(1);
  const auto call = Start();
  model.Call(0)->End(MakeError(Reason::UPSTREAM_UNAVAILABLE, "away"));
  call->Cancel();
  call->Cancel();
  const EmbedResult result = Wait();
  EXPECT_EQ(ReasonOf(result.status), Reason::CANCELLED);
  EXPECT_EQ(result.upstream_calls, 1);
  RunWhatIsDue(timer);
  EXPECT_EQ(model.calls(), 1U);
}

TEST_F(EmbeddingRetryTest, CancelReachesTheAttemptThatRunsAndNoOtherStarts) {
  const auto call = Start();
  model.Call(0)->End(MakeError(Reason::UPSTREAM_UNAVAILABLE, "away"));
  const auto second = model.Call(1);
  // Its start has returned once the timer does something else.
  RunWhatIsDue(timer);
  call->Cancel();
  EXPECT_TRUE(second->is_cancelled);
  EXPECT_FALSE(HasEnded());
  second->End(MakeError(Reason::UPSTREAM_UNAVAILABLE, "away"));
  EXPECT_EQ(ReasonOf(Wait().status), Reason::CANCELLED);
  EXPECT_EQ(model.calls(), 2U);
}

}  // namespace
}  // namespace aibackend::models
