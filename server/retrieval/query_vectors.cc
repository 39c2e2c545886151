#include "server/retrieval/query_vectors.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/retrieval/embedding_cache.h"
#include "server/retrieval/linear_algebra.h"

namespace aibackend::retrieval {

QueryVectors::Vector QueryVectors::Find(const std::string& hash) {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found->second);
  return found->second->vector;
}

void QueryVectors::Keep(const std::string& hash, Vector vector) {
  kept_.push_front({hash, std::move(vector)});
  by_hash_[hash] = kept_.begin();
  if (kept_.size() <= kKeptMax) return;
  by_hash_.erase(kept_.back().hash);
  kept_.pop_back();
}

absl::StatusOr<QueryVectors::Vector> QueryVectors::Get(WatchedEmbedder& embedder,
                                                       const std::string& text,
                                                       const telemetry::TraceContext& trace) {
  const std::string hash = HashOfText(absl::StrCat(embedder.key(), "\n", text));
  const absl::Time deadline = absl::Now() + timeout_;
  {
    absl::MutexLock lock(&mutex_);
    if (Vector found = Find(hash)) return found;
    if (embedder.IsAway()) return MakeError(Reason::OVERLOADED, "the embedder has just failed");
    if (waiting_ >= waiting_max_) {
      return MakeError(Reason::OVERLOADED, "enough searches wait for the embedder");
    }
    ++waiting_;
    const auto is_free = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !asking_.contains(hash);
    };
    const bool in_time = mutex_.AwaitWithDeadline(absl::Condition(&is_free), deadline);
    Vector found = Find(hash);
    if (found != nullptr || !in_time || embedder.IsAway()) {
      --waiting_;
      if (found != nullptr) return found;
      return MakeError(Reason::UPSTREAM_TIMEOUT, "the embedder didn't answer in time");
    }
    asking_.insert(hash);
  }
  std::vector<float> vector;
  absl::Status status =
      embedder.Embed({text}, deadline, trace, [&](size_t, std::vector<std::vector<float>> vectors) {
        if (!vectors.empty()) vector = std::move(vectors.front());
        return absl::OkStatus();
      });
  if (status.ok() && !Normalise(vector.data(), vector.size())) {
    status = MakeError(Reason::UPSTREAM_BAD_RESPONSE, "the embedding of the query is zero");
  }
  absl::MutexLock lock(&mutex_);
  --waiting_;
  asking_.erase(hash);
  AIB_RETURN_IF_ERROR(status);
  auto made = std::make_shared<const std::vector<float>>(std::move(vector));
  Keep(hash, made);
  return made;
}

}  // namespace aibackend::retrieval
