#include "server/usage/summary.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/usage/ledger_rows.h"
#include "tests/unit/server/usage/plan_watch.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::usage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kNever = absl::Hours(10);
constexpr absl::Duration kDay = absl::Hours(24);

class SummaryTest : public ::testing::Test {
 protected:
  SummaryTest() : database_(*storage::OpenSqlite(folder_.File("test.sqlite"))) {}

  RequestRow Row(const std::string& id) {
    RequestRow row;
    row.row_id = id;
    row.created_at = clock_.Now();
    row.endpoint = "Chat";
    row.user_id = "ann";
    row.model = "m";
    row.status = RequestStatus::kOk;
    return row;
  }
  UsageSummary Ask(const SummaryQuery& query) {
    auto summary = summarizer_.Summarize(query);
    EXPECT_TRUE(summary.ok()) << summary.status();
    return summary.ok() ? *std::move(summary) : UsageSummary();
  }
  std::vector<std::string> Days(const SummaryQuery& query) {
    std::vector<std::string> days;
    for (const SummaryGroup& group : Ask(query).groups) days.push_back(group.day.value_or("none"));
    return days;
  }

  TempFolder folder_;
  FakeClock clock_{absl::FromCivil(absl::CivilHour(2026, 11, 30, 12), absl::UTCTimeZone())};
  std::unique_ptr<storage::Database> database_;
  Rollup rollup_{*database_, {kNever}};
  Summarizer summarizer_{*database_, rollup_, clock_};
};

TEST_F(SummaryTest, OfNothingThereAreNoGroupsAndATotalOfZero) {
  const UsageSummary by_model = Ask({{Dimension::kModel}});
  EXPECT_THAT(by_model.groups, IsEmpty());
  EXPECT_EQ(by_model.total.requests, 0);
  EXPECT_EQ(by_model.total.latency.p99_ms, 0);
  EXPECT_THAT(Ask({}).groups, SizeIs(1));
}

TEST_F(SummaryTest, WhatHasJustEndedIsInIt) {
  PutRows(*database_, {Row("1")});
  EXPECT_EQ(Ask({}).total.requests, 1);
  PutRows(*database_, {Row("2")});
  EXPECT_EQ(Ask({}).total.requests, 2);
}

TEST_F(SummaryTest, AGroupHasWhatItIsGroupedByAndNothingElse) {
  RequestRow row = Row("1");
  row.key_id = "k";
  PutRows(*database_, {row});
  const SummaryGroup none = Ask({}).groups.at(0);
  EXPECT_FALSE(none.day || none.tenant || none.model || none.user_id || none.key_id ||
               none.endpoint);
  const SummaryGroup all = Ask({{Dimension::kEndpoint, Dimension::kKey, Dimension::kUser,
                                 Dimension::kModel, Dimension::kTenant, Dimension::kDay}})
                               .groups.at(0);
  EXPECT_EQ(*all.day, "2026-11-30");
  EXPECT_EQ(*all.tenant, "default");
  EXPECT_EQ(*all.model, "m");
  EXPECT_EQ(*all.user_id, "ann");
  EXPECT_EQ(*all.key_id, "k");
  EXPECT_EQ(*all.endpoint, "Chat");
}

TEST_F(SummaryTest, ASpanIsOfWholeDays) {
  const absl::Time noon = clock_.Now();
  const absl::Time midnight = noon - absl::Hours(12);
  std::vector<RequestRow> rows;
  for (int day = -1; day <= 40; ++day) {
    rows.push_back(Row(absl::StrCat(day + 1)));
    rows.back().created_at = noon - day * kDay;
  }
  PutRows(*database_, rows);
  SummaryQuery query{{Dimension::kDay}};
  EXPECT_THAT(Days(query), SizeIs(30));  // today is the last, tomorrow's is not in it
  EXPECT_EQ(Days(query).front(), "2026-11-30");
  query.from = noon - 2 * kDay;
  EXPECT_THAT(Days(query), ElementsAre("2026-11-30", "2026-11-29", "2026-11-28"));
  query.to = midnight;
  EXPECT_THAT(Days(query), ElementsAre("2026-11-29", "2026-11-28"));
  query.to = midnight + absl::Microseconds(1);
  EXPECT_THAT(Days(query), ElementsAre("2026-11-30", "2026-11-29", "2026-11-28"));
  query.from = query.to;
  EXPECT_EQ(FieldOf(summarizer_.Summarize(query).status()), "to");
  query = {{Dimension::kDay}, absl::InfinitePast(), absl::InfiniteFuture()};
  EXPECT_THAT(Days(query), SizeIs(42));
  query = {{Dimension::kDay}, noon + 9 * kDay};
  EXPECT_THAT(Days(query), IsEmpty());
}

