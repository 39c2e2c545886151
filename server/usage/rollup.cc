#include "server/usage/rollup.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/usage/histogram.h"
#include "server/usage/prices.h"

namespace aibackend::usage {
namespace {

using storage::Row;
using storage::Session;
using storage::Value;

constexpr int64_t kDayMicros = int64_t{24} * 3600 * 1'000'000;
constexpr int kRowsMin = 50;  // of a transaction, however slow

constexpr char kAnyLeft[] =
    "SELECT 1 FROM requests WHERE rolled = 0 AND status <> 'RUNNING' LIMIT 1";

constexpr char kNextNumber[] =
    "UPDATE usage_rollups SET last = last + 1 WHERE id = 1 RETURNING last";

// One statement, so that what is marked is what is read.
constexpr char kMarkLeft[] =
    "UPDATE requests SET rolled = $1 WHERE row_id IN (SELECT row_id FROM requests"
    " WHERE rolled = 0 AND status <> 'RUNNING' ORDER BY row_id LIMIT $2)"
    " RETURNING created_at, tenant, model, user_id, key_id, endpoint, status, prompt_tokens,"
    " completion_tokens, cached_tokens, reasoning_tokens, cost_nano_usd, price_unknown,"
    " response_time_ms, ttft_ms";

constexpr char kSums[] =
    "SELECT requests, errors, cancelled, prompt_tokens, completion_tokens, cached_tokens,"
    " reasoning_tokens, cost_nano_usd, price_unknown, latency, ttft"
    " FROM usage_daily WHERE grain = $1 AND day = $2 AND tenant = $3 AND model = $4"
    " AND user_id = $5 AND key_id = $6 AND endpoint = $7";

constexpr char kPutSums[] =
    "INSERT INTO usage_daily (grain, day, tenant, model, user_id, key_id, endpoint, requests,"
    " errors, cancelled, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,"
    " cost_nano_usd, price_unknown, latency, ttft)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    " ON CONFLICT (grain, day, tenant, model, user_id, key_id, endpoint) DO UPDATE SET"
    " requests = excluded.requests, errors = excluded.errors, cancelled = excluded.cancelled,"
    " prompt_tokens = excluded.prompt_tokens, completion_tokens = excluded.completion_tokens,"
    " cached_tokens = excluded.cached_tokens, reasoning_tokens = excluded.reasoning_tokens,"
    " cost_nano_usd = excluded.cost_nano_usd, price_unknown = excluded.price_unknown,"
    " latency = excluded.latency, ttft = excluded.ttft";

// In the order of the table's key, so that a transaction touches neighbours one after the other.
struct Key {
  int64_t grain = 0;
  int64_t day = 0;
  std::string tenant;
  std::string model;
  std::string user_id;
  std::string key_id;
  std::string endpoint;

  friend bool operator<(const Key& a, const Key& b) {
    return std::tie(a.grain, a.day, a.tenant, a.model, a.user_id, a.key_id, a.endpoint) <
           std::tie(b.grain, b.day, b.tenant, b.model, b.user_id, b.key_id, b.endpoint);
  }

  Key Coarser(int to) const {
    return {to,
            day,
            tenant,
            (to & kGrainModel) != 0 ? model : "",
            (to & kGrainUser) != 0 ? user_id : "",
            (to & kGrainKey) != 0 ? key_id : "",
            (to & kGrainEndpoint) != 0 ? endpoint : ""};
  }
};

struct Sums {
  using Numbers = std::array<int64_t, 9>;  // in the order of kSums
  Numbers numbers = {};
  Histogram latency;
  Histogram ttft;

