// Who may call, how much, and what it costs: access/ and usage/ put together as the settings say. A
// part of the composition root.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/access/authenticator.h"
#include "server/access/jwt_verifier.h"
#include "server/access/key_store.h"
#include "server/access/meter.h"
#include "server/base/clock.h"
#include "server/base/ids.h"
#include "server/config/settings.h"
#include "server/storage/database.h"
#include "server/telemetry/metrics.h"
#include "server/usage/ledger.h"
#include "server/usage/price_book.h"
#include "server/usage/rollup.h"
#include "server/usage/summary.h"

namespace aibackend {

// Members stand in the order they are built. Thread-safe once built.
class AccountStack {
 public:
  // Reads keys, prices and JWT keys. What is given outlives it.
  static absl::StatusOr<std::unique_ptr<AccountStack>> Open(const config::Settings& settings,
                                                            storage::Database& database,
                                                            usage::Ledger& ledger, Clock& clock,
                                                            IdSource& ids,
                                                            telemetry::Metrics& metrics);

  access::KeyStore& keys() { return *keys_; }
  const access::Authenticator& authenticator() const { return *authenticator_; }
  access::Meter& meter() { return *meter_; }
  usage::PriceBook& prices() { return *prices_; }
  usage::Rollup& rollup() { return *rollup_; }
  usage::Summarizer& summaries() { return *summaries_; }

 private:
  AccountStack() = default;

  std::unique_ptr<access::KeyStore> keys_;
  std::unique_ptr<access::JwtVerifier> tokens_;  // null where JWTs aren't set up
  std::unique_ptr<access::Authenticator> authenticator_;
  std::unique_ptr<access::SpentSource> spent_;
  std::unique_ptr<access::Meter> meter_;
  std::unique_ptr<usage::PriceBook> prices_;
  std::unique_ptr<usage::Rollup> rollup_;
  std::unique_ptr<usage::Summarizer> summaries_;
};

}  // namespace aibackend
