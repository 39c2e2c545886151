// What a request pays for its limits: Admit, Reserve and Settle.

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "server/access/meter.h"

namespace aibackend::access {
namespace {

// The same limits for every subject, or none.
class AllLimits final : public LimitSource {
 public:
  explicit AllLimits(std::shared_ptr<const Limits> limits) : limits_(std::move(limits)) {}
  std::shared_ptr<const Limits> LimitsOf(const Subject& /*subject*/) const override {
    return limits_;
  }

 private:
  const std::shared_ptr<const Limits> limits_;
};

class NothingSpent final : public SpentSource {
 public:
  absl::StatusOr<Spent> SpentBy(const Subject& /*subject*/, absl::Time /*day*/,
                                absl::Time /*month*/) override {
    return Spent{};
  }
};

// So high that nothing is refused.
std::shared_ptr<const Limits> HighLimits() {
  Limits limits;
  limits.requests_per_minute = limits.tokens_per_minute = int64_t{1} << 50;
  limits.tokens_per_day = limits.nano_usd_per_month = int64_t{1} << 60;
  limits.concurrent = 1 << 30;
  return std::make_shared<Limits>(limits);
}

SystemClock clock_of_all;
NothingSpent nothing_spent;

void RunRequests(benchmark::State& state, Meter& meter, const std::string& name) {
  Principal principal;
  principal.tenant = "acme";
  principal.key_id = absl::StrCat("01HZX3V4T8N2Q6R0S5W7Y9A1B", name);
  const Caller caller{principal, absl::StrCat("user-", name), ""};
  for (auto _ : state) {
    const auto pass = meter.Admit(caller, clock_of_all.Now());
    benchmark::DoNotOptimize((*pass)->Reserve({2000, {500'000}}));
    (*pass)->Settle({700, {90'000}});
  }
  state.SetItemsProcessed(state.iterations());
}

// A key, a user and the tenant of all: five limits each.
void BM_MeterThreeSubjects(benchmark::State& state) {
  static const AllLimits limits(HighLimits());
  static const auto meter = Meter::Make(clock_of_all, limits, nothing_spent, {});
  RunRequests(state, *meter, absl::StrCat(state.thread_index()));
}
BENCHMARK(BM_MeterThreeSubjects)->ThreadRange(1, 16)->UseRealTime();

void BM_MeterWithoutLimits(benchmark::State& state) {
  static const AllLimits limits(nullptr);
  static const auto meter = Meter::Make(clock_of_all, limits, nothing_spent, {});
  RunRequests(state, *meter, absl::StrCat(state.thread_index()));
}
BENCHMARK(BM_MeterWithoutLimits)->ThreadRange(1, 16)->UseRealTime();

void BM_MeterOff(benchmark::State& state) {
  static const AllLimits limits(nullptr);
  static const auto meter = Meter::Make(clock_of_all, limits, nothing_spent, {LimitMode::kOff});
  RunRequests(state, *meter, "");
}
BENCHMARK(BM_MeterOff)->UseRealTime();

// Each request is of an address that was never seen, with a table of 100,000.
void BM_MeterRandomAddresses(benchmark::State& state) {
  Limits one_a_minute;
  one_a_minute.requests_per_minute = 1;
  const AllLimits limits(std::make_shared<Limits>(one_a_minute));
  const auto meter =
      Meter::Make(clock_of_all, limits, nothing_spent, {LimitMode::kShadow, 100'000});
  Principal principal;
  int64_t number = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        meter->Admit({principal, "", absl::StrCat(++number)}, absl::UnixEpoch()));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_MeterRandomAddresses)->Iterations(10'000'000)->UseRealTime();

}  // namespace
}  // namespace aibackend::access
