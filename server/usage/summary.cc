#include "server/usage/summary.h"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/container/node_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "server/base/status.h"
#include "server/usage/histogram.h"
#include "server/usage/prices.h"

namespace aibackend::usage {
namespace {

using storage::Row;
using storage::Session;
using storage::Value;

constexpr int kDaysDefault = 30;
constexpr absl::CivilDay kEpoch(1970, 1, 1);

// The columns that a group is told by, by their place in the SELECT.
struct Column {
  Dimension dimension;
  int grain;
  const char* name;  // of the column
  absl::optional<std::string> SummaryQuery::*filter;
  absl::optional<std::string> SummaryGroup::*value;
};

constexpr Column kColumns[] = {
    {Dimension::kTenant, kGrainNone, "tenant", &SummaryQuery::tenant, &SummaryGroup::tenant},
    {Dimension::kModel, kGrainModel, "model", &SummaryQuery::model, &SummaryGroup::model},
    {Dimension::kUser, kGrainUser, "user_id", &SummaryQuery::user_id, &SummaryGroup::user_id},
    {Dimension::kKey, kGrainKey, "key_id", &SummaryQuery::key_id, &SummaryGroup::key_id},
    {Dimension::kEndpoint, kGrainEndpoint, "endpoint", &SummaryQuery::endpoint,
     &SummaryGroup::endpoint},
};

constexpr char kNumbers[] =
    "requests, errors, cancelled, prompt_tokens, completion_tokens, cached_tokens,"
    " reasoning_tokens, cost_nano_usd, price_unknown";
constexpr int kNumbersCount = 9;

struct Distribution {
  HistogramSum latency;
  HistogramSum ttft;
};

struct Group {
  SummaryGroup sums;
  int64_t day = 0;
  Distribution distribution;
  bool is_kept = true;
};

struct Days {
  int64_t first = 0;
  int64_t last = -1;  // with it; below `first`: none
};

bool Has(const SummaryQuery& query, Dimension dimension) {
  return std::find(query.group_by.begin(), query.group_by.end(), dimension) != query.group_by.end();
}

// Of the years 1 to 9999, which is all that a Timestamp can say.
int64_t DayOf(absl::Time time) {
  const absl::CivilDay day = absl::ToCivilDay(time, absl::UTCTimeZone());
  return std::clamp(day, absl::CivilDay(1, 1, 1), absl::CivilDay(9999, 12, 31)) - kEpoch;
}

absl::StatusOr<Days> DaysOf(const SummaryQuery& query, absl::Time now) {
  const absl::Time to = query.to.value_or(now);
  const bool is_midnight = query.to && absl::FromCivil(absl::ToCivilDay(to, absl::UTCTimeZone()),
                                                       absl::UTCTimeZone()) == to;
  Days days;
  days.last = DayOf(to) - (is_midnight ? 1 : 0);
  days.first = query.from ? DayOf(*query.from) : days.last - (kDaysDefault - 1);
  if (query.from && query.to && to <= *query.from) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE, "must be after from", "to");
  }
  return days;
}

// One pass over the rows of usage_daily that a query is about.
class Scan {
 public:
  Scan(const SummaryQuery& query, Days days) : query_(query), days_(days), grain_(GrainOf(query)) {
    for (const Column& column : kColumns) {
      if (Has(query, column.dimension)) grouped_.push_back(&column);
    }
  }

  // Adds all up. Should there be more groups than an answer has, only their sums are kept, and a
  // second pass gathers the distributions of those that stay.
  absl::Status Run(Session& session) {
    groups_.clear();
    last_ = nullptr;
    total_ = {};
    left_out_ = 0;
    AIB_RETURN_IF_ERROR(Clamp(session));
    AIB_RETURN_IF_ERROR(EachRow(session, [this](const Row& row) { AddRow(row); }));
    if (groups_.size() > Summarizer::kGroupsReadMax) return TooMany();
    if (groups_.size() > Summarizer::kGroupsMax) {
      LeaveOut();
      return EachRow(session, [this](const Row& row) {
        AddDistribution(row, total_.distribution);
        Group& group = GroupOf(row);
        if (group.is_kept) AddDistribution(row, group.distribution);
      });
    }
    for (auto& [key, group] : groups_) {
      total_.distribution.latency.Add(group.distribution.latency.Get().Encode());
      total_.distribution.ttft.Add(group.distribution.ttft.Get().Encode());
    }
    return absl::OkStatus();
  }

  UsageSummary Take();

 private:
  using Groups = absl::node_hash_map<std::string, Group>;

