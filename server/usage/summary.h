// What was used, by day, tenant, model, user, key or endpoint: from the totals of usage_daily,
// never from the ledger's rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/base/money.h"
#include "server/storage/database.h"
#include "server/usage/rollup.h"

namespace aibackend::usage {

enum class Dimension { kDay, kTenant, kModel, kUser, kKey, kEndpoint };

// "day", "tenant", "model", "user", "key", "endpoint"; nullopt for anything else.
absl::optional<Dimension> DimensionOf(absl::string_view name);

struct SummaryQuery {
  std::vector<Dimension> group_by;  // in any order; none: one group, of all
  // Whole UTC days: from the day of `from` to the day before the one of `to`, or with it where `to`
  // is no midnight. Default: `to` is now, `from` 29 days before the last day.
  absl::optional<absl::Time> from;
  absl::optional<absl::Time> to;
  // All that are there must fit; an empty text is a value as any.
  absl::optional<std::string> tenant;
  absl::optional<std::string> user_id;
  absl::optional<std::string> key_id;
  absl::optional<std::string> model;
  absl::optional<std::string> endpoint;
};

// 0 where nothing was measured.
struct Percentiles {
  double p50_ms = 0;
  double p95_ms = 0;
  double p99_ms = 0;
};

struct SummaryGroup {
  // What it is grouped by; the others are absent.
  absl::optional<std::string> day;  // 2026-01-31
  absl::optional<std::string> tenant;
  absl::optional<std::string> model;
  absl::optional<std::string> user_id;
  absl::optional<std::string> key_id;
  absl::optional<std::string> endpoint;

  int64_t requests = 0;  // that ended; of them errors and cancelled
  int64_t errors = 0;
  int64_t cancelled = 0;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t reasoning_tokens = 0;
  NanoUsd cost;  // of those with a known price
  int64_t price_unknown_requests = 0;
  Percentiles latency;
  Percentiles time_to_first_token;

  int64_t total_tokens() const;
};

struct UsageSummary {
  // By day, newest first; then by total tokens, most first; then by name.
  std::vector<SummaryGroup> groups;
  SummaryGroup total;
  int64_t left_out = 0;  // groups, those with the fewest tokens; `total` has them
};

// Thread-safe. Sums are exact but for what saturates; percentiles are within
// Histogram::kRelativeError.
class Summarizer {
 public:
  static constexpr size_t kGroupsMax = 10'000;  // the contract's, of one answer
  // More aren't sorted out for an answer either: some hundred megabytes.
  static constexpr size_t kGroupsReadMax = 100'000;
  // What has ended until now is counted first, if that takes no longer than this: else the answer
  // is of what is counted (a first start after an upgrade has the whole ledger to count).
  static constexpr absl::Duration kRollPatience = absl::Seconds(2);

  // All outlive it.
  Summarizer(storage::Database& database, Rollup& rollup, Clock& clock)
      : database_(database), rollup_(rollup), clock_(clock) {}

  // Blocks on the database. Fails with FIELD_OUT_OF_RANGE ("to") where `to` isn't after `from` and
  // ("group_by") where there are more groups than kGroupsReadMax, or as the database does.
  absl::StatusOr<UsageSummary> Summarize(const SummaryQuery& query);

 private:
  storage::Database& database_;
  Rollup& rollup_;
  Clock& clock_;
};

}  // namespace aibackend::usage
