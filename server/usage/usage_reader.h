// The rows that fit a filter, oldest first, in batches: for exports of any size.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "server/storage/database.h"
#include "server/storage/page_cursor.h"
#include "server/usage/request_row.h"
#include "server/usage/usage_filter.h"

namespace aibackend::usage {

// Belongs to one thread at a time. Each batch is read in a transaction of its own: between two, no
// snapshot is held, and a row that was created meanwhile comes too, if the filter's `to` lets it.
class UsageReader {
 public:
  static constexpr size_t kBatchRowsMax = 1000;
  static constexpr size_t kBatchBytesMax = size_t{4} << 20;  // of content; one row may be above it

  // `database` outlives it.
  UsageReader(storage::Database& database, UsageFilter filter)
      : database_(database), filter_(std::move(filter)) {}

  // The next rows; none at the end. After an error the same call reads the same rows. Blocks on the
  // database.
  absl::StatusOr<std::vector<RequestRow>> Next();

 private:
  storage::Database& database_;
  const UsageFilter filter_;
  absl::optional<storage::PageCursor> after_;
};

// At most `rows_max` rows, fewer where their content comes to `bytes_max`; `has_more`: there are
// more behind the last one.
struct RowBatch {
  std::vector<RequestRow> rows;
  bool has_more = false;
};
absl::StatusOr<RowBatch> ReadBatch(storage::Database& database, const UsageFilter& filter,
                                   RowOrder order, const absl::optional<storage::PageCursor>& after,
                                   size_t rows_max, size_t bytes_max);

// Of the last row, to go on behind it.
storage::PageCursor CursorOf(const RequestRow& row);

}  // namespace aibackend::usage
