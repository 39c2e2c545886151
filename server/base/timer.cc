#include "server/base/timer.h"

#include "absl/time/clock.h"

namespace aibackend {

Timer::Timer() : thread_([this] { Run(); }) {}

Timer::~Timer() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.Signal();
  }
  thread_.join();
}

Timer::Handle Timer::After(absl::Duration delay, std::function<void()> callback) {
  return At(absl::Now() + delay, std::move(callback));
}

Timer::Handle Timer::At(absl::Time when, std::function<void()> callback) {
  absl::MutexLock lock(&mutex_);
  const Handle handle = next_++;
  const bool is_first = pending_.empty() || when < pending_.begin()->first.first;
  pending_.emplace(Key(when, handle), std::move(callback));
  times_.emplace(handle, when);
  if (is_first) changed_.Signal();
  return handle;
}

bool Timer::Cancel(Handle handle) {
  std::function<void()> callback;  // what it holds may use the timer when it goes
  absl::MutexLock lock(&mutex_);
  const auto found = times_.find(handle);
  if (found == times_.end()) return false;
  callback = std::move(pending_.extract(Key(found->second, handle)).mapped());
  times_.erase(found);
  return true;
}

void Timer::Run() {
  mutex_.Lock();
  while (!stopping_) {
    if (pending_.empty()) {
      changed_.Wait(&mutex_);
      continue;
    }
    const auto first = pending_.begin();
    if (first->first.first > absl::Now()) {
      changed_.WaitWithDeadline(&mutex_, first->first.first);
      continue;
    }
    std::function<void()> callback = std::move(first->second);
    times_.erase(first->first.second);
    pending_.erase(first);
    mutex_.Unlock();
    callback();
    callback = nullptr;  // here, because what it holds may use the timer when it goes
    mutex_.Lock();
  }
  mutex_.Unlock();
}

}  // namespace aibackend
