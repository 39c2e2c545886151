#include "server/usage/spent.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/usage/prices.h"
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

void Add(const SpentAmount& amount, SpentAmount& sum) {
  sum.tokens = SaturatingAdd(sum.tokens, amount.tokens);
  sum.money.value = SaturatingAdd(sum.money.value, amount.money.value);
}

// The coarsest grain that tells the subject apart.
Grain GrainOf(const SpentQuery& query) {
  if (query.key_id) return query.user_id ? kGrainAll : kGrainKey;
  return query.user_id ? kGrainUser : kGrainNone;
}

// The '' of the columns that the grain doesn't tell apart: with them a subject's rows of a day are
// one row, which is found and not searched for.
std::string OthersAreEmpty(Grain grain) {
  std::string sql;
  const auto add = [&](int bit, const char* column) {
    if ((grain & bit) == 0) absl::StrAppend(&sql, " AND ", column, " = ''");
  };
  add(kGrainModel, "model");
  add(kGrainUser, "user_id");
  add(kGrainKey, "key_id");
  add(kGrainEndpoint, "endpoint");
  return sql;
}

// Day by day, since the day stands before the subject in the key. The grain is a part of the text:
// a key's rows have an index of their own, which only that one meets. The day after the query's is
// for a clock that is ahead of this one.
absl::Status AddRolled(Session& session, const SpentQuery& query, SpentTotals& totals) {
  const Grain grain = GrainOf(query);
  std::vector<Value> parameters = {int64_t{0}};
  const std::string subject = SubjectIs(query, "", parameters);
  const std::string sql = absl::StrCat(
      "SELECT prompt_tokens, completion_tokens, cost_nano_usd FROM usage_daily"
      " WHERE grain = ",
      static_cast<int>(grain), " AND day = $1", subject, OthersAreEmpty(grain));
  const int64_t today = DayNumber(query.day);
  for (int64_t day = DayNumber(query.month); day <= today + 1; ++day) {
    parameters[0] = day;
    AIB_RETURN_IF_ERROR(session.Query(sql, parameters, [&](const Row& row) {
      const SpentAmount amount{SaturatingAdd(row.Int(0), row.Int(1)), NanoUsd{row.Int(2)}};
      Add(amount, totals.month);
      if (day >= today) Add(amount, totals.day);
    }));
  }
  return absl::OkStatus();
}

absl::Status AddUnrolled(Session& session, const SpentQuery& query, SpentTotals& totals) {
  const int64_t day = absl::ToUnixMicros(query.day);
  std::vector<Value> parameters = {absl::ToUnixMicros(query.month)};
  // The few rows of the last minute: only by "rolled" are they found without reading the month's.
  const std::string subject = SubjectIs(query, " || ''", parameters);
  return session.Query(
      absl::StrCat("SELECT created_at, prompt_tokens, completion_tokens,"
                   " CASE WHEN price_unknown = 0 THEN cost_nano_usd ELSE 0 END"
                   " FROM requests WHERE rolled = 0 AND status <> 'RUNNING'"
                   " AND created_at + 0 >= $1",
                   subject),
      parameters, [&](const Row& row) {
        const SpentAmount amount{SaturatingAdd(row.Int(1), row.Int(2)), NanoUsd{row.Int(3)}};
        Add(amount, totals.month);
        if (row.Int(0) >= day) Add(amount, totals.day);
      });
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
