#include "server/usage/periodic.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "spdlog/spdlog.h"

namespace aibackend::usage {

Periodic::Periodic(std::string name, absl::Duration period, std::function<absl::Status()> work)
    : name_(std::move(name)),
      period_(period),
      work_(std::move(work)),
      pause_(period),
      thread_([this] { Run(); }) {}

Periodic::~Periodic() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

absl::Status Periodic::RunNow(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const uint64_t target = begun_ + 1;
  asked_to_ = std::max(asked_to_, target);
  const auto is_over = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || ended_ >= target;
  };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&is_over), timeout)) {
    return MakeError(Reason::DEADLINE_EXCEEDED, absl::StrCat(name_, " has not ended in time"));
  }
  return ended_ >= target ? last_ : MakeError(Reason::DRAINING, "the server is stopping");
}

void Periodic::Run() {
  while (WaitForNext()) {
    const absl::Status status = work_();
    Note(status);
    absl::MutexLock lock(&mutex_);
    last_ = status;
    pause_ = status.ok() ? period_ : std::min(pause_ * 2, std::max(kPauseMax, period_));
    ++ended_;
  }
}

// False when it is time to stop.
bool Periodic::WaitForNext() {
  absl::MutexLock lock(&mutex_);
  const absl::Duration pause =
      pause_ == period_ ? pause_ : absl::Uniform(random_, 0.5, 1.0) * pause_;
  const auto is_asked = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || asked_to_ > begun_;
  };
  mutex_.AwaitWithTimeout(absl::Condition(&is_asked), pause);
  if (stopping_) return false;
  ++begun_;
  return true;
}

void Periodic::Note(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  if (!status.ok() && last_.ok()) {
    spdlog::warn("usage: {}: {} {}; it is tried again", name_, ReasonName(ReasonOf(status)),
                 ToStd(status.message()));
  } else if (status.ok() && !last_.ok()) {
    spdlog::info("usage: {} works again", name_);
  }
}

}  // namespace aibackend::usage
