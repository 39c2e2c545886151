#include "server/usage/usage_reader.h"

#include <cstdint>
#include <utility>

#include "server/base/status.h"
#include "server/usage/ledger_sql.h"

namespace aibackend::usage {

using storage::Row;
using storage::Session;

storage::PageCursor CursorOf(const RequestRow& row) {
  return {absl::ToUnixMicros(row.created_at), row.row_id};
}

absl::StatusOr<RowBatch> ReadBatch(storage::Database& database, const UsageFilter& filter,
                                   RowOrder order, const absl::optional<storage::PageCursor>& after,
                                   size_t rows_max, size_t bytes_max) {
  // One more than asked for tells whether there are more.
  const Statement statement = SelectRows(filter, order, after, static_cast<int64_t>(rows_max) + 1);
  RowBatch batch;
  AIB_RETURN_IF_ERROR(database.Read([&](Session& session) {
    batch = {};
    size_t bytes = 0;
    return session.Query(statement.sql, statement.parameters, [&](const Row& columns) {
      batch.has_more = batch.has_more || batch.rows.size() == rows_max || bytes >= bytes_max;
      if (batch.has_more) return;
      batch.rows.push_back(ReadRow(columns));
      const RequestRow& row = batch.rows.back();
      bytes += row.prompt.size() + row.response.size() + row.detail.size();
    });
  }));
  return batch;
}

absl::StatusOr<std::vector<RequestRow>> UsageReader::Next() {
  AIB_ASSIGN_OR_RETURN(RowBatch batch, ReadBatch(database_, filter_, RowOrder::kOldestFirst, after_,
                                                 kBatchRowsMax, kBatchBytesMax));
  if (!batch.rows.empty()) after_ = CursorOf(batch.rows.back());
  return std::move(batch.rows);
}

}  // namespace aibackend::usage
