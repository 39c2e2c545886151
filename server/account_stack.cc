#include "server/account_stack.h"

#include <map>
#include <utility>

#include "server/base/status.h"

namespace aibackend {
namespace {

using access::JwtKeyFormat;
using access::JwtVerifier;
using access::KeyStore;
using access::Meter;
using access::Subject;

constexpr char kEmbeddedModel[] = "extractive";

access::Limits ToLimits(const config::LimitSettings& settings) {
  access::Limits limits;
  limits.requests_per_minute = settings.requests_per_minute;
  limits.tokens_per_minute = settings.tokens_per_minute;
  limits.tokens_per_day = settings.tokens_per_day;
  limits.tokens_per_month = settings.tokens_per_month;
  limits.nano_usd_per_day = settings.nano_usd_per_day;
  limits.nano_usd_per_month = settings.nano_usd_per_month;
  limits.concurrent = settings.concurrent;
  return limits;
}

KeyStore::Options KeyOptions(const config::DefaultLimits& limits) {
  KeyStore::Options options;
  options.defaults = {ToLimits(limits.key), ToLimits(limits.user), ToLimits(limits.tenant),
                      ToLimits(limits.address)};
  return options;
}

JwtVerifier::Options JwtOptions(const config::JwtSettings& settings) {
  JwtVerifier::Options options;
  if (!settings.key_file.empty()) {
    options.format = JwtKeyFormat::kPublicKeyPem;
    options.key_file = settings.key_file;
  } else if (!settings.secret_file.empty()) {
    options.format = JwtKeyFormat::kSecret;
    options.key_file = settings.secret_file;
  } else {
    options.format = JwtKeyFormat::kJwks;
    options.key_file = settings.jwks_file;
  }
  options.rules.issuer = settings.issuer;
  options.rules.audience = settings.audience;
  options.rules.tenant_claim = settings.tenant_claim;
  options.rules.user_claim = settings.user_claim;
  options.rules.scope_claim = settings.scopes_claim;
  options.rules.skew = absl::Milliseconds(settings.clock_skew_ms);
  return options;
}

Meter::Options MeterOptions(const std::string& mode, telemetry::Metrics& metrics) {
  Meter::Options options;
  options.on_limited = [&metrics](const std::string& limit, bool is_enforced) {
    metrics.Limited(
        limit, is_enforced ? telemetry::LimitAction::kEnforced : telemetry::LimitAction::kShadow);
  };
  options.mode = mode == "shadow" ? access::LimitMode::kShadow
                 : mode == "off"  ? access::LimitMode::kOff
                                  : access::LimitMode::kEnforce;
  return options;
}

// The ledger as quotas see it.
class LedgerSpent final : public access::SpentSource {
 public:
  LedgerSpent(usage::Ledger& ledger, Clock& clock) : ledger_(ledger), clock_(clock) {}

  absl::StatusOr<access::Spent> SpentBy(const Subject& subject, absl::Time day,
                                        absl::Time month) override {
    usage::SpentQuery query;
    if (subject.kind == Subject::Kind::kKey) {
      query.key_id = subject.id;
    } else {
      query.tenant = subject.tenant;
      if (subject.kind == Subject::Kind::kUser) query.user_id = subject.id;
    }
    query.day = day;
    query.month = month;
    query.now = clock_.Now();
    AIB_ASSIGN_OR_RETURN(const usage::SpentTotals totals, ledger_.SpentSince(query));
    access::Spent spent;
    spent.day = ToAmount(totals.day);
    spent.month = ToAmount(totals.month);
    for (const usage::HeldAmount& held : totals.held) {
      spent.held.push_back({held.created_at, held.until, ToAmount(held.amount)});
    }
    return spent;
  }

 private:
  static access::Amount ToAmount(const usage::SpentAmount& amount) {
    return {amount.tokens, amount.money};
  }

  usage::Ledger& ledger_;
  Clock& clock_;
};

std::map<std::string, usage::PriceValues> PricesOf(
    const std::vector<config::ModelSettings>& models) {
  std::map<std::string, usage::PriceValues> prices;
  for (const config::ModelSettings& model : models) {
    if (!model.price) continue;
    prices[model.name] = {model.price->input, model.price->output, model.price->cached_input,
                          model.price->reasoning};
  }
  return prices;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AccountStack>> AccountStack::Open(const config::Settings& settings,
                                                                 storage::Database& database,
                                                                 usage::Ledger& ledger,
                                                                 Clock& clock, IdSource& ids,
                                                                 telemetry::Metrics& metrics) {
  auto stack = std::unique_ptr<AccountStack>(new AccountStack);
  AIB_ASSIGN_OR_RETURN(stack->keys_,
                       KeyStore::Open(database, clock, ids, KeyOptions(settings.limits)));
  if (settings.jwt.is_set()) {
    AIB_ASSIGN_OR_RETURN(stack->tokens_, JwtVerifier::Open(clock, JwtOptions(settings.jwt)));
  }
  stack->authenticator_ = std::make_unique<access::Authenticator>(
      settings.admin_key, stack->keys_.get(), stack->tokens_.get());
  stack->spent_ = std::make_unique<LedgerSpent>(ledger, clock);
  stack->meter_ = Meter::Make(clock, *stack->keys_, *stack->spent_,
                              MeterOptions(settings.limits_mode, metrics));
  AIB_ASSIGN_OR_RETURN(stack->prices_, usage::PriceBook::Open(database, clock, {}));
  stack->prices_->AddFree(kEmbeddedModel);
  AIB_RETURN_IF_ERROR(stack->prices_->UseFile(PricesOf(settings.models)));
  stack->rollup_ = std::make_unique<usage::Rollup>(database, usage::Rollup::Options());
  stack->summaries_ = std::make_unique<usage::Summarizer>(database, *stack->rollup_, clock);
  return stack;
}

}  // namespace aibackend
