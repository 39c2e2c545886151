#include "server/tasks/export_billing_job.h"

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/tasks/job_params.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using storage::Row;
using storage::Session;

// After an upgrade there may be a whole ledger to count: as often it asks whether it should stop.
constexpr absl::Duration kRollPatience = absl::Seconds(2);

constexpr char kCursor[] = "SELECT rolled, row_id FROM billing_exports WHERE destination = $1";

constexpr char kLast[] = "SELECT last FROM usage_rollups WHERE id = 1";

constexpr char kRowsAhead[] =
    "SELECT COUNT(*) FROM requests WHERE (rolled, row_id) > ($1, $2) AND rolled <= $3";

constexpr char kRows[] =
    "SELECT rolled, row_id, created_at, tenant, prompt_tokens + completion_tokens, cost_nano_usd,"
    " price_unknown, replay_of FROM requests WHERE (rolled, row_id) > ($1, $2) AND rolled <= $3"
    " ORDER BY rolled, row_id LIMIT $4";

constexpr char kAdvance[] =
    "INSERT INTO billing_exports (destination, rolled, row_id) VALUES ($1, $2, $3)"
    " ON CONFLICT (destination) DO UPDATE SET rolled = excluded.rolled, row_id = excluded.row_id"
    " WHERE (excluded.rolled, excluded.row_id) > (billing_exports.rolled, billing_exports.row_id)";

int64_t ValueOf(const Row& row, BillingMetric metric) {
  switch (metric) {
    case BillingMetric::kTokens:
      return row.Int(4);
    case BillingMetric::kNanoUsd:
      return row.Int(6) != 0 ? 0 : row.Int(5);
    case BillingMetric::kRequests:
      break;
  }
  return row.Text(7).empty() ? 1 : 0;  // a replay was paid with the first
}

// Some events that are under way, and how each ended. Shared with the sink's callbacks.
class Flight {
 public:
  explicit Flight(size_t events) : accepted_(events) {}

  // False once an event has failed: then no further one is sent.
  bool Begin() {
    absl::MutexLock lock(&mutex_);
    if (!failure_.ok()) return false;
    ++under_way_;
    return true;
  }

  void End(size_t index, absl::Status status) {
    absl::MutexLock lock(&mutex_);
    --under_way_;
    accepted_[index] = status.ok();
    if (failure_.ok()) failure_ = std::move(status);
  }

  void Skip(size_t index) {
    absl::MutexLock lock(&mutex_);
    accepted_[index] = true;
  }

  // Waits for all that are under way; how many from the first on were accepted or skipped, and why
  // no more.
  absl::Status Wait(size_t& accepted) {
    absl::MutexLock lock(&mutex_);
    const auto is_over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return under_way_ == 0; };
    mutex_.Await(absl::Condition(&is_over));
    accepted = 0;
    while (accepted < accepted_.size() && accepted_[accepted]) ++accepted;
    return failure_;
  }

 private:
  absl::Mutex mutex_;
  int under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<bool> accepted_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // the first
};

}  // namespace

absl::optional<BillingMetric> BillingMetricOf(absl::string_view name) {
  if (name == "tokens") return BillingMetric::kTokens;
  if (name == "nano_usd") return BillingMetric::kNanoUsd;
  if (name == "requests") return BillingMetric::kRequests;
  return absl::nullopt;
}

ExportBillingJob::ExportBillingJob(storage::Database& database, usage::Rollup& rollup,
                                   BillingSink& sink, Clock& clock, Options options)
    : database_(database),
      rollup_(rollup),
      sink_(sink),
      clock_(clock),
      options_(std::move(options)) {}

absl::Status ExportBillingJob::Validate(const Json& params) const {
  if (params.is_null()) return absl::OkStatus();
  return CheckKeys(params, "params", {});
}

