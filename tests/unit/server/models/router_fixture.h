// What the tests of the decorators share: a model whose answers the test gives by hand, and a sink
// that remembers.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/base/timer.h"
#include "server/models/language_model.h"
#include "tests/unit/fake_clock.h"

namespace aibackend::models {

inline constexpr absl::Duration kLongest =
    absl::Seconds(60);  // never reached by a test that passes

class SinkOfTest final : public GenerateSink {
 public:
  void OnDelta(const Delta& delta) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(ends_, 0) << "a delta after the end";
    text_.append(delta.text.data(), delta.text.size());
  }
  void OnDone(GenerateResult result) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(++ends_, 1) << "ended twice";
    result_ = std::move(result);
  }
  GenerateResult WaitDone() {
    absl::MutexLock lock(&mutex_);
    const auto done = [this] { return ends_ > 0; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&done), kLongest)) << "no OnDone";
    return result_;
  }
  int ends() {
    absl::MutexLock lock(&mutex_);
    return ends_;
  }
  std::string text() {
    absl::MutexLock lock(&mutex_);
    return text_;
  }

 private:
  absl::Mutex mutex_;
  int ends_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  GenerateResult result_ ABSL_GUARDED_BY(mutex_);
};

// One generation in a ModelOfTest. Says nothing by itself, also not when it is cancelled.
class CallOfTest final : public Generation {
 public:
  CallOfTest(GenerateRequest r, std::shared_ptr<GenerateSink> sink)
      : request(std::move(r)), sink_(std::move(sink)) {}

  void Cancel() override { is_cancelled = true; }
  void Say(absl::string_view text) { sink_->OnDelta(Delta(text)); }
  void End(absl::Status status = absl::OkStatus()) {
    GenerateResult result;
    result.status = std::move(status);
    result.upstream_calls = 1;
    result.usage.prompt_tokens = 7;
    std::exchange(sink_, nullptr)->OnDone(std::move(result));
  }
  void End(v1::Error::Reason reason) { End(MakeError(reason, "as the test wants it")); }

  const GenerateRequest request;
  std::atomic<bool> is_cancelled{false};

 private:
  std::shared_ptr<GenerateSink> sink_;
};

class ModelOfTest final : public LanguageModel {
 public:
  explicit ModelOfTest(std::string id) {
    info_.id = std::move(id);
    info_.description = "small at http://upstream.test";
  }
  explicit ModelOfTest(ModelInfo info) : info_(std::move(info)) {}

  ModelInfo info() const override { return info_; }
  std::shared_ptr<Generation> Generate(const GenerateRequest& request,
                                       std::shared_ptr<GenerateSink> sink) override {
    auto call = std::make_shared<CallOfTest>(request, std::move(sink));
    absl::MutexLock lock(&mutex_);
    calls_.push_back(call);
    return call;
  }

  // The call with this number, from 0, once it is there.
  std::shared_ptr<CallOfTest> Call(size_t number) {
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
  ModelInfo info_;
  absl::Mutex mutex_;
  std::vector<std::shared_ptr<CallOfTest>> calls_ ABSL_GUARDED_BY(mutex_);
};

// Returns when the timer has run all that was due.
inline void RunWhatIsDue(Timer& timer) {
  absl::Mutex mutex;
  bool ran = false;
  timer.After(absl::ZeroDuration(), [&] {
    absl::MutexLock lock(&mutex);
    ran = true;
  });
  absl::MutexLock lock(&mutex);
  mutex.Await(absl::Condition(&ran));
}

inline GenerateRequest Asking(std::string text) {
  GenerateRequest request;
  ChatMessage message;
  message.content = std::move(text);
  request.messages.push_back(std::move(message));
  return request;
}

inline absl::Status LimitedFor(absl::Duration after) {
  return WithRetryAfter(MakeError(Reason::UPSTREAM_RATE_LIMITED, "too fast"), after);
}

}  // namespace aibackend::models
