#include "server/usage/ledger.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/usage/waiting_rows.h"

namespace aibackend::usage {
namespace {

using storage::Row;
using storage::Session;
using storage::Value;

constexpr int kPageSizeMax = 1000;
// Of the rows' content: with it and two lists of 1000 names a page stays below half of what a
// message may weigh (32 MiB).
constexpr size_t kPageBytesMax = size_t{8} << 20;

constexpr char kInterrupt[] =
    "UPDATE requests SET status = 'ERROR', error_reason = $1,"
    " reserved_until = CASE WHEN reserved_tokens > 0 OR reserved_nano_usd > 0 THEN $2 ELSE 0 END"
    " WHERE status = 'RUNNING'";

#define AIB_TOTALS_OF                                                                          \
  "SELECT model, user_id, status, COUNT(*), CAST(SUM(prompt_tokens) AS BIGINT),"               \
  " CAST(SUM(completion_tokens) AS BIGINT), CAST(SUM(cost_nano_usd) AS BIGINT) FROM requests " \
  "WHERE created_at >= $1 AND created_at < $2"
#define AIB_GROUPED " GROUP BY model, user_id, status ORDER BY model, user_id, status LIMIT $3"

constexpr char kTotals[] = AIB_TOTALS_OF AIB_GROUPED;
constexpr char kTotalsOfTenant[] = AIB_TOTALS_OF " AND tenant = $4" AIB_GROUPED;

}  // namespace

Ledger::Ledger(storage::Database& database, storage::GroupWriter& writer, Options options)
    : database_(database),
      is_on_(options.is_on),
      settle_wait_(options.settle_wait),
      waiting_(std::make_shared<WaitingRows>(database, writer, std::move(options))) {
  waiting_->Watch();
}

Ledger::~Ledger() = default;

absl::StatusOr<int64_t> Ledger::ReplaySpool() {
  return waiting_->ReplayLeft();
}

absl::StatusOr<int64_t> Ledger::RecoverInterrupted(absl::Time now, absl::Duration lease) {
  int64_t recovered = 0;
  AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(recovered, session.Execute(kInterrupt, {ReasonName(Reason::INTERRUPTED),
                                                                 absl::ToUnixMicros(now + lease)}));
    return absl::OkStatus();
  }));
  return recovered;
}

void Ledger::Begin(const RequestRow& row) {
  if (is_on_) waiting_->Put(row, /*ended=*/false);
}

void Ledger::End(const RequestRow& row) {
  if (is_on_) waiting_->Put(row, /*ended=*/true);
}

int64_t Ledger::spooled_rows() const {
  return waiting_->spooled();
}

int64_t Ledger::lost_rows() const {
  return waiting_->lost();
}

absl::Status Ledger::Settle() {
  return waiting_->Settle(settle_wait_);
}

absl::StatusOr<RequestPage> Ledger::List(const UsageFilter& filter, int page_size,
                                         const std::string& page_token) {
  absl::optional<storage::PageCursor> after;
  if (!page_token.empty()) {
    AIB_ASSIGN_OR_RETURN(after, storage::DecodePageToken(page_token));
  }
  const auto limit = static_cast<size_t>(std::clamp(page_size, 1, kPageSizeMax));
  AIB_ASSIGN_OR_RETURN(RowBatch batch, ReadBatch(database_, filter, RowOrder::kNewestFirst, after,
                                                 limit, kPageBytesMax));
  RequestPage page;
  if (batch.has_more) page.next_page_token = storage::EncodePageToken(CursorOf(batch.rows.back()));
  page.rows = std::move(batch.rows);
  return page;
}

absl::StatusOr<std::vector<UsageTotal>> Ledger::Totals(absl::Time from, absl::Time to,
                                                       const absl::optional<std::string>& tenant) {
  // One more than may be tells that there are too many.
  std::vector<Value> parameters = {absl::ToUnixMicros(from), absl::ToUnixMicros(to),
                                   static_cast<int64_t>(kTotalsMax) + 1};
  if (tenant) parameters.emplace_back(*tenant);
  std::vector<UsageTotal> totals;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    totals.clear();
    return session.Query(tenant ? kTotalsOfTenant : kTotals, parameters, [&](const Row& row) {
      totals.push_back({row.Text(0), row.Text(1),
                        RequestStatusOf(row.Text(2)).value_or(RequestStatus::kError), row.Int(3),
                        row.Int(4), row.Int(5), NanoUsd{row.Int(6)}});
    });
  }));
  if (totals.size() <= kTotalsMax) return totals;
  return MakeError(Reason::FIELD_OUT_OF_RANGE,
                   absl::StrCat("there are more than ", kTotalsMax,
                                " combinations of model, status and user: ask for fewer days, or "
                                "for one tenant"));
}

absl::StatusOr<SpentTotals> Ledger::SpentSince(const SpentQuery& query) {
  AIB_RETURN_IF_ERROR(waiting_->Settle(settle_wait_));
  SpentTotals totals;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(totals, ReadSpent(session, query));
    return absl::OkStatus();
  }));
  return totals;
}

}  // namespace aibackend::usage
