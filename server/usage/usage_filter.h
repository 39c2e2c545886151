// Which rows of the ledger, and the statement that gives them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/storage/database.h"
#include "server/storage/page_cursor.h"
#include "server/usage/request_row.h"

namespace aibackend::usage {

// All that are set must fit; one that is set to "" fits the rows that have none.
struct UsageFilter {
  absl::optional<absl::Time> from;  // created in [from, to)
  absl::optional<absl::Time> to;
  absl::optional<std::string> tenant;
  absl::optional<std::string> user_id;
  absl::optional<std::string> key_id;
  absl::optional<std::string> model;
  absl::optional<std::string> endpoint;
  absl::optional<std::string> request_id;
  absl::optional<std::string> row_id;
  absl::optional<RequestStatus> status;
};

enum class RowOrder { kNewestFirst, kOldestFirst };

struct Statement {
  std::string sql;  // the same text for the same combination of fields: it is prepared once
  std::vector<storage::Value> parameters;
};

// Gives RequestColumns() of at most `limit` rows, those behind `after` where it is set. A filter
// with a row_id, a request_id, a key_id that isn't empty, or a tenant reads an index of it; any
// other goes along all rows in their order.
Statement SelectRows(const UsageFilter& filter, RowOrder order,
                     const absl::optional<storage::PageCursor>& after, int64_t limit);

}  // namespace aibackend::usage
