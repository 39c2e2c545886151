// What the meter does, under its lock.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "server/access/metered_request.h"
#include "server/access/subject_table.h"

namespace aibackend::access {

// Thread-safe; a request is one thread's at a time. What is decided over several subjects is
// decided under one lock, and the ledger is read outside it.
class MeterCore {
 public:
  MeterCore(Clock& clock, SpentSource& spent, const Meter::Options& options);

  // Rates and places of a request with any limit: of all its subjects or of none.
  absl::Status Enter(MeteredRequest& request);
  absl::Status Reserve(MeteredRequest& request, Amount upper);
  absl::optional<int64_t> TokensLeft(MeteredRequest& request, int64_t nano_usd_per_million_tokens);
  // `actual` absent: the request is dropped. Once; any further call does nothing.
  void End(MeteredRequest& request, absl::optional<Amount> actual);

  absl::StatusOr<QuotaState> StateOf(const Subject& subject, const Limits& limits);

 private:
  bool enforces() const { return mode_ == LimitMode::kEnforce; }
  int64_t NowNanos() const;
  bool MayCount(const MeteredRequest& request) const;

  absl::optional<Refusal> RateRefusal(const MeteredRequest& request, int64_t now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::optional<Refusal> QuotaRefusal(const MeteredRequest& request, const Amount& upper)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::optional<Refusal> TokenRateRefusal(const MeteredRequest& request, int64_t tokens)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteRate(MeteredRequest& request, int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Take(MeteredRequest& request, const Amount& upper) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndShare(MeteredRequest& request, Share& share, const absl::optional<Amount>& actual)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Unpin(MeteredRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Until every book of the request knows the period; both let go of the lock meanwhile.
  absl::Status LoadBooks(MeteredRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadBook(SubjectState& state, const Period& period)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  SpentSource& spent_;
  const LimitMode mode_;
  const std::function<void(const std::string&, bool)> on_limited_;

  absl::Mutex mutex_;
  absl::CondVar loaded_;
  SubjectTable table_;  // under mutex_, but for MayHaveBook
};

}  // namespace aibackend::access
