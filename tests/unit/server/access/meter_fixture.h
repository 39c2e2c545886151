// A meter with a clock, limits and a ledger of the test's.
#pragma once

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "server/access/meter.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/access/meter_fakes.h"

namespace aibackend::access {

constexpr char kTenant[] = "acme";
constexpr char kKey[] = "key-1";

inline Amount Tokens(int64_t tokens) {
  return {tokens, {}};
}

inline Limits RequestsPerMinute(int64_t limit) {
  Limits limits;
  limits.requests_per_minute = limit;
  return limits;
}
inline Limits TokensPerMinute(int64_t limit) {
  Limits limits;
  limits.tokens_per_minute = limit;
  return limits;
}
inline Limits TokensPerDay(int64_t limit) {
  Limits limits;
  limits.tokens_per_day = limit;
  return limits;
}
inline Limits MoneyPerMonth(int64_t limit) {
  Limits limits;
  limits.nano_usd_per_month = limit;
  return limits;
}
inline Limits Concurrent(int64_t limit) {
  Limits limits;
  limits.concurrent = limit;
  return limits;
}

class MeterTest : public testing::Test {
 protected:
  void Start(Meter::Options options = {}) {
    meter_.reset();
    meter_ = Meter::Make(clock_, limits_, spent_, options);
  }
  // A request of this key, user and address.
  absl::StatusOr<std::shared_ptr<Pass>> Admit(const std::string& user = "",
                                              const std::string& address = "") {
    const Principal principal = PrincipalOf(kTenant, kKey);
    return meter_->Admit({principal, user, address}, clock_.Now());
  }
  std::shared_ptr<Pass> Admitted(const std::string& user = "", const std::string& address = "") {
    auto pass = Admit(user, address);
    EXPECT_TRUE(pass.ok()) << pass.status();
    return pass.ok() ? *pass : nullptr;
  }
  QuotaState StateOf(const Subject& subject) {
    const auto state = meter_->StateOf(subject, {});
    EXPECT_TRUE(state.ok()) << state.status();
    return state.value_or(QuotaState{});
  }

  // 22:13:20 on the 14th of November 2023, UTC.
  FakeClock clock_;
  FakeLimits limits_;
  FakeSpent spent_;
  std::unique_ptr<Meter> meter_;
};

}  // namespace aibackend::access