  static int GrainOf(const SummaryQuery& query);
  absl::Status Clamp(Session& session);
  template <class OnRow>
  absl::Status EachRow(Session& session, const OnRow& on_row);
  void AddRow(const Row& row);
  Group& GroupOf(const Row& row);
  static absl::Status TooMany();
  void LeaveOut();
  static void AddDistribution(const Row& row, Distribution& distribution);

  const SummaryQuery& query_;
  Days days_;
  const int grain_;
  std::vector<const Column*> grouped_;  // without the day

  int64_t day_ = 0;  // of the rows that are being read
  Groups groups_;
  std::string key_;        // of a row
  std::string last_key_;   // of the row before: rows of a group often come one after the other
  Group* last_ = nullptr;  // its group
  Group total_;
  int64_t left_out_ = 0;
};

// The coarsest that tells apart what is asked for.
int Scan::GrainOf(const SummaryQuery& query) {
  int needed = kGrainNone;
  for (const Column& column : kColumns) {
    if (Has(query, column.dimension) || query.*column.filter) needed |= column.grain;
  }
  const bool is_kept =
      std::find(std::begin(kGrains), std::end(kGrains), needed) != std::end(kGrains);
  return is_kept ? needed : kGrainAll;
}

// To the days that there are, so that a span of centuries costs nothing.
absl::Status Scan::Clamp(Session& session) {
  // Two subqueries: each is one step down the key, which MIN and MAX side by side wouldn't be.
  constexpr char kSpan[] =
      "SELECT (SELECT MIN(day) FROM usage_daily WHERE grain = $1),"
      " (SELECT MAX(day) FROM usage_daily WHERE grain = $1)";
  return session.Query(kSpan, {int64_t{grain_}}, [&](const Row& row) {
    if (row.IsNull(0)) {
      days_ = {};
    } else {
      days_ = {std::max(days_.first, row.Int(0)), std::min(days_.last, row.Int(1))};
    }
  });
}

// Day by day, and with the '' of what the grain doesn't tell apart: so the columns of the key are
// all given as far as the filter has them, and its rows are found and not searched for.
template <class OnRow>
absl::Status Scan::EachRow(Session& session, const OnRow& on_row) {
  std::string sql = absl::StrCat("SELECT ", kNumbers, ", latency, ttft");
  for (const Column* column : grouped_) absl::StrAppend(&sql, ", ", column->name);
  absl::StrAppend(&sql, " FROM usage_daily WHERE grain = $1 AND day = $2");
  std::vector<Value> parameters = {int64_t{grain_}, int64_t{0}};
  for (const Column& column : kColumns) {
    if (query_.*column.filter) {
      parameters.emplace_back(*(query_.*column.filter));
      absl::StrAppend(&sql, " AND ", column.name, " = $", parameters.size());
    } else if (column.grain != kGrainNone && (grain_ & column.grain) == 0) {
      absl::StrAppend(&sql, " AND ", column.name, " = ''");
    }
  }
  for (day_ = days_.last; day_ >= days_.first; --day_) {
    if (groups_.size() > Summarizer::kGroupsReadMax) break;
    parameters[1] = day_;
    AIB_RETURN_IF_ERROR(session.Query(sql, parameters, on_row));
  }
  return absl::OkStatus();
}

void AddNumbers(const std::array<int64_t, kNumbersCount>& numbers, SummaryGroup& sums) {
  int64_t* const targets[kNumbersCount] = {&sums.requests,
                                           &sums.errors,
                                           &sums.cancelled,
                                           &sums.prompt_tokens,
                                           &sums.completion_tokens,
                                           &sums.cached_tokens,
                                           &sums.reasoning_tokens,
                                           &sums.cost.value,
                                           &sums.price_unknown_requests};
  for (int i = 0; i < kNumbersCount; ++i) *targets[i] = SaturatingAdd(*targets[i], numbers[i]);
}

void Scan::AddRow(const Row& row) {
  if (groups_.size() > Summarizer::kGroupsReadMax) return;  // it fails
  std::array<int64_t, kNumbersCount> numbers = {};
  for (int i = 0; i < kNumbersCount; ++i) numbers[i] = row.Int(i);
  AddNumbers(numbers, total_.sums);
  Group& group = GroupOf(row);
  AddNumbers(numbers, group.sums);
  if (groups_.size() <= Summarizer::kGroupsMax) AddDistribution(row, group.distribution);
}

