#include "server/access/meter.h"

#include <utility>

#include "server/access/meter_core.h"
#include "server/access/metered_request.h"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

class MeterPass final : public Pass {
 public:
  MeterPass(MeterCore& core, const Caller& caller, absl::Time created_at, const LimitSource& limits)
      : core_(core), request_(caller, created_at, limits) {}
  ~MeterPass() override { core_.End(request_, absl::nullopt); }

  absl::Status Enter() {
    absl::Status entered = request_.is_limited ? core_.Enter(request_) : absl::OkStatus();
    if (!entered.ok()) request_.is_over = true;
    return entered;
  }

  absl::optional<RateState> rate() const override { return request_.rate; }
  std::string shadow_limit() const override { return request_.shadow_limit; }
  bool is_metered() const override { return request_.is_metered; }
  bool counts_money() const override { return request_.counts_money; }
  absl::optional<int64_t> TokensLeft(int64_t nano_usd_per_million_tokens) override {
    if (!request_.is_metered) return absl::nullopt;
    return core_.TokensLeft(request_, nano_usd_per_million_tokens);
  }
  absl::Status Reserve(const Amount& upper) override {
    return request_.is_metered ? core_.Reserve(request_, upper) : absl::OkStatus();
  }
  Amount reserved() const override { return request_.reserved.value_or(Amount{}); }
  void Settle(const Amount& actual) override { core_.End(request_, actual); }

 private:
  MeterCore& core_;
  MeteredRequest request_;
};

// Where limits are off.
class OpenPass final : public Pass {
 public:
  absl::optional<RateState> rate() const override { return absl::nullopt; }
  std::string shadow_limit() const override { return {}; }
  bool is_metered() const override { return false; }
  bool counts_money() const override { return false; }
  absl::optional<int64_t> TokensLeft(int64_t /*price*/) override { return absl::nullopt; }
  absl::Status Reserve(const Amount& /*upper*/) override { return absl::OkStatus(); }
  Amount reserved() const override { return {}; }
  void Settle(const Amount& /*actual*/) override {}
};

class LimitMeter final : public Meter {
 public:
  LimitMeter(Clock& clock, const LimitSource& limits, SpentSource& spent, const Options& options)
      : limits_(limits), core_(clock, spent, options) {}

  absl::StatusOr<std::shared_ptr<Pass>> Admit(const Caller& caller,
                                              absl::Time created_at) override {
    auto pass = std::make_shared<MeterPass>(core_, caller, created_at, limits_);
    AIB_RETURN_IF_ERROR(pass->Enter());
    return pass;
  }

  absl::StatusOr<QuotaState> StateOf(const Subject& subject, const Limits& limits) override {
    return core_.StateOf(subject, limits);
  }

 private:
  const LimitSource& limits_;
  MeterCore core_;
};

class OpenMeter final : public Meter {
 public:
  OpenMeter(Clock& clock, SpentSource& spent) : clock_(clock), spent_(spent) {}

  absl::StatusOr<std::shared_ptr<Pass>> Admit(const Caller& /*caller*/,
                                              absl::Time /*created_at*/) override {
    return pass_;
  }

  // As nothing is counted here, the ledger is asked each time.
  absl::StatusOr<QuotaState> StateOf(const Subject& subject, const Limits& limits) override {
    return MeterCore(clock_, spent_, {LimitMode::kOff}).StateOf(subject, limits);
  }

 private:
  Clock& clock_;
  SpentSource& spent_;
  const std::shared_ptr<Pass> pass_ = std::make_shared<OpenPass>();  // of all
};

}  // namespace

std::unique_ptr<Meter> Meter::Make(Clock& clock, const LimitSource& limits, SpentSource& spent,
                                   Options options) {
  if (options.mode == LimitMode::kOff) return std::make_unique<OpenMeter>(clock, spent);
  return std::make_unique<LimitMeter>(clock, limits, spent, options);
}

}  // namespace aibackend::access
