// An Exchange that keeps what it is given, and whose client, socket and clock the test plays.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gateway/http/edge.h"

namespace aibackend::gateway {

// Thread-safe.
class FakeExchange final : public Exchange {
 public:
  enum class Ending { kOpen, kResponded, kEnded, kAborted };
  struct Answer {
    int status = 0;  // 0: nothing yet
    HeaderList headers;
    std::string body;
    Ending ending = Ending::kOpen;

    std::string Header(const std::string& name) const {
      for (const auto& [key, value] : headers) {
        if (key == name) return value;
      }
      return {};
    }
  };

  // To be filled before the exchange is handed on.
  httplib::Request sent;
  std::string trace;  // its traceparent

  const httplib::Request& request() const override { return sent; }
  std::string traceparent() const override { return trace; }

  void Respond(int status, HeaderList headers, std::string body) override {
    absl::MutexLock lock(&mutex_);
    answer_ = {status, std::move(headers), std::move(body), Ending::kResponded};
  }
  void Begin(int status, HeaderList headers) override {
    absl::MutexLock lock(&mutex_);
    answer_.status = status;
    answer_.headers = std::move(headers);
  }
  bool Write(std::string data) override {
    absl::MutexLock lock(&mutex_);
    if (gone_) return false;
    answer_.body += data;
    ++writes_;
    if (!socket_takes_) pending_ += data.size();
    return true;
  }
  void End() override {
    absl::MutexLock lock(&mutex_);
    answer_.ending = Ending::kEnded;
  }
  void Abort() override {
    absl::MutexLock lock(&mutex_);
    answer_.ending = Ending::kAborted;
  }
  size_t pending_bytes() const override {
    absl::MutexLock lock(&mutex_);
    return pending_;
  }
  void WhenPendingAtMost(size_t bytes, std::function<void()> callback) override {
    {
      absl::MutexLock lock(&mutex_);
      if (pending_ > bytes && !gone_) {
        on_drained_ = std::move(callback);
        return;
      }
    }
    callback();
  }
  void WhenClientGone(std::function<void()> callback) override {
    absl::MutexLock lock(&mutex_);
    on_gone_ = std::move(callback);
  }
  bool client_gone() const override {
    absl::MutexLock lock(&mutex_);
    return gone_;
  }
  void After(absl::Duration delay, std::function<void()> callback) override {
    absl::MutexLock lock(&mutex_);
    timers_.emplace_back(delay, std::move(callback));
  }

  // The test's side.
  void TakeNothing() {
    absl::MutexLock lock(&mutex_);
    socket_takes_ = false;
  }
  void TakeAll() {
    std::function<void()> callback;
    {
      absl::MutexLock lock(&mutex_);
      socket_takes_ = true;
      pending_ = 0;
      callback = std::move(on_drained_);
      on_drained_ = nullptr;
    }
    if (callback) callback();
  }
  void Leave() {
    std::function<void()> gone;
    std::function<void()> drained;
    {
      absl::MutexLock lock(&mutex_);
      gone_ = true;
      gone = std::move(on_gone_);
      drained = std::move(on_drained_);
      on_drained_ = nullptr;
    }
    if (gone) gone();
    if (drained) drained();
  }
  // Runs the oldest timer; its delay.
  absl::Duration FireTimer() {
    std::pair<absl::Duration, std::function<void()>> timer;
    {
      absl::MutexLock lock(&mutex_);
      if (timers_.empty()) return absl::InfiniteDuration();
      timer = std::move(timers_.front());
      timers_.erase(timers_.begin());
    }
    timer.second();
    return timer.first;
  }

  Answer answer() const {
    absl::MutexLock lock(&mutex_);
    return answer_;
  }
  // Blocks until `holds` of the answer so far; false after ten seconds.
  bool WaitFor(const std::function<bool(const Answer&)>& holds) const {
    absl::MutexLock lock(&mutex_);
    const auto check = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return holds(answer_); };
    return mutex_.AwaitWithTimeout(absl::Condition(&check), absl::Seconds(10));
  }
  // Blocks until a reader waits for the socket.
  bool WaitForPause() const {
    absl::MutexLock lock(&mutex_);
    const auto check = [&]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return on_drained_ != nullptr; };
    return mutex_.AwaitWithTimeout(absl::Condition(&check), absl::Seconds(10));
  }
  Answer WaitForEnding() const {
    WaitFor([](const Answer& answer) { return answer.ending != Ending::kOpen; });
    return answer();
  }

 private:
  mutable absl::Mutex mutex_;
  Answer answer_ ABSL_GUARDED_BY(mutex_);
  int writes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool socket_takes_ ABSL_GUARDED_BY(mutex_) = true;
  size_t pending_ ABSL_GUARDED_BY(mutex_) = 0;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> on_drained_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_gone_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<absl::Duration, std::function<void()>>> timers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::gateway