Group& Scan::GroupOf(const Row& row) {
  key_.clear();
  const bool by_day = Has(query_, Dimension::kDay);
  if (by_day) absl::StrAppend(&key_, day_);
  constexpr int kFirst = kNumbersCount + 2;
  for (size_t i = 0; i < grouped_.size(); ++i) {
    const absl::string_view value = row.Bytes(kFirst + static_cast<int>(i));
    // The length keeps "a" + "bc" and "ab" + "c" apart.
    absl::StrAppend(&key_, "/", value.size(), ":", value);
  }
  if (last_ != nullptr && key_ == last_key_) return *last_;
  auto [found, fresh] = groups_.try_emplace(key_);
  last_ = &found->second;
  last_key_.swap(key_);
  if (!fresh) return *last_;
  last_->day = by_day ? day_ : 0;
  for (size_t i = 0; i < grouped_.size(); ++i) {
    last_->sums.*grouped_[i]->value = row.Text(kFirst + static_cast<int>(i));
  }
  return *last_;
}

void Scan::AddDistribution(const Row& row, Distribution& distribution) {
  distribution.latency.Add(row.Bytes(kNumbersCount));
  distribution.ttft.Add(row.Bytes(kNumbersCount + 1));
}

auto Names(const SummaryGroup& group) {
  return std::tie(group.tenant, group.model, group.user_id, group.key_id, group.endpoint);
}

// More tokens first; what no two groups share last, so that the order is always the same.
bool IsGreater(const Group* a, const Group* b) {
  const int64_t tokens_a = a->sums.total_tokens();
  const int64_t tokens_b = b->sums.total_tokens();
  if (tokens_a != tokens_b) return tokens_a > tokens_b;
  if (a->day != b->day) return a->day > b->day;
  return Names(a->sums) < Names(b->sums);
}

absl::Status Scan::TooMany() {
  return MakeError(Reason::FIELD_OUT_OF_RANGE,
                   absl::StrCat("there are more than ", Summarizer::kGroupsReadMax,
                                " groups: filter more narrowly, or group by less"),
                   "group_by");
}

void Scan::LeaveOut() {
  std::vector<Group*> order;
  for (auto& [key, group] : groups_) order.push_back(&group);
  const auto end = order.begin() + static_cast<ptrdiff_t>(Summarizer::kGroupsMax);
  std::nth_element(order.begin(), end, order.end(), IsGreater);
  for (Group* group : order) group->distribution = {};
  for (auto out = end; out != order.end(); ++out) (*out)->is_kept = false;
  left_out_ = static_cast<int64_t>(groups_.size() - Summarizer::kGroupsMax);
}

Percentiles PercentilesOf(const Histogram& histogram) {
  return {histogram.Quantile(0.5), histogram.Quantile(0.95), histogram.Quantile(0.99)};
}

SummaryGroup Finish(Group&& group, bool by_day) {
  SummaryGroup sums = std::move(group.sums);
  if (by_day) sums.day = absl::FormatCivilTime(kEpoch + group.day);
  sums.latency = PercentilesOf(group.distribution.latency.Get());
  sums.time_to_first_token = PercentilesOf(group.distribution.ttft.Get());
  return sums;
}

UsageSummary Scan::Take() {
  std::vector<Group*> order;
  for (auto& [key, group] : groups_) {
    if (group.is_kept) order.push_back(&group);
  }
  std::sort(order.begin(), order.end(), [](const Group* a, const Group* b) {
    return a->day != b->day ? a->day > b->day : IsGreater(a, b);
  });
  UsageSummary summary;
  summary.total = Finish(std::move(total_), false);
  summary.left_out = left_out_;
  summary.groups.reserve(order.size());
  const bool by_day = Has(query_, Dimension::kDay);
  for (Group* group : order) summary.groups.push_back(Finish(std::move(*group), by_day));
  // Of nothing there is one group too.
  if (query_.group_by.empty()) summary.groups = {summary.total};
  return summary;
}

}  // namespace

absl::optional<Dimension> DimensionOf(absl::string_view name) {
  constexpr std::pair<const char*, Dimension> kNames[] = {
      {"day", Dimension::kDay},     {"tenant", Dimension::kTenant},
      {"model", Dimension::kModel}, {"user", Dimension::kUser},
      {"key", Dimension::kKey},     {"endpoint", Dimension::kEndpoint}};
  for (const auto& [known, dimension] : kNames) {
    if (name == known) return dimension;
  }
  return absl::nullopt;
}

int64_t SummaryGroup::total_tokens() const {
  return SaturatingAdd(prompt_tokens, completion_tokens);
}

absl::StatusOr<UsageSummary> Summarizer::Summarize(const SummaryQuery& query) {
  AIB_ASSIGN_OR_RETURN(const Days days, DaysOf(query, clock_.Now()));
  (void)rollup_.RollNow(kRollPatience);  // the rollup's own thread says what fails
  Scan scan(query, days);
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) { return scan.Run(session); }));
  return scan.Take();
}

}  // namespace aibackend::usage
