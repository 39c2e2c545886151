// The ledger: exactly one row for each request, whatever becomes of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/base/ids.h"
#include "server/base/money.h"
#include "server/base/status.h"
#include "server/storage/database.h"
#include "server/storage/group_writer.h"
#include "server/usage/content_policy.h"
#include "server/usage/request_row.h"
#include "server/usage/spent.h"
#include "server/usage/usage_filter.h"
#include "server/usage/usage_purge.h"
#include "server/usage/usage_reader.h"

namespace aibackend::usage {

class WaitingRows;

constexpr size_t kTotalsMax = 100'000;  // some ten megabytes of one answer

// Totals over a span of time, one element a (model, status, user).
struct UsageTotal {
  std::string model;
  std::string user_id;
  RequestStatus status = RequestStatus::kOk;
  int64_t requests = 0;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  NanoUsd cost;
};

struct RequestPage {
  std::vector<RequestRow> rows;  // newest first
  std::string next_page_token;   // empty on the last page
};

// Thread-safe. Begin and End don't touch the database: they queue. A row that is begun and ended
// within one commit interval is written once. `writer` may outlive the ledger, and writes what it
// was given; its hooks become the ledger's.
class Ledger {
 public:
  struct Options {
    ContentPolicy log_content = ContentPolicy::kOn;
    size_t content_bytes_max = 64 * 1024;  // of prompt and of response, cut on a character
    // Of all content that waits for the database; beyond it rows are kept without their content.
    size_t waiting_bytes_max = size_t{256} << 20;
    // Where rows go while the database is away, so that they outlive this process; empty: nowhere.
    // One ledger a folder.
    std::string spool_folder;
    uint64_t spool_bytes_max = uint64_t{1} << 30;
    absl::Duration spool_retry = absl::Seconds(5);  // after the disk didn't let it be read
    // Of SpentSince, for the rows that are queued.
    absl::Duration settle_wait = absl::Seconds(2);
    bool is_on = true;  // off: Begin and End do nothing
  };

  Ledger(storage::Database& database, storage::GroupWriter& writer, Options options);
  ~Ledger();

  // Writes the rows that a killed process left in the spool, each once, whether it had been written
  // before or not; how many were there. Call once at start, before RecoverInterrupted. Fails with
  // DATABASE_UNAVAILABLE, or INTERNAL where the file can't be read; the spool is kept then.
  absl::StatusOr<int64_t> ReplaySpool();

  // Rows that a killed process left RUNNING become ERROR with reason INTERRUPTED; how many. What
  // they had reserved stays held until now + lease. Call once at start, before Begin. (A process
  // that lives and shares the file sets its rows right when they end.)
  absl::StatusOr<int64_t> RecoverInterrupted(absl::Time now, absl::Duration lease);

  // A request starts; `row.row_id` must be unique (IdSource::Next). Again for the same row while it
  // runs: what is known by now, such as what it has reserved.
  void Begin(const RequestRow& row);

  // The same request ends; `row` replaces what Begin wrote, and holds nothing any more. A row ends
  // once: what comes later for it changes nothing.
  void End(const RequestRow& row);

  // Requests whose end was not kept: there was no room in the writer's queue and in the spool, or
  // the database refused the row. Each is in the log, as an error with its request id.
  int64_t lost_rows() const;
  // Rows that went to the spool since the start.
  int64_t spooled_rows() const;

  // All that follow block on the database.

  // Waits until what has ended before this call is in the database: OK, or DATABASE_UNAVAILABLE
  // where that isn't so within `settle_wait`.
  absl::Status Settle();

  // Newest first. `page_size` is brought to 1…1000; a page ends sooner where its content comes to
  // 8 MiB. A token is of any page with the same filter. Fails with PAGE_TOKEN_INVALID.
  absl::StatusOr<RequestPage> List(const UsageFilter& filter, int page_size,
                                   const std::string& page_token);
  // For exports; not after the database is gone.
  UsageReader Read(UsageFilter filter) { return UsageReader(database_, std::move(filter)); }

  // Requests created in [from, to), of one tenant or of all. Fails with FIELD_OUT_OF_RANGE where
  // there are more elements than kTotalsMax.
  absl::StatusOr<std::vector<UsageTotal>> Totals(
      absl::Time from, absl::Time to, const absl::optional<std::string>& tenant = absl::nullopt);

  // Counts every request that ended before the call. Fails with DATABASE_UNAVAILABLE, also where
  // not all of those are written yet within `settle_wait`.
  absl::StatusOr<SpentTotals> SpentSince(const SpentQuery& query);

  // Not after the database is gone.
  UsagePurge Purge(UsagePurge::Bounds bounds) { return UsagePurge(database_, std::move(bounds)); }

 private:
  storage::Database& database_;
  const bool is_on_;
  const absl::Duration settle_wait_;
  const std::shared_ptr<WaitingRows> waiting_;  // shared with what is queued in the writer
};

}  // namespace aibackend::usage
