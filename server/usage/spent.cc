#include "server/usage/spent.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/usage/rollup.h"

namespace aibackend::usage {
namespace {

using storage::Row;
using storage::Session;
using storage::Value;

constexpr absl::Duration kDay = absl::Hours(24);

int64_t DayNumber(absl::Time midnight) {
  return absl::ToInt64Hours(midnight - absl::UnixEpoch()) / absl::ToInt64Hours(kDay);
}

// "AND tenant = $3 …" of what is set; `suffix` makes expressions of the columns, which no index
// answers.
std::string SubjectIs(const SpentQuery& query, absl::string_view suffix,
                      std::vector<Value>& parameters) {
  std::string sql;
  const auto add = [&](absl::string_view column, const absl::optional<std::string>& value) {
    if (!value) return;
    parameters.emplace_back(*value);
    absl::StrAppend(&sql, " AND ", column, suffix, " = $", parameters.size());
  };
  add("tenant", query.tenant);
  add("user_id", query.user_id);
  add("key_id", query.key_id);
  return sql;
}

// Sums of (tokens, money) since the day's number or time $1, and of all.
constexpr char kSums[] =
    "SELECT CAST(COALESCE(SUM(CASE WHEN at >= $1 THEN tokens ELSE 0 END), 0) AS BIGINT),"
    " CAST(COALESCE(SUM(CASE WHEN at >= $1 THEN money ELSE 0 END), 0) AS BIGINT),"
    " CAST(COALESCE(SUM(tokens), 0) AS BIGINT), CAST(COALESCE(SUM(money), 0) AS BIGINT) FROM (";

absl::Status AddSums(Session& session, const std::string& rows,
                     const std::vector<Value>& parameters, SpentTotals& totals) {
  return session.Query(absl::StrCat(kSums, rows, ") AS used"), parameters, [&](const Row& row) {
    totals.day.tokens += row.Int(0);
    totals.day.money.value += row.Int(1);
    totals.month.tokens += row.Int(2);
    totals.month.money.value += row.Int(3);
  });
}

// The coarsest grain that tells the subject apart.
Grain GrainOf(const SpentQuery& query) {
  if (query.key_id) return query.user_id ? kGrainAll : kGrainKey;
  return query.user_id ? kGrainUser : kGrainNone;
}

absl::Status AddRolled(Session& session, const SpentQuery& query, SpentTotals& totals) {
  std::vector<Value> parameters = {DayNumber(query.day), DayNumber(query.month),
                                   int64_t{GrainOf(query)}};
  const std::string subject = SubjectIs(query, "", parameters);
  return AddSums(session,
                 absl::StrCat("SELECT day AS at, prompt_tokens + completion_tokens AS tokens,"
                              " cost_nano_usd AS money FROM usage_daily"
                              " WHERE grain = $3 AND day >= $2",
                              subject),
                 parameters, totals);
}

absl::Status AddUnrolled(Session& session, const SpentQuery& query, SpentTotals& totals) {
  std::vector<Value> parameters = {absl::ToUnixMicros(query.day), absl::ToUnixMicros(query.month)};
  // The few rows of the last minute: only by "rolled" are they found without reading the month's.
  const std::string subject = SubjectIs(query, " || ''", parameters);
  return AddSums(
      session,
      absl::StrCat("SELECT created_at AS at, prompt_tokens + completion_tokens AS tokens,"
                   " CASE WHEN price_unknown = 0 THEN cost_nano_usd ELSE 0 END AS money"
                   " FROM requests WHERE rolled = 0 AND status <> 'RUNNING'"
                   " AND created_at + 0 >= $2",
                   subject),
      parameters, totals);
}

absl::Status AddHeld(Session& session, const SpentQuery& query, SpentTotals& totals) {
  std::vector<Value> parameters = {absl::ToUnixMicros(query.now), absl::ToUnixMicros(query.month)};
  const std::string subject = SubjectIs(query, " || ''", parameters);
  return session.Query(
      absl::StrCat("SELECT created_at, reserved_until, reserved_tokens, reserved_nano_usd"
                   " FROM requests WHERE reserved_until > 0 AND reserved_until > $1"
                   " AND created_at + 0 >= $2",
                   subject),
      parameters, [&](const Row& row) {
        totals.held.push_back({absl::FromUnixMicros(row.Int(0)),
                               absl::FromUnixMicros(row.Int(1)),
                               {row.Int(2), NanoUsd{row.Int(3)}}});
      });
}

}  // namespace

absl::StatusOr<SpentTotals> ReadSpent(Session& session, const SpentQuery& query) {
  SpentTotals totals;
  AIB_RETURN_IF_ERROR(AddRolled(session, query, totals));
  AIB_RETURN_IF_ERROR(AddUnrolled(session, query, totals));
  AIB_RETURN_IF_ERROR(AddHeld(session, query, totals));
  return totals;
}

}  // namespace aibackend::usage
