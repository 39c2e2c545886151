#include "server/usage/usage_filter.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/usage/ledger_sql.h"

namespace aibackend::usage {
namespace {

using storage::Value;

class Conditions {
 public:
  void Add(absl::string_view column, absl::string_view comparison, Value value) {
    absl::StrAppend(&sql_, separator(), column, " ", comparison, " ", Place(std::move(value)));
  }
  void AddText(absl::string_view column, const absl::optional<std::string>& text) {
    if (text) Add(column, "=", *text);
  }
  void AddRaw(absl::string_view condition) { absl::StrAppend(&sql_, separator(), condition); }

  std::string Place(Value value) {
    parameters_.push_back(std::move(value));
    return absl::StrCat("$", parameters_.size());
  }

  const std::string& sql() const { return sql_; }
  std::vector<Value> TakeParameters() { return std::move(parameters_); }

 private:
  const char* separator() const { return sql_.empty() ? " WHERE " : " AND "; }

  std::string sql_;
  std::vector<Value> parameters_;
};

// The one column whose index is to be read. The others are compared as expressions, which no index
// answers: without statistics the planner would as soon take a tenant's million rows as a
// request id's one.
enum class Best { kRowId, kRequestId, kKey, kTenant, kNone };

Best BestOf(const UsageFilter& filter) {
  if (filter.row_id) return Best::kRowId;
  if (filter.request_id) return Best::kRequestId;
  if (filter.key_id && !filter.key_id->empty()) return Best::kKey;
  return filter.tenant ? Best::kTenant : Best::kNone;
}

void AddAll(const UsageFilter& filter, Conditions& where) {
  const Best best = BestOf(filter);
  const auto column = [&](Best own, const char* plain, const char* expression) {
    return best == own ? plain : expression;
  };
  where.AddText("row_id", filter.row_id);
  where.AddText(column(Best::kRequestId, "request_id", "request_id || ''"), filter.request_id);
  where.AddText(column(Best::kKey, "key_id", "key_id || ''"), filter.key_id);
  if (best == Best::kKey) where.AddRaw("key_id <> ''");  // what the index is of
  where.AddText(column(Best::kTenant, "tenant", "tenant || ''"), filter.tenant);
  where.AddText("user_id", filter.user_id);
  where.AddText("model", filter.model);
  where.AddText("endpoint", filter.endpoint);
  if (filter.status) where.Add("status", "=", RequestStatusName(*filter.status));
  // An id has few rows, so its time needs no index.
  const bool by_id = best == Best::kRowId || best == Best::kRequestId;
  const char* created_at = by_id ? "created_at + 0" : "created_at";
  if (filter.from) where.Add(created_at, ">=", absl::ToUnixMicros(*filter.from));
  if (filter.to) where.Add(created_at, "<", absl::ToUnixMicros(*filter.to));
}

}  // namespace

Statement SelectRows(const UsageFilter& filter, RowOrder order,
                     const absl::optional<storage::PageCursor>& after, int64_t limit) {
  const bool newest_first = order == RowOrder::kNewestFirst;
  const Best best = BestOf(filter);
  const bool by_id = best == Best::kRowId || best == Best::kRequestId;
  Conditions where;
  AddAll(filter, where);
  if (after) {
    const std::string at = where.Place(after->at_us);
    const std::string id = where.Place(after->id);
    where.AddRaw(absl::StrCat("(created_at", by_id ? " + 0" : "", ", row_id) ",
                              newest_first ? "<" : ">", " (", at, ", ", id, ")"));
  }
  const char* direction = newest_first ? " DESC" : "";
  Statement statement;
  statement.sql = absl::StrCat("SELECT ", RequestColumns(), " FROM requests", where.sql(),
                               " ORDER BY created_at", direction, ", row_id", direction, " LIMIT ",
                               where.Place(limit));
  statement.parameters = where.TakeParameters();
  return statement;
}

}  // namespace aibackend::usage
