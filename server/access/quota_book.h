// What one subject has used of its days and months.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/access/meter.h"
#include "server/access/principal.h"

namespace aibackend::access {

// The UTC day and month that a request counts in: by its arrival, whenever it ends.
struct Period {
  int64_t day = 0;    // since 1970
  int64_t month = 0;  // since 1970
};
Period PeriodOf(absl::Time created_at);
absl::Time DayStart(int64_t day);
absl::Time MonthStart(int64_t month);

// Sums stop at the greatest number.
Amount Plus(const Amount& a, const Amount& b);

// One of the limits that a book keeps.
struct QuotaLimit {
  const char* name;  // as in the contract
  absl::optional<int64_t> Limits::*cap;
  bool is_daily;
  bool is_money;
};
constexpr QuotaLimit kQuotaLimits[] = {
    {"tokens_per_day", &Limits::tokens_per_day, true, false},
    {"tokens_per_month", &Limits::tokens_per_month, false, false},
    {"nano_usd_per_day", &Limits::nano_usd_per_day, true, true},
    {"nano_usd_per_month", &Limits::nano_usd_per_month, false, true},
};

// Not thread-safe; knows no clock: each call says what time it is.
//
// A window that began after the book was opened is known to have begun empty, as the book has seen
// all of it. Any other is known once it was loaded. What settles in a window while it is loaded is
// added to what the load brings; what settles in one that is neither known nor being loaded is left
// to the ledger, which a later load will read. Beyond a few, windows older than yesterday and the
// last month go when nothing in them is reserved.
class QuotaBook {
 public:
  struct Window {
    int64_t index = 0;  // the day or the month
    bool known = false;
    Amount used;
    Amount reserved;  // by requests under way
    Amount held;      // by those of killed processes, until their leases end
  };

  explicit QuotaBook(absl::Time now);

  bool Knows(const Period& period) const;
  // One load at a time, of a period that isn't known; then one of the other two.
  void BeginLoad(const Period& period);
  void EndLoad(const Spent& spent, absl::Time now);
  void FailLoad();

  // A limit that hasn't room for `upper`; of a period that is known.
  struct Shortage {
    const QuotaLimit* limit = nullptr;
    int64_t cap = 0;
    int64_t used = 0;
    int64_t reserved = 0;  // and held
    absl::Duration wait;   // until it can have room
  };
  // The first in the order of kQuotaLimits, but with the longest wait of all that are short.
  absl::optional<Shortage> ShortageOf(const Limits& limits, const Period& period,
                                      const Amount& upper, absl::Time now);
  // What `limit` leaves, at least 0.
  int64_t Left(const QuotaLimit& limit, int64_t cap, const Period& period, absl::Time now);

  // In a period that is known.
  void Reserve(const Period& period, const Amount& upper);
  // Gives back what Reserve took.
  void Release(const Period& period, const Amount& upper);
  void Use(const Period& period, const Amount& actual, absl::Time now);

  // Of a period that is known.
  QuotaState::Window DayOf(const Period& period, absl::Time now);
  QuotaState::Window MonthOf(const Period& period, absl::Time now);

 private:
  // The windows of one length.
  class Windows {
   public:
    explicit Windows(int64_t opened_in) : fresh_after_(opened_in) {}
    bool Knows(int64_t index) const;
    // Null where it isn't known that nothing is there; so never for a window that is known.
    Window* Find(int64_t index);
    Window& Open(int64_t index);  // also one that isn't known
    void ForgetUnknown();
    void ForgetHeld();
    void Prune(int64_t oldest_kept);

   private:
    std::vector<Window> windows_;
    int64_t fresh_after_;  // windows after this one began when the book was open
  };
  struct Lease {
    Period period;
    absl::Time until;
    Amount amount;
  };

  void TakeLeases(const std::vector<Held>& held, int64_t month);
  void CountHeld();
  void EndLeases(absl::Time now);
  int64_t Reserved(const QuotaLimit& limit, const Window& window) const;
  Window& WindowOf(const QuotaLimit& limit, const Period& period);
  absl::Duration WaitFor(const QuotaLimit& limit, const Period& period, bool is_used_up,
                         absl::Time now);

  Windows days_;
  Windows months_;
  std::vector<Lease> leases_;  // the one that ends last first
  absl::optional<Period> loading_;
};

}  // namespace aibackend::access