TEST_F(SummaryTest, GroupsComeByDayNewestFirstAndThenByTokens) {
  std::vector<RequestRow> rows;
  const auto add = [&](const char* model, int tokens, int days_ago) {
    rows.push_back(Row(absl::StrCat(rows.size())));
    rows.back().model = model;
    rows.back().completion_tokens = tokens;
    rows.back().created_at -= days_ago * kDay;
  };
  add("a", 5, 0);
  add("b", 7, 0);
  add("c", 5, 0);
  add("b", 1, 1);
  add("a", 100, 1);
  PutRows(*database_, rows);
  std::vector<std::string> order;
  for (const SummaryGroup& group : Ask({{Dimension::kModel, Dimension::kDay}}).groups) {
    order.push_back(absl::StrCat(*group.day, *group.model));
  }
  EXPECT_THAT(order, ElementsAre("2026-11-30b", "2026-11-30a", "2026-11-30c", "2026-11-29a",
                                 "2026-11-29b"));
  order.clear();
  for (const SummaryGroup& group : Ask({{Dimension::kModel}}).groups) order.push_back(*group.model);
  EXPECT_THAT(order, ElementsAre("a", "b", "c"));
}

TEST_F(SummaryTest, TheGroupsWithTheFewestTokensAreLeftOutAndCountedInTheTotal) {
  constexpr int kMore = 25;
  std::vector<RequestRow> rows;
  for (int i = 0; i < static_cast<int>(Summarizer::kGroupsMax) + kMore; ++i) {
    rows.push_back(Row(absl::StrCat(i)));
    rows.back().user_id = absl::StrCat("u", i);
    rows.back().prompt_tokens = (i * 7919) % 10'025;  // each once
    rows.back().response_time_ms = 1000 + i;
  }
  PutRows(*database_, rows);
  ASSERT_TRUE(rollup_.RollNow(absl::Minutes(2)).ok());
  const UsageSummary summary = Ask({{Dimension::kUser}});
  EXPECT_EQ(summary.left_out, kMore);
  ASSERT_EQ(summary.groups.size(), Summarizer::kGroupsMax);
  EXPECT_EQ(summary.groups.front().prompt_tokens, 10'024);
  EXPECT_EQ(summary.groups.back().prompt_tokens, kMore);
  EXPECT_EQ(summary.total.requests, 10'025);
  EXPECT_NEAR(summary.total.latency.p50_ms, 1000 + 5012, 121);
  for (const SummaryGroup& group : summary.groups) {
    const double exact = 1000 + std::stod(group.user_id->substr(1));
    ASSERT_NEAR(group.latency.p50_ms, exact, 0.02 * exact);
  }
}

TEST_F(SummaryTest, MoreGroupsThanItCanSortOutAreRefused) {
  const auto put = [&](size_t from, size_t to) {
    const absl::Status status = database_->Write([&](storage::Session& session) {
      return session
          .Execute(
              "WITH RECURSIVE n (i) AS (VALUES ($1) UNION ALL SELECT i + 1 FROM n WHERE i < $2)"
              " INSERT INTO usage_daily SELECT 2, $3 - i % 2, 'default', '', 'u' || i, '', '',"
              " 1, 0, 0, 1, 1, 0, 0, 0, 0, x'', x'' FROM n",
              {static_cast<int64_t>(from), static_cast<int64_t>(to),
               absl::ToUnixSeconds(clock_.Now()) / 86'400})
          .status();
    });
    ASSERT_TRUE(status.ok()) << status;
  };
  put(1, Summarizer::kGroupsReadMax);
  EXPECT_EQ(Ask({{Dimension::kUser}}).left_out,
            static_cast<int64_t>(Summarizer::kGroupsReadMax - Summarizer::kGroupsMax));
  put(Summarizer::kGroupsReadMax + 1, Summarizer::kGroupsReadMax + 3);
  const absl::Status refused = summarizer_.Summarize({{Dimension::kUser}}).status();
  EXPECT_EQ(ReasonOf(refused), Reason::FIELD_OUT_OF_RANGE);
  EXPECT_EQ(FieldOf(refused), "group_by");
  SummaryQuery narrower{{Dimension::kUser}};
  narrower.user_id = "u7";
  EXPECT_THAT(Ask(narrower).groups, SizeIs(1));
}

TEST_F(SummaryTest, AFilterIsLookedUpAndNotSearchedFor) {
  PutRows(*database_, {Row("1")});
  ASSERT_TRUE(rollup_.RollNow(absl::Minutes(1)).ok());
  PlanWatch plans(*database_);
  Summarizer summarizer(plans, rollup_, clock_);
  SummaryQuery user, key, model;
  user.user_id = "ann";
  key.key_id = "k";
  model.model = "m";
  for (SummaryQuery query : {SummaryQuery(), user, key, model}) {
    query.tenant = "default";
    ASSERT_TRUE(summarizer.Summarize(query).ok());
    EXPECT_THAT(plans.Take(), HasSubstr("PRIMARY KEY (grain=? AND day=? AND tenant=? AND model=?"
                                        " AND user_id=? AND key_id=? AND endpoint=?)"));
  }
}

TEST_F(SummaryTest, NamesThatRunTogetherStayApart) {
  RequestRow one = Row("1"), two = Row("2");
  one.model = "a/1:b";
  one.user_id = "c";
  two.model = "a";
  two.user_id = "b/1:c";
  PutRows(*database_, {one, two});
  EXPECT_THAT(Ask({{Dimension::kModel, Dimension::kUser}}).groups, SizeIs(2));
}

// The same, from the rows themselves and in the plainest way.
struct Plain {
  std::map<std::string, std::vector<RequestRow>> groups;
  std::vector<RequestRow> all;
};

std::string KeyOf(const SummaryQuery& query, const std::vector<std::string>& values) {
  std::string key;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto dimension = static_cast<Dimension>(i);
    const auto& by = query.group_by;
    const bool is_by = std::find(by.begin(), by.end(), dimension) != by.end();
    absl::StrAppend(&key, is_by ? values[i] : "*", "\n");
  }
  return key;
}

std::string DayName(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

Plain PlainSummary(const std::vector<RequestRow>& rows, const SummaryQuery& query,
                   const std::string& first_day, const std::string& last_day) {
  Plain plain;
  for (const RequestRow& row : rows) {
    const std::string day = DayName(row.created_at);
    if (row.status == RequestStatus::kRunning || day < first_day || day > last_day) continue;
    const auto fits = [](const absl::optional<std::string>& filter, const std::string& value) {
      return !filter || *filter == value;
    };
    if (!fits(query.tenant, row.tenant) || !fits(query.model, row.model) ||
        !fits(query.user_id, row.user_id) || !fits(query.key_id, row.key_id) ||
        !fits(query.endpoint, row.endpoint)) {
      continue;
    }
    plain.all.push_back(row);
    plain.groups[KeyOf(query, {day, row.tenant, row.model, row.user_id, row.key_id, row.endpoint})]
        .push_back(row);
  }
  return plain;
}

void ExpectPercentiles(const Percentiles& found, std::vector<int> values) {
  std::sort(values.begin(), values.end());
  const auto near = [&](double value, double q) {
    const double exact =
        values.empty() ? 0
                       : values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
    EXPECT_LE(std::abs(value - exact), 0.03 * exact);
  };
  near(found.p50_ms, 0.5);
  near(found.p95_ms, 0.95);
  near(found.p99_ms, 0.99);
}

void ExpectSame(const SummaryGroup& found, const std::vector<RequestRow>& rows) {
  SummaryGroup sums;
  std::vector<int> latencies, ttfts;
  for (const RequestRow& row : rows) {
    ++sums.requests;
    sums.errors += row.status == RequestStatus::kError ? 1 : 0;
    sums.cancelled += row.status == RequestStatus::kCancelled ? 1 : 0;
    sums.prompt_tokens += row.prompt_tokens;
    sums.completion_tokens += row.completion_tokens;
    sums.cached_tokens += row.cached_tokens;
    sums.reasoning_tokens += row.reasoning_tokens;
    if (!row.price_unknown) sums.cost = sums.cost + row.cost;
    sums.price_unknown_requests += row.price_unknown ? 1 : 0;
    latencies.push_back(row.response_time_ms);
    if (row.ttft_ms > 0 && row.endpoint != "Embed") ttfts.push_back(row.ttft_ms);
  }
  EXPECT_EQ(found.requests, sums.requests);
  EXPECT_EQ(found.errors, sums.errors);
  EXPECT_EQ(found.cancelled, sums.cancelled);
  EXPECT_EQ(found.prompt_tokens, sums.prompt_tokens);
  EXPECT_EQ(found.completion_tokens, sums.completion_tokens);
  EXPECT_EQ(found.cached_tokens, sums.cached_tokens);
  EXPECT_EQ(found.reasoning_tokens, sums.reasoning_tokens);
  EXPECT_EQ(found.cost, sums.cost);
  EXPECT_EQ(found.price_unknown_requests, sums.price_unknown_requests);
  ExpectPercentiles(found.latency, latencies);
  ExpectPercentiles(found.time_to_first_token, ttfts);
}

class Generator {
 public:
  size_t Below(size_t bound) { return random_() % bound; }
  std::string Name(const char* prefix, size_t of) { return absl::StrCat(prefix, Below(of)); }

  RequestRow Row(int number, absl::Time now) {
    constexpr const char* kEndpoints[] = {"Chat", "ChatStream", "Embed"};
    constexpr RequestStatus kStatuses[] = {RequestStatus::kOk, RequestStatus::kOk,
                                           RequestStatus::kError, RequestStatus::kCancelled,
                                           RequestStatus::kRunning};
    RequestRow row;
    row.row_id = absl::StrCat(number);
    row.created_at = now - absl::Minutes(Below(15 * 24 * 60));
    row.tenant = Name("t", 2);
    row.model = Name("m", 4);
    row.user_id = Name("u", 10);
    row.key_id = Below(3) == 0 ? "" : Name("k", 3);
    row.endpoint = kEndpoints[Below(3)];
    row.status = kStatuses[Below(5)];
    row.prompt_tokens = static_cast<int>(Below(5000));
    row.completion_tokens = static_cast<int>(Below(5000));
    row.cached_tokens = static_cast<int>(Below(100));
    row.reasoning_tokens = static_cast<int>(Below(100));
    row.cost = NanoUsd{static_cast<int64_t>(Below(size_t{1} << 40))};
    row.price_unknown = Below(4) == 0;
    row.response_time_ms = static_cast<int>(latency_(random_));
    row.ttft_ms = Below(2) == 0 ? static_cast<int>(latency_(random_)) : 0;
    return row;
  }

  SummaryQuery Query() {
    SummaryQuery query;
    for (const Dimension dimension : {Dimension::kEndpoint, Dimension::kKey, Dimension::kUser,
                                      Dimension::kModel, Dimension::kTenant, Dimension::kDay}) {
      if (Below(3) == 0) query.group_by.push_back(dimension);
    }
    if (Below(4) == 0) query.tenant = Name("t", 3);
    if (Below(4) == 0) query.model = Name("m", 4);
    if (Below(4) == 0) query.user_id = Name("u", 10);
    if (Below(4) == 0) query.key_id = Below(2) == 0 ? "" : "k1";
    if (Below(4) == 0) query.endpoint = "Chat";
    return query;
  }

 private:
  std::mt19937_64 random_{2019};
  std::lognormal_distribution<double> latency_{6, 1.5};
};

TEST_F(SummaryTest, EverySummaryIsThatOfTheRowsThemselves) {
  Generator generator;
  std::vector<RequestRow> rows;
  for (int i = 0; i < 3000; ++i) rows.push_back(generator.Row(i, clock_.Now()));
  PutRows(*database_, {rows.begin(), rows.begin() + 1000});
  ASSERT_TRUE(rollup_.RollNow(absl::Minutes(1)).ok());
  PutRows(*database_, {rows.begin() + 1000, rows.end()});

  for (int round = 0; round < 300; ++round) {
    SummaryQuery query = generator.Query();
    query.from = clock_.Now() - static_cast<int64_t>(generator.Below(20)) * kDay;
    query.to = *query.from + static_cast<int64_t>(1 + generator.Below(10)) * kDay;
    const Plain plain = PlainSummary(rows, query, DayName(*query.from), DayName(*query.to));
    const UsageSummary summary = Ask(query);
    ExpectSame(summary.total, plain.all);
    ASSERT_EQ(summary.groups.size(), query.group_by.empty() ? 1 : plain.groups.size()) << round;
    for (const SummaryGroup& group : summary.groups) {
      const std::string key =
          KeyOf(query, {group.day.value_or(""), group.tenant.value_or(""), group.model.value_or(""),
                        group.user_id.value_or(""), group.key_id.value_or(""),
                        group.endpoint.value_or("")});
      const auto found = plain.groups.find(key);
      ExpectSame(group, found == plain.groups.end() ? std::vector<RequestRow>() : found->second);
    }
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST_F(SummaryTest, DimensionsHaveTheContractsNames) {
  EXPECT_EQ(DimensionOf("user"), Dimension::kUser);
  EXPECT_EQ(DimensionOf("endpoint"), Dimension::kEndpoint);
  EXPECT_FALSE(DimensionOf("User").has_value());
  EXPECT_FALSE(DimensionOf("").has_value());
}

}  // namespace
}  // namespace aibackend::usage
