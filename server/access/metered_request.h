// One request as the meter knows it.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "server/access/meter.h"
#include "server/access/subject_table.h"
#include "server/base/status.h"

namespace aibackend::access {

const char* SubjectKindName(Subject::Kind kind);  // "key", "user", "tenant", "address"

// One of those that a request counts in.
struct Share {
  Subject subject;
  std::shared_ptr<const Limits> limits;  // null: none; never one without any limit
  bool has_quota = false;                // a limit on a day or a month

  SubjectState* state = nullptr;  // pinned; null: not limited, or the request is over
  // The quotas' book; null where it doesn't know the period (not loaded, or no quota).
  QuotaBook* KnownBook(const Period& period) const;
  bool is_reserved = false;    // of its quotas
  TokenBucket::Charge tokens;  // of its tokens a minute
};

// Why a request is not let through.
struct Refusal {
  Subject::Kind kind;
  const char* limit;    // the first that refuses, as in the contract
  std::string message;  // about that one
  absl::Duration wait;  // until none refuses

  std::string name() const;  // "key.requests_per_minute"
};

// `refusal` becomes the one, or lengthens its wait.
void AddRefusal(absl::optional<Refusal>& all, Refusal refusal);
absl::Status RefusalError(v1::Error::Reason reason, const Refusal& refusal);

class MeteredRequest {
 public:
  // Key, user, tenant, address, as far as the caller has them. A key's own limits come before those
  // that the source has for keys.
  MeteredRequest(const Caller& caller, absl::Time created_at, const LimitSource& source);

  absl::Span<Share> shares() { return absl::MakeSpan(shares_.data(), count_); }
  absl::Span<const Share> shares() const { return absl::MakeConstSpan(shares_.data(), count_); }

  const absl::Time created_at;
  bool is_limited = false;  // by anything
  bool is_metered = false;  // by tokens or money
  bool counts_money = false;

  absl::optional<RateState> rate;
  std::string shadow_limit;
  bool spares_tokens = false;  // in shadow mode: tokens a minute are not to be taken
  absl::optional<Amount> reserved;
  bool is_over = false;

 private:
  void Add(Subject subject, std::shared_ptr<const Limits> limits);

  std::array<Share, 4> shares_;
  size_t count_ = 0;
};

}  // namespace aibackend::access
