// How much a caller may: requests and tokens a minute, requests at once, tokens and money a day and
// a month; for each of the caller's key, user, tenant and address.
//
// One request is one Pass: Admit (rates, concurrency) → Reserve (an upper bound of what it can
// cost, before the model is asked) → Settle (what it did cost). What was reserved and not used is
// given back; a Pass that goes unsettled gives back everything.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/access/principal.h"
#include "server/base/clock.h"
#include "server/base/money.h"

namespace aibackend::access {

struct Amount {
  int64_t tokens = 0;
  NanoUsd money;
};

// Of whom something is counted. A user is one of a tenant.
struct Subject {
  enum class Kind : uint8_t { kKey, kUser, kTenant, kAddress };
  Kind kind = Kind::kTenant;
  std::string tenant;  // of kUser and kTenant
  std::string id;      // of kKey, kUser and kAddress

  friend bool operator==(const Subject& a, const Subject& b) {
    return a.kind == b.kind && a.tenant == b.tenant && a.id == b.id;
  }
  template <class H>
  friend H AbslHashValue(H h, const Subject& s) {
    return H::combine(std::move(h), s.kind, s.tenant, s.id);
  }
};

// What a request that was under way in a killed process may still cost: it counts until its lease
// ends.
struct Held {
  absl::Time created_at;  // the day and the month that it counts in
  absl::Time until;
  Amount amount;
};

// What the requests that arrived in a day and in a month (UTC) have used, as the ledger knows it.
struct Spent {
  Amount day;
  Amount month;
  std::vector<Held> held;  // of the month
};

// The ledger, as far as quotas need it. Thread-safe. May block on the database; asked once for each
// subject with a quota, and again only after it was idle for long.
//
// SpentBy counts every request that was given to the ledger as ended before the call, also where
// its row still waits to be written; so who settles a request gives the ledger its end first. (One
// that settles while its subject is read may be counted twice until the next start: to the strict
// side.) `day` and `month` are the midnights that they begin with; the month has the day in it.
class SpentSource {
 public:
  virtual ~SpentSource() = default;
  virtual absl::StatusOr<Spent> SpentBy(const Subject& subject, absl::Time day,
                                        absl::Time month) = 0;
};

// Where limits are found that are not a key's own. Thread-safe, never blocks.
class LimitSource {
 public:
  virtual ~LimitSource() = default;
  // Null: none. The subject's own, or the file's defaults for its kind. Of a key it is asked only
  // where the principal brings none, and of an address days and months are not kept.
  virtual std::shared_ptr<const Limits> LimitsOf(const Subject& subject) const = 0;
};

// Who asks, as far as it is counted.
struct Caller {
  const Principal& principal;
  std::string user;     // the principal's, or the one the request names; may be empty
  std::string address;  // of the client: IPv4, or an IPv6 network (client_address.h); may be empty
};

// The limit on requests with the least room, for the ratelimit-… headers.
struct RateState {
  int64_t limit = 0;  // requests a minute
  int64_t remaining = 0;
  absl::Duration reset;  // until all of it is there again
};

// A refusal by a rate carries the state of the request's rates.
absl::Status WithRate(absl::Status refused, const RateState& rate);
absl::optional<RateState> RateOf(const absl::Status& refused);

// One request's place. Thread-safe for Reserve and Settle from different threads, one at a time.
// Dropping it settles nothing: what it holds is given back. May outlive the call, not the Meter.
class Pass {
 public:
  virtual ~Pass() = default;

  // Absent where no limit on requests holds.
  virtual absl::optional<RateState> rate() const = 0;
  // In shadow mode: the limit that would have refused it, such as "key.requests_per_minute"; else
  // empty.
  virtual std::string shadow_limit() const = 0;

  // True where Reserve has something to decide or to count.
  virtual bool is_metered() const = 0;
  // True where one of the limits is on money, so that the model's price must be known.
  virtual bool counts_money() const = 0;
  // The most tokens that a request can be granted of what the quotas have left now, over all
  // subjects, that the money left buys at this price, and that a minute ever brings: what was used
  // within this minute doesn't count, as it is only waited for. Absent: no limit, shadow mode, or
  // what was used isn't known, which Reserve tells. May block as Reserve does.
  virtual absl::optional<int64_t> TokensLeft(int64_t nano_usd_per_million_tokens) = 0;

  // Holds `upper` for this request, of all subjects or of none. Once; after an error, which holds
  // nothing, again. May block on the database where a subject is met for the first time. Errors:
  // RATE_LIMITED (tokens a minute; with Retry-After), QUOTA_EXCEEDED (with Retry-After),
  // DATABASE_UNAVAILABLE (what was used isn't known).
  virtual absl::Status Reserve(const Amount& upper) = 0;
  // What Reserve holds now.
  virtual Amount reserved() const = 0;

  // The request has cost this, reserved or not: the rest is given back. Also ends the request's
  // place among those that run at once. Once: any further call does nothing.
  virtual void Settle(const Amount& actual) = 0;
};

// How far a subject is.
struct QuotaState {
  struct Window {
    absl::Time start;
    absl::Time end;
    Amount used;
    Amount reserved;  // by requests under way, and by those of a killed process for their lease
  };
  Limits limits;
  Window day;
  Window month;
  int64_t concurrent = 0;
};

// In shadow mode nothing is refused. Quotas and requests at once count on as if nothing had been
// over; the rates, as if it had been refused, so that those are named that enforcing would refuse.
enum class LimitMode { kEnforce, kShadow, kOff };

// Thread-safe.
class Meter {
 public:
  struct Options {
    LimitMode mode = LimitMode::kEnforce;
    // In memory, beside those of requests under way (subject_table.h); about 300 bytes each.
    size_t subjects_max = 1'000'000;
    // Told of each refusal by its limit ("key.requests_per_minute"), in shadow mode of what would
    // have been one. Must not block; may be none.
    std::function<void(const std::string& limit, bool is_enforced)> on_limited;
  };

  // All references outlive it. The counts of this process are the authority while it runs: the
  // ledger is read for what was used before.
  static std::unique_ptr<Meter> Make(Clock& clock, const LimitSource& limits, SpentSource& spent,
                                     Options options);
  virtual ~Meter() = default;

  // Never blocks. `created_at` is the request's arrival: the day and month it counts in.
  // Errors: RATE_LIMITED, with Retry-After: for requests a minute, when this request conforms and
  // no sooner, in whole milliseconds (rounded up); with RateOf, where a limit on requests holds.
  // One that is refused takes nothing of any limit.
  virtual absl::StatusOr<std::shared_ptr<Pass>> Admit(const Caller& caller,
                                                      absl::Time created_at) = 0;

  // Blocks as Reserve does, with its DATABASE_UNAVAILABLE. `limits` as Admit would apply them.
  virtual absl::StatusOr<QuotaState> StateOf(const Subject& subject, const Limits& limits) = 0;
};

}  // namespace aibackend::access