absl::StatusOr<Json> ExportBillingJob::Run(const Json& params, jobs::JobContext& context) {
  AIB_RETURN_IF_ERROR(Validate(params));
  context.ReportProgress(0, 0, "counting what has ended");
  absl::Status counted = rollup_.RollNow(kRollPatience);
  while (ReasonOf(counted) == Reason::DEADLINE_EXCEEDED) {
    AIB_RETURN_IF_ERROR(context.CheckAlive());
    counted = rollup_.RollNow(kRollPatience);
  }
  AIB_RETURN_IF_ERROR(counted);

  Cursor cursor;
  int64_t last = 0;
  int64_t rows = 0;
  AIB_RETURN_IF_ERROR(Open(cursor, last, rows));
  int64_t events = 0;
  int64_t skipped = 0;
  std::vector<Entry> entries;
  absl::Span<const Entry> left;
  for (;;) {
    context.ReportProgress(events + skipped, rows, "sending events");
    if (left.empty()) {
      AIB_ASSIGN_OR_RETURN(entries, ReadEntries(cursor, last));
      left = entries;
    }
    if (left.empty()) break;
    const absl::Span<const Entry> window = WindowOf(left);
    size_t accepted = 0;
    const absl::Status sent = SendAll(window, context, accepted);
    if (accepted > 0) {
      cursor = window[accepted - 1].cursor;
      AIB_RETURN_IF_ERROR(Advance(cursor));
      context.NoteAdvance();
    }
    AIB_RETURN_IF_ERROR(sent);
    for (const Entry& entry : window) ++(entry.event ? events : skipped);
    left.remove_prefix(window.size());
  }
  return Json{{"events", events}, {"skipped", skipped}};
}

// Where to begin, the number up to which to go, and how many rows that is.
absl::Status ExportBillingJob::Open(Cursor& cursor, int64_t& last, int64_t& rows) {
  return database_.Read([&](Session& session) -> absl::Status {
    // Rows that aren't counted yet have the number 0, and come before none of these.
    cursor = {1, ""};
    AIB_RETURN_IF_ERROR(session.Query(kCursor, {options_.destination}, [&](const Row& row) {
      cursor = {row.Int(0), row.Text(1)};
    }));
    AIB_RETURN_IF_ERROR(session.Query(kLast, {}, [&](const Row& row) { last = row.Int(0); }));
    return session.Query(kRowsAhead, {cursor.rolled, cursor.row_id, last},
                         [&](const Row& row) { rows = row.Int(0); });
  });
}

absl::StatusOr<std::vector<ExportBillingJob::Entry>> ExportBillingJob::ReadEntries(
    const Cursor& after, int64_t last) {
  std::vector<Entry> entries;
  const absl::Time since = clock_.Now() - options_.age_max;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    entries.clear();
    return session.Query(
        kRows, {after.rolled, after.row_id, last, int64_t{kRowsMax}}, [&](const Row& row) {
          Entry entry{{row.Int(0), row.Text(1)}, absl::nullopt};
          const absl::Time at = absl::FromUnixMicros(row.Int(2));
          const int64_t value = ValueOf(row, options_.metric);
          if (value > 0 && at >= since) {
            entry.event = {absl::StrCat("aib_", entry.cursor.row_id), row.Text(3), at, value};
          }
          entries.push_back(std::move(entry));
        });
  }));
  return entries;
}

// The first of `entries`, with as many events as may be under way at once.
absl::Span<const ExportBillingJob::Entry> ExportBillingJob::WindowOf(
    absl::Span<const Entry> entries) {
  size_t size = 0;
  for (int events = 0; size < entries.size() && events < kEventsInFlightMax; ++size) {
    if (entries[size].event) ++events;
  }
  return entries.first(size);
}

// What is under way when it must stop is waited for: the sink bounds that.
absl::Status ExportBillingJob::SendAll(absl::Span<const Entry> entries, jobs::JobContext& context,
                                       size_t& accepted) {
  const auto flight = std::make_shared<Flight>(entries.size());
  absl::Status alive;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].event) {
      flight->Skip(i);
      continue;
    }
    alive = context.CheckAlive();
    if (!alive.ok() || !flight->Begin()) break;
    sink_.Send(*entries[i].event,
               [flight, i](absl::Status status) { flight->End(i, std::move(status)); });
  }
  const absl::Status sent = flight->Wait(accepted);
  return sent.ok() ? alive : sent;
}

absl::Status ExportBillingJob::Advance(const Cursor& cursor) {
  return database_.Write([&](Session& session) {
    return session.Execute(kAdvance, {options_.destination, cursor.rolled, cursor.row_id}).status();
  });
}

}  // namespace aibackend::tasks
