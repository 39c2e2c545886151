#include "server/upstream_embedder.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/base/status.h"

namespace aibackend {
namespace {

constexpr absl::Duration kStillWaiting = absl::Seconds(1);  // see TextEmbedder::OnVectors

// How many texts from `first` on make a call.
size_t CallSize(const std::vector<std::string>& texts, size_t first) {
  size_t count = 0;
  size_t bytes = 0;
  while (first + count < texts.size() && count < UpstreamEmbedder::kTextsMax) {
    bytes += texts[first + count].size();
    if (count > 0 && bytes > UpstreamEmbedder::kBytesMax) break;
    ++count;
  }
  return count;
}

}  // namespace

// The calls of one Embed(). Shared with them: one that ends late finds nobody waiting.
class UpstreamEmbedder::Calls : public std::enable_shared_from_this<Calls> {
 public:
  struct End {
    size_t first = 0;
    models::EmbedResult result;
  };

  void Start(models::EmbeddingModel& model, size_t first, models::EmbedRequest request) {
    {
      absl::MutexLock lock(&mutex_);
      running_.emplace(first, nullptr);
    }
    auto call = model.Embed(std::move(request),
                            [self = shared_from_this(), first](models::EmbedResult result) {
                              absl::MutexLock lock(&self->mutex_);
                              self->running_.erase(first);
                              self->ended_.push_back({first, std::move(result)});
                            });
    absl::MutexLock lock(&mutex_);
    const auto running = running_.find(first);  // it may have ended
    if (running != running_.end()) running->second = std::move(call);
  }

  size_t running() {
    absl::MutexLock lock(&mutex_);
    return running_.size() + ended_.size();
  }

  // The next that has ended; absent at `until`.
  absl::optional<End> Next(absl::Time until) {
    absl::MutexLock lock(&mutex_);
    const auto any = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !ended_.empty(); };
    if (!mutex_.AwaitWithDeadline(absl::Condition(&any), until)) return absl::nullopt;
    End end = std::move(ended_.front());
    ended_.pop_front();
    return end;
  }

  void Cancel() {
    std::map<size_t, std::shared_ptr<models::Generation>> running;
    {
      absl::MutexLock lock(&mutex_);
      running.swap(running_);
    }
    for (const auto& [first, call] : running) {
      if (call != nullptr) call->Cancel();
    }
  }

 private:
  absl::Mutex mutex_;
  std::map<size_t, std::shared_ptr<models::Generation>> running_ ABSL_GUARDED_BY(mutex_);
  std::deque<End> ended_ ABSL_GUARDED_BY(mutex_);
};

UpstreamEmbedder::UpstreamEmbedder(models::EmbeddingModel& model, std::string key)
    : model_(model), name_(model.info().id), key_(std::move(key)) {}

// After an error no call starts, and those under way are waited for: they are paid for.
absl::Status UpstreamEmbedder::Embed(const std::vector<std::string>& texts, absl::Time deadline,
                                     const telemetry::TraceContext& trace, OnVectors on_vectors) {
  const auto calls = std::make_shared<Calls>();
  absl::Status status;
  size_t next = 0;
  while (true) {
    while (status.ok() && next < texts.size() && calls->running() < kCallsMax) {
      const size_t size = CallSize(texts, next);
      models::EmbedRequest request;
      request.model = name_;
      request.trace = trace;
      request.inputs.assign(texts.begin() + static_cast<ptrdiff_t>(next),
                            texts.begin() + static_cast<ptrdiff_t>(next + size));
      calls->Start(model_, next, std::move(request));
      next += size;
    }
    if (calls->running() == 0) return status;
    const absl::Time now = absl::Now();
    auto end = calls->Next(std::min(deadline, now + kStillWaiting));
    absl::Status heard;
    if (end) {
      if (status.ok()) status = end->result.status;
      if (end->result.status.ok()) heard = on_vectors(end->first, std::move(end->result.vectors));
    } else if (now >= deadline) {
      calls->Cancel();
      if (!status.ok()) return status;
      return MakeError(Reason::UPSTREAM_TIMEOUT, absl::StrCat(name_, " didn't answer in time"));
    } else {
      heard = on_vectors(0, {});
    }
    if (!heard.ok()) {
      calls->Cancel();
      return heard;
    }
  }
}

}  // namespace aibackend
