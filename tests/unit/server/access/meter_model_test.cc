// Random histories of requests, clocks and killed processes, against the plain reference.
#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/access/meter.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/access/meter_fakes.h"
#include "tests/unit/server/access/reference_meter.h"

namespace aibackend::access {
namespace {

constexpr int kSteps = 2500;
constexpr int kRunningMax = 12;
constexpr int64_t kPrice = 300'000;  // nano-USD for a million tokens, for TokensLeft

struct Story {
  const char* name;
  uint32_t seed;
  LimitMode mode;
  size_t subjects_max;
  bool has_rates;
  // Requests keep to their bounds and limits stand: then no cap is ever passed.
  bool is_orderly;
};

class MeterModelTest : public testing::TestWithParam<Story> {
 protected:
  using State = ReferenceMeter::State;

  void SetUp() override {
    spent_.Set([this](const Subject& subject, absl::Time day, absl::Time month) {
      return Read(subject, day, month);
    });
    for (const Subject& subject : subjects_) ChangeLimits(subject);
    StartMeter();
  }

  int64_t Below(int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random_); }
  bool OneIn(int n) { return Below(n) == 0; }

  void StartMeter() {
    passes_.clear();
    meter_.reset();
    meter_ = Meter::Make(clock_, limits_, spent_, {story_.mode, story_.subjects_max});
  }

  // The ledger: what settled stands, what was killed holds. Of what runs it says nothing.
  Spent Read(const Subject& subject, absl::Time day, absl::Time month) {
    Spent spent;
    const absl::Time now = clock_.Now();
    spent.day = reference_.SumsOf(subject, DayName(day), true, now).used;
    spent.month = reference_.SumsOf(subject, MonthName(month), false, now).used;
    for (const auto& request : reference_.requests) {
      const bool is_held = request.state == State::kKilled && request.is_reserved;
      if (!is_held || MonthName(request.created_at) != MonthName(month)) continue;
      for (const auto& part : request.parts) {
        if (part.subject == subject) {
          spent.held.push_back({request.created_at, request.until, request.upper});
        }
      }
    }
    return spent;
  }

