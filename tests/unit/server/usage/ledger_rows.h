// Rows of the ledger as a test wants them, put straight into its table: totals and exports must be
// right for whatever stands there.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "server/storage/database.h"
#include "server/usage/ledger.h"

namespace aibackend::usage {

// Inserts or replaces what a request's end replaces; `rolled` stays as it is.
inline absl::Status PutRow(storage::Session& session, const RequestRow& row) {
  constexpr char kPut[] =
      "INSERT INTO requests (row_id, request_id, created_at, endpoint, user_id, model, status,"
      " prompt, response, prompt_bytes, response_bytes, prompt_tokens, completion_tokens,"
      " usage_estimated, cost_nano_usd, response_time_ms, ttft_ms, error_reason, cached_tokens,"
      " reasoning_tokens, tenant, key_id, price_unknown, replay_of)"
      " VALUES ($1, $1, $2, $3, $4, $5, $6, '', '', 0, 0, $7, $8, 0, $9, $10, $11, '', $12, $13,"
      " $14, $15, $16, $17)"
      " ON CONFLICT (row_id) DO UPDATE SET status = excluded.status,"
      " prompt_tokens = excluded.prompt_tokens, completion_tokens = excluded.completion_tokens,"
      " cost_nano_usd = excluded.cost_nano_usd, response_time_ms = excluded.response_time_ms,"
      " ttft_ms = excluded.ttft_ms, cached_tokens = excluded.cached_tokens,"
      " reasoning_tokens = excluded.reasoning_tokens, price_unknown = excluded.price_unknown";
  return session
      .Execute(kPut,
               {row.row_id, absl::ToUnixMicros(row.created_at), row.endpoint, row.user_id,
                row.model, std::string(RequestStatusName(row.status)), int64_t{row.prompt_tokens},
                int64_t{row.completion_tokens}, row.cost.value, int64_t{row.response_time_ms},
                int64_t{row.ttft_ms}, int64_t{row.cached_tokens}, int64_t{row.reasoning_tokens},
                row.tenant, row.key_id, int64_t{row.price_unknown}, row.replay_of})
      .status();
}

inline void PutRows(storage::Database& database, const std::vector<RequestRow>& rows) {
  const absl::Status status = database.Write([&](storage::Session& session) {
    for (const RequestRow& row : rows) {
      if (absl::Status put = PutRow(session, row); !put.ok()) return put;
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
}

// The rows of a query, each as its columns joined by '|'.
inline std::vector<std::string> Ask(storage::Database& database, const std::string& sql,
                                    int columns) {
  std::vector<std::string> lines;
  const absl::Status status = database.Read([&](storage::Session& session) {
    return session.Query(sql, {}, [&](const storage::Row& row) {
      std::string line = row.Text(0);
      for (int i = 1; i < columns; ++i) line += "|" + row.Text(i);
      lines.push_back(std::move(line));
    });
  });
  EXPECT_TRUE(status.ok()) << status;
  return lines;
}

}  // namespace aibackend::usage