  void AddNumbers(const Numbers& others) {
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = SaturatingAdd(numbers[i], others[i]);
  }
  void Add(const Sums& other) {
    AddNumbers(other.numbers);
    latency.Merge(other.latency);
    ttft.Merge(other.ttft);
  }
};

using Groups = std::map<Key, Sums>;

// The day that a time is in, also before 1970.
int64_t DayOf(int64_t micros) {
  return micros / kDayMicros - (micros % kDayMicros < 0 ? 1 : 0);
}

void AddRequest(const Row& row, Groups& groups) {
  const Key key{kGrainAll,   DayOf(row.Int(0)), row.Text(1), row.Text(2),
                row.Text(3), row.Text(4),       row.Text(5)};
  const absl::string_view status = row.Bytes(6);
  const bool is_unknown = row.Int(12) != 0;
  Sums& sums = groups[key];
  sums.AddNumbers({1, int64_t{status == "ERROR"}, int64_t{status == "CANCELLED"}, row.Int(7),
                   row.Int(8), row.Int(9), row.Int(10), is_unknown ? 0 : row.Int(11),
                   int64_t{is_unknown}});
  sums.latency.Add(row.Int(13));
  const bool is_chat = key.endpoint == "Chat" || key.endpoint == "ChatStream";
  if (is_chat && row.Int(14) > 0) sums.ttft.Add(row.Int(14));
}

// Each of `fine` once in every grain.
Groups AllGrains(Groups fine) {
  Groups all;
  for (const auto& [key, sums] : fine) {
    for (const int grain : kGrains) {
      if (grain != kGrainAll) all[key.Coarser(grain)].Add(sums);
    }
  }
  all.merge(std::move(fine));
  return all;
}

absl::Status MergeInto(Session& session, const Key& key, Sums& sums) {
  std::vector<Value> parameters = {key.grain,   key.day,    key.tenant,  key.model,
                                   key.user_id, key.key_id, key.endpoint};
  AIB_RETURN_IF_ERROR(session.Query(kSums, parameters, [&](const Row& row) {
    Sums::Numbers before = {};
    for (size_t i = 0; i < before.size(); ++i) before[i] = row.Int(static_cast<int>(i));
    sums.AddNumbers(before);
    sums.latency.MergeEncoded(row.Bytes(9));
    sums.ttft.MergeEncoded(row.Bytes(10));
  }));
  parameters.insert(parameters.end(), sums.numbers.begin(), sums.numbers.end());
  parameters.emplace_back(storage::Blob{sums.latency.Encode()});
  parameters.emplace_back(storage::Blob{sums.ttft.Encode()});
  return session.Execute(kPutSums, parameters).status();
}

absl::StatusOr<bool> AnyLeft(Session& session) {
  bool any_left = false;
  AIB_RETURN_IF_ERROR(session.Query(kAnyLeft, {}, [&](const Row&) { any_left = true; }));
  return any_left;
}

}  // namespace

absl::StatusOr<int> RollUp(Session& session, int rows_max) {
  AIB_ASSIGN_OR_RETURN(const bool any_left, AnyLeft(session));
  if (!any_left) return 0;
  int64_t number = 0;
  AIB_RETURN_IF_ERROR(session.Query(kNextNumber, {}, [&](const Row& row) { number = row.Int(0); }));
  int rows = 0;
  Groups groups;
  AIB_RETURN_IF_ERROR(session.Query(kMarkLeft, {number, int64_t{rows_max}}, [&](const Row& row) {
    ++rows;
    AddRequest(row, groups);
  }));
  groups = AllGrains(std::move(groups));
  for (auto& [key, sums] : groups) AIB_RETURN_IF_ERROR(MergeInto(session, key, sums));
  return rows;
}

Rollup::Rollup(storage::Database& database, Options options)
    : database_(database),
      options_(options),
      thread_(std::make_unique<Periodic>("counting the ledger's rows", options.period,
                                         [this] { return RollAll(); })) {}

Rollup::~Rollup() {
  stopping_ = true;
}

absl::Status Rollup::RollNow(absl::Duration timeout) {
  return thread_->RunNow(timeout);
}

absl::Status Rollup::RollAll() {
  // Most seconds have nothing to count, and then the writing connection is left alone.
  bool any_left = false;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(any_left, AnyLeft(session));
    return absl::OkStatus();
  }));
  // A transaction that isn't full has met all that had ended when it began.
  for (int limit = 0, rolled = 0; any_left; any_left = rolled == limit) {
    if (stopping_) return MakeError(Reason::DRAINING, "the server is stopping");
    limit = rows_max_;
    absl::Duration took;
    AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
      const absl::Time start = absl::Now();
      AIB_ASSIGN_OR_RETURN(rolled, RollUp(session, limit));
      took = absl::Now() - start;
      return absl::OkStatus();
    }));
    if (took > options_.transaction_goal) {
      rows_max_ = std::max(kRowsMin, rows_max_ / 2);
    } else if (took < options_.transaction_goal / 4) {
      rows_max_ = std::min(kRowsMax, rows_max_ * 2);
    }
  }
  return absl::OkStatus();
}

}  // namespace aibackend::usage
