#include "server/usage/ledger_sql.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/text.h"

namespace aibackend::usage {
namespace {

using storage::Row;
using storage::Value;

// Of a user's and a model's name as a client gave them: what the contract allows a user.
constexpr size_t kNameBytesMax = 256;
// Of the detail, which is JSON and can't be cut: a longer one is left out. A timeline and twenty
// passages come to 2 KiB.
constexpr size_t kDetailBytesMax = 64 * 1024;

constexpr const char* kColumns[] = {"row_id",
                                    "request_id",
                                    "created_at",
                                    "endpoint",
                                    "user_id",
                                    "model",
                                    "status",
                                    "prompt",
                                    "response",
                                    "prompt_bytes",
                                    "response_bytes",
                                    "prompt_tokens",
                                    "completion_tokens",
                                    "usage_estimated",
                                    "cost_nano_usd",
                                    "response_time_ms",
                                    "ttft_ms",
                                    "error_reason",
                                    "cached_tokens",
                                    "reasoning_tokens",
                                    "upstream_calls",
                                    "replay_of",
                                    "tenant",
                                    "key_id",
                                    "price_version",
                                    "price_unknown",
                                    "cache",
                                    "guardrails",
                                    "shadow_limit",
                                    "detail",
                                    "trace_id",
                                    "reserved_tokens",
                                    "reserved_nano_usd"};

// Of a request that began these stand; and were they written again, so would be each index.
bool IsSettled(absl::string_view column) {
  static constexpr absl::string_view kSettled[] = {
      "row_id", "request_id", "created_at", "endpoint", "user_id", "tenant", "key_id", "trace_id"};
  return absl::c_linear_search(kSettled, column);
}

std::string MakeUpsert() {
  std::vector<std::string> places;
  std::vector<std::string> changes;
  for (const char* column : kColumns) {
    places.push_back(absl::StrCat("$", places.size() + 1));
    if (!IsSettled(column)) changes.push_back(absl::StrCat(column, " = excluded.", column));
  }
  return absl::StrCat(
      "INSERT INTO requests (", RequestColumns(), ") VALUES (", absl::StrJoin(places, ", "),
      ") ON CONFLICT (row_id) DO UPDATE SET ", absl::StrJoin(changes, ", "),
      ", reserved_until = 0"
      " WHERE requests.status = 'RUNNING' OR requests.error_reason = 'INTERRUPTED'");
}

int64_t Size(int told, const std::string& text) {
  return std::max(int64_t{told}, static_cast<int64_t>(text.size()));
}

}  // namespace

const std::string& RequestColumns() {
  static const auto* const columns = new std::string(absl::StrJoin(kColumns, ", "));
  return *columns;
}

const std::string& UpsertSql() {
  static const auto* const sql = new std::string(MakeUpsert());
  return *sql;
}

std::vector<Value> UpsertParameters(const RequestRow& row, ContentPolicy policy,
                                    size_t content_bytes_max) {
  // What has ended holds nothing any more.
  const bool runs = row.status == RequestStatus::kRunning;
  return {row.row_id,
          row.request_id.value,
          absl::ToUnixMicros(row.created_at),
          row.endpoint,
          std::string(Utf8Prefix(row.user_id, kNameBytesMax)),
          std::string(Utf8Prefix(row.model, kNameBytesMax)),
          RequestStatusName(row.status),
          KeptContent(policy, row.prompt, content_bytes_max),
          KeptContent(policy, row.response, content_bytes_max),
          Size(row.prompt_bytes, row.prompt),
          Size(row.response_bytes, row.response),
          int64_t{row.prompt_tokens},
          int64_t{row.completion_tokens},
          int64_t{row.usage_estimated},
          row.cost.value,
          int64_t{row.response_time_ms},
          int64_t{row.ttft_ms},
          row.error_reason,
          int64_t{row.cached_tokens},
          int64_t{row.reasoning_tokens},
          int64_t{row.upstream_calls},
          row.replay_of,
          row.tenant,
          row.key_id,
          row.price_version,
          int64_t{row.price_unknown},
          row.cache,
          row.guardrails,
          row.shadow_limit,
          row.detail.size() <= kDetailBytesMax ? row.detail : std::string(),
          row.trace_id,
          runs ? row.reserved_tokens : int64_t{0},
          runs ? row.reserved_money.value : int64_t{0}};
}

RequestRow ReadRow(const Row& columns) {
  RequestRow row;
  row.row_id = columns.Text(0);
  row.request_id = RequestId(columns.Text(1));
  row.created_at = absl::FromUnixMicros(columns.Int(2));
  row.endpoint = columns.Text(3);
  row.user_id = columns.Text(4);
  row.model = columns.Text(5);
  // The table's CHECK admits no other name.
  row.status = RequestStatusOf(columns.Text(6)).value_or(RequestStatus::kError);
  row.prompt = columns.Text(7);
  row.response = columns.Text(8);
  row.prompt_bytes = static_cast<int>(columns.Int(9));
  row.response_bytes = static_cast<int>(columns.Int(10));
  row.prompt_tokens = static_cast<int>(columns.Int(11));
  row.completion_tokens = static_cast<int>(columns.Int(12));
  row.usage_estimated = columns.Int(13) != 0;
  row.cost = NanoUsd{columns.Int(14)};
  row.response_time_ms = static_cast<int>(columns.Int(15));
  row.ttft_ms = static_cast<int>(columns.Int(16));
  row.error_reason = columns.Text(17);
  row.cached_tokens = static_cast<int>(columns.Int(18));
  row.reasoning_tokens = static_cast<int>(columns.Int(19));
  row.upstream_calls = static_cast<int>(columns.Int(20));
  row.replay_of = columns.Text(21);
  row.tenant = columns.Text(22);
  row.key_id = columns.Text(23);
  row.price_version = columns.Int(24);
  row.price_unknown = columns.Int(25) != 0;
  row.cache = columns.Text(26);
  row.guardrails = columns.Text(27);
  row.shadow_limit = columns.Text(28);
  row.detail = columns.Text(29);
  row.trace_id = columns.Text(30);
  row.reserved_tokens = columns.Int(31);
  row.reserved_money = NanoUsd{columns.Int(32)};
  return row;
}

}  // namespace aibackend::usage