  void ChangeLimits(const Subject& subject) {
    if (OneIn(5)) return limits_.Remove(subject);
    Limits limits;
    const auto maybe = [&](absl::optional<int64_t>& limit, int64_t max) {
      if (OneIn(2)) limit = OneIn(40) ? 0 : 1 + Below(max);
    };
    if (story_.has_rates) {
      maybe(limits.requests_per_minute, 200);
      maybe(limits.tokens_per_minute, 20'000);
    }
    maybe(limits.concurrent, kRunningMax);
    maybe(limits.tokens_per_day, 50'000);
    maybe(limits.tokens_per_month, 300'000);
    maybe(limits.nano_usd_per_day, 500'000);
    maybe(limits.nano_usd_per_month, 3'000'000);
    limits_.Set(subject, limits);
  }

  void Part(ReferenceMeter::Request& request, const Subject& subject) {
    ReferenceMeter::Part part;
    part.subject = subject;
    if (const auto limits = limits_.LimitsOf(subject)) {
      part.limits = *limits;
      part.has_quota = subject.kind != Subject::Kind::kAddress &&
                       (limits->tokens_per_day || limits->tokens_per_month ||
                        limits->nano_usd_per_day || limits->nano_usd_per_month);
      part.is_limited = part.has_quota || limits->requests_per_minute ||
                        limits->tokens_per_minute || limits->concurrent;
    }
    request.parts.push_back(std::move(part));
  }

  void Admit() {
    if (passes_.size() >= kRunningMax) return End();
    const int64_t key = Below(4);  // of these the last is none
    const std::string tenant = absl::StrCat("tenant-", key % 2);
    const Principal principal = PrincipalOf(tenant, key < 3 ? absl::StrCat("key-", key) : "");
    const Caller caller{principal, OneIn(2) ? absl::StrCat("user-", Below(2)) : "",
                        OneIn(2) ? "10.0.0.1" : ""};
    ReferenceMeter::Request request;
    request.created_at =
        clock_.Now() - (OneIn(10) ? absl::Minutes(Below(40 * 60)) : absl::Seconds(0));
    if (key < 3) Part(request, KeySubject(principal.key_id));
    if (!caller.user.empty()) Part(request, UserSubject(tenant, caller.user));
    Part(request, TenantSubject(tenant));
    if (!caller.address.empty()) Part(request, AddressSubject(caller.address));

    const auto pass = meter_->Admit(caller, request.created_at);
    const auto expected = reference_.Admit(request, clock_.Now());
    const bool refused = Check(pass.status(), Reason::RATE_LIMITED, expected);
    if (refused) return;
    ASSERT_EQ((*pass)->shadow_limit(), expected ? expected->first : "");
    passes_[reference_.requests.size() - 1] = {*pass, expected ? expected->first : ""};
  }

  // True: it was refused.
  bool Check(const absl::Status& status, Reason::Reason reason,
             const absl::optional<ReferenceRefusal>& expected) {
    refusals_ += expected.has_value();
    const bool refuses = story_.mode == LimitMode::kEnforce && expected;
    EXPECT_EQ(status.ok(), !refuses) << status << (expected ? expected->first : "");
    if (status.ok() || !expected) return !status.ok();
    EXPECT_EQ(ReasonOf(status), reason) << status;
    EXPECT_EQ(RetryAfterOf(status), absl::Ceil(expected->wait, absl::Milliseconds(1))) << status;
    const std::string limit = expected->first.substr(expected->first.find('.') + 1);
    EXPECT_NE(status.message().find("'s " + limit + " ("), absl::string_view::npos) << status;
    return true;
  }

  size_t AnyRunning() {
    auto it = passes_.begin();
    std::advance(it, Below(passes_.size()));
    return it->first;
  }

  void Reserve() {
    if (passes_.empty()) return Admit();
    const size_t id = AnyRunning();
    auto& request = reference_.requests[id];
    auto& [pass, shadow] = passes_[id];
    if (request.is_reserved || !pass->is_metered()) return;
    const absl::Time now = clock_.Now();
    const auto left = story_.mode == LimitMode::kShadow
                          ? absl::nullopt
                          : reference_.TokensLeft(request, kPrice, now);
    ASSERT_EQ(pass->TokensLeft(kPrice), left);
    // Often what just fits, or one more.
    int64_t tokens = Below(OneIn(3) ? 20'000 : 2000);
    if (left && *left < 20'000 && OneIn(4)) tokens = *left + Below(2);
    const Amount upper{tokens, {Below(10) == 0 ? 0 : tokens * 10 + Below(5)}};
    const absl::Status status = pass->Reserve(upper);
    const auto expected = reference_.Reserve(request, upper, now);
    const bool is_rate = expected && expected->first.find("tokens_per_minute") != std::string::npos;
    Check(status, is_rate ? Reason::RATE_LIMITED : Reason::QUOTA_EXCEEDED, expected);
    if (expected && shadow.empty() && status.ok()) shadow = expected->first;
    ASSERT_EQ(pass->shadow_limit(), shadow);
    ASSERT_EQ(pass->reserved().tokens, request.is_reserved ? upper.tokens : 0);
  }

  void End() {
    if (passes_.empty()) return Admit();
    const size_t id = AnyRunning();
    auto& request = reference_.requests[id];
    absl::optional<Amount> actual;
    if (!OneIn(5)) {
      const Amount bound =
          request.is_reserved || story_.is_orderly ? request.upper : Amount{3000, {30'000}};
      actual = Amount{Below(bound.tokens + 1), {Below(bound.money.value + 1)}};
      if (!story_.is_orderly && OneIn(6)) actual->tokens += Below(2000);
    }
    reference_.End(request, actual, clock_.Now());  // the ledger has it first
    if (actual) passes_[id].first->Settle(*actual);
    passes_.erase(id);
  }

  void Crash() {
    reference_.Kill(clock_.Now() + absl::Seconds(1 + Below(900)));
    StartMeter();
  }

  void Advance() {
    const absl::Time now = clock_.Now();
    const absl::CivilDay today = absl::ToCivilDay(now, absl::UTCTimeZone());
    const absl::TimeZone utc = absl::UTCTimeZone();
    switch (Below(12)) {
      case 0:  // to a second or two about midnight
        return MoveTo(absl::FromCivil(today + 1, utc) + absl::Seconds(Below(3) - 1));
      case 1:
        if (OneIn(3)) {
          return MoveTo(absl::FromCivil(absl::CivilMonth(today) + 1, utc) +
                        absl::Seconds(Below(3) - 1));
        }
        return MoveTo(now + absl::Hours(Below(60)));
      case 2:
        return MoveTo(now + absl::Minutes(Below(20)));
      default:
        return MoveTo(now + absl::Nanoseconds(Below(5'000'000'000)));
    }
  }
  void MoveTo(absl::Time time) {
    if (time > clock_.Now()) clock_.Advance(time - clock_.Now());
  }

  void CheckState(const Subject& subject) {
    const absl::Time now = clock_.Now();
    const auto state = meter_->StateOf(subject, {});
    ASSERT_TRUE(state.ok());
    ASSERT_EQ(state->concurrent, reference_.Concurrent(subject));
    if (subject.kind == Subject::Kind::kAddress) return;
    for (const bool is_day : {true, false}) {
      const auto sums =
          reference_.SumsOf(subject, is_day ? DayName(now) : MonthName(now), is_day, now);
      const QuotaState::Window& window = is_day ? state->day : state->month;
      ASSERT_EQ(window.used.tokens, sums.used.tokens);
      ASSERT_EQ(window.used.money, sums.used.money);
      ASSERT_EQ(window.reserved.tokens, sums.reserved.tokens + sums.held.tokens);
      ASSERT_EQ(window.reserved.money, sums.reserved.money + sums.held.money);
      if (story_.is_orderly) CheckCaps(subject, window, is_day);
    }
  }

  void CheckCaps(const Subject& subject, const QuotaState::Window& window, bool is_day) {
    const auto limits = limits_.LimitsOf(subject);
    if (!limits) return;
    const auto& tokens = is_day ? limits->tokens_per_day : limits->tokens_per_month;
    const auto& money = is_day ? limits->nano_usd_per_day : limits->nano_usd_per_month;
    if (tokens) {
      ASSERT_LE(window.used.tokens + window.reserved.tokens, *tokens);
    }
    if (money) {
      ASSERT_LE(window.used.money.value + window.reserved.money.value, *money);
    }
  }

  void Step() {
    const int64_t dice = Below(100);
    if (dice < 30) return Admit();
    if (dice < 55) return Reserve();
    if (dice < 75) return End();
    if (dice < 90) return Advance();
    if (dice < 98) return CheckState(subjects_[Below(subjects_.size())]);
    if (dice < 99) return Crash();
    if (!story_.is_orderly) ChangeLimits(subjects_[Below(subjects_.size())]);
  }

  const Story story_ = GetParam();
  std::mt19937 random_{story_.seed};
  const std::vector<Subject> subjects_ = {KeySubject("key-0"),
                                          KeySubject("key-1"),
                                          KeySubject("key-2"),
                                          UserSubject("tenant-0", "user-0"),
                                          UserSubject("tenant-0", "user-1"),
                                          UserSubject("tenant-1", "user-0"),
                                          UserSubject("tenant-1", "user-1"),
                                          TenantSubject("tenant-0"),
                                          TenantSubject("tenant-1"),
                                          AddressSubject("10.0.0.1")};
  FakeClock clock_;
  FakeLimits limits_;
  FakeSpent spent_;
  ReferenceMeter reference_{story_.mode == LimitMode::kEnforce};
  int refusals_ = 0;  // also those that shadow mode only names
  std::unique_ptr<Meter> meter_;
  std::map<size_t, std::pair<std::shared_ptr<Pass>, std::string>> passes_;
};

TEST_P(MeterModelTest, DecidesAndCountsAsTheReference) {
  for (int step = 0; step < kSteps; ++step) {
    SCOPED_TRACE(absl::StrCat("seed ", story_.seed, ", step ", step));
    Step();
    if (HasFailure()) return;
  }
  while (!passes_.empty()) End();
  // A story in which nothing is let through, or nothing refused, would tell nothing.
  const auto count = [&](bool ReferenceMeter::Request::*flag) {
    return std::count_if(reference_.requests.begin(), reference_.requests.end(),
                         [&](const auto& request) { return request.*flag; });
  };
  EXPECT_GT(count(&ReferenceMeter::Request::is_admitted), kSteps / 20);
  EXPECT_GT(count(&ReferenceMeter::Request::is_reserved), kSteps / 40);
  EXPECT_GT(refusals_, kSteps / 40);
  for (const Subject& subject : subjects_) CheckState(subject);
}

INSTANTIATE_TEST_SUITE_P(
    Stories, MeterModelTest,
    testing::Values(Story{"Orderly1", 1, LimitMode::kEnforce, 1000, true, true},
                    Story{"Orderly2", 2, LimitMode::kEnforce, 1000, true, true},
                    Story{"OrderlyQuotas3", 3, LimitMode::kEnforce, 1000, false, true},
                    Story{"OrderlyAndForgetful4", 4, LimitMode::kEnforce, 2, false, true},
                    Story{"Wild5", 5, LimitMode::kEnforce, 1000, true, false},
                    Story{"Wild6", 6, LimitMode::kEnforce, 1000, true, false},
                    Story{"WildQuotas7", 7, LimitMode::kEnforce, 1000, false, false},
                    Story{"WildAndForgetful8", 8, LimitMode::kEnforce, 2, false, false},
                    Story{"Shadow9", 9, LimitMode::kShadow, 1000, true, false},
                    Story{"ShadowAndForgetful10", 10, LimitMode::kShadow, 2, false, false}),
    [](const auto& story) { return story.param.name; });

}  // namespace
}  // namespace aibackend::access
