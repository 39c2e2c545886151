#include "server/usage/ledger_spool.h"

#include <utility>

#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/usage/ledger_sql.h"
#include "spdlog/spdlog.h"

namespace aibackend::usage {
namespace {

using storage::Session;

// Of one transaction: a tenth of a second of the database's write lock.
constexpr size_t kReplayRowsMax = 2000;
constexpr size_t kReplayBytesMax = size_t{16} << 20;

constexpr absl::Duration kComplaintPause = absl::Minutes(1);

absl::Status WriteRow(Session& session, const SpooledRow& row) {
  return session.Execute(UpsertSql(), row.parameters).status();
}

}  // namespace

bool LedgerSpool::Append(absl::Span<const std::string> rows) {
  const absl::Status status = spool_.Append(rows);
  if (!status.ok()) Complain(status);
  return status.ok();
}

void LedgerSpool::Sync() {
  if (const absl::Status status = spool_.Sync(); !status.ok()) Complain(status);
}

absl::StatusOr<LedgerSpool::Step> LedgerSpool::Replay(uint64_t from, bool only_alone) {
  Step step;
  std::vector<SpooledRow> rows;
  const auto take = [&](absl::string_view record) {
    absl::optional<SpooledRow> row = DecodeSpooledRow(record);
    if (!row) {
      ++step.lost;
      spdlog::error("usage: a row of the spool can't be read and is lost");
    } else if (row->alone || !only_alone) {
      rows.push_back(*std::move(row));
    }
  };
  const auto progress = spool_.Read(from, kReplayRowsMax, kReplayBytesMax, take);
  if (!progress.ok()) {
    Complain(progress.status());
    return MakeError(Reason::INTERNAL, progress.status().message());
  }
  step.next = progress->next;
  step.at_end = progress->at_end;
  if (progress->damaged > 0) {
    step.lost += progress->damaged;
    spdlog::error("usage: {} rows of the spool are damaged and lost", progress->damaged);
  }
  if (rows.empty()) return step;
  const absl::Status status = database_.Write([&](Session& session) -> absl::Status {
    for (const SpooledRow& row : rows) AIB_RETURN_IF_ERROR(WriteRow(session, row));
    return absl::OkStatus();
  });
  if (ReasonOf(status) == Reason::DATABASE_UNAVAILABLE) return status;
  if (status.ok()) {
    step.written = static_cast<int64_t>(rows.size());
  } else {
    AIB_RETURN_IF_ERROR(WriteSingly(rows, step));
  }
  return step;
}

absl::Status LedgerSpool::WriteSingly(absl::Span<const SpooledRow> rows, Step& step) {
  for (const SpooledRow& row : rows) {
    absl::Status status = database_.Write([&](Session& session) { return WriteRow(session, row); });
    if (ReasonOf(status) == Reason::DATABASE_UNAVAILABLE) return status;
    ++(status.ok() ? step.written : step.lost);
    if (!status.ok()) {
      spdlog::error("usage: the spooled row of request {} was not kept: {}",
                    std::get<std::string>(row.parameters[kRequestIdAt]), ToStd(status.message()));
    }
  }
  return absl::OkStatus();
}

bool LedgerSpool::ClearIfEndsAt(uint64_t end) {
  const absl::StatusOr<bool> cleared = spool_.ClearIfEndsAt(end);
  if (!cleared.ok()) Complain(cleared.status());
  return cleared.value_or(true);
}

void LedgerSpool::Clear() {
  if (const absl::Status status = spool_.Clear(); !status.ok()) Complain(status);
}

void LedgerSpool::Complain(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = absl::Now();
    if (now < complained_at_ + kComplaintPause) return;
    complained_at_ = now;
  }
  spdlog::error("usage: the spool doesn't do its work, rows wait in memory: {}",
                ToStd(status.message()));
}

}  // namespace aibackend::usage
