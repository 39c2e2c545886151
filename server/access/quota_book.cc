#include "server/access/quota_book.h"

#include <algorithm>
#include <utility>

#include "absl/time/civil_time.h"

namespace aibackend::access {
namespace {

constexpr int64_t kMonthsAYear = 12;
constexpr int64_t kEpochYear = 1970;
// Of one length, before old ones go: more than are in use at once, few enough to search.
constexpr size_t kWindowsKept = 8;
// What running requests give back may come at any moment.
constexpr absl::Duration kRunningRetryAfter = absl::Seconds(1);

int64_t Sum(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

Amount Minus(const Amount& a, const Amount& b) {
  return {a.tokens - b.tokens, {a.money.value - b.money.value}};
}

int64_t Of(const QuotaLimit& limit, const Amount& amount) {
  return limit.is_money ? amount.money.value : amount.tokens;
}

QuotaState::Window Shown(const QuotaBook::Window& window, absl::Time start, absl::Time end) {
  return {start, end, window.used, Plus(window.reserved, window.held)};
}

}  // namespace

Period PeriodOf(absl::Time created_at) {
  const absl::CivilDay day = absl::ToCivilDay(created_at, absl::UTCTimeZone());
  return {day - absl::CivilDay(), (day.year() - kEpochYear) * kMonthsAYear + day.month() - 1};
}

absl::Time DayStart(int64_t day) {
  return absl::FromCivil(absl::CivilDay() + day, absl::UTCTimeZone());
}

absl::Time MonthStart(int64_t month) {
  return absl::FromCivil(absl::CivilMonth() + month, absl::UTCTimeZone());
}

Amount Plus(const Amount& a, const Amount& b) {
  return {Sum(a.tokens, b.tokens), {Sum(a.money.value, b.money.value)}};
}

bool QuotaBook::Windows::Knows(int64_t index) const {
  if (index > fresh_after_) return true;
  return std::any_of(windows_.begin(), windows_.end(),
                     [&](const Window& w) { return w.index == index && w.known; });
}

QuotaBook::Window* QuotaBook::Windows::Find(int64_t index) {
  for (Window& window : windows_) {
    if (window.index == index) return &window;
  }
  return index > fresh_after_ ? &Open(index) : nullptr;
}

QuotaBook::Window& QuotaBook::Windows::Open(int64_t index) {
  for (Window& window : windows_) {
    if (window.index == index) return window;
  }
  windows_.push_back({index, index > fresh_after_});
  return windows_.back();
}

void QuotaBook::Windows::ForgetUnknown() {
  windows_.erase(std::remove_if(windows_.begin(), windows_.end(),
                                [](const Window& window) { return !window.known; }),
                 windows_.end());
}

void QuotaBook::Windows::ForgetHeld() {
  for (Window& window : windows_) window.held = {};
}

void QuotaBook::Windows::Prune(int64_t oldest_kept) {
  if (windows_.size() <= kWindowsKept) return;
  const auto is_past = [&](const Window& window) {
    return window.index < oldest_kept && window.known && window.reserved.tokens == 0 &&
           window.reserved.money.value == 0;
  };
  windows_.erase(std::remove_if(windows_.begin(), windows_.end(), is_past), windows_.end());
  fresh_after_ = std::max(fresh_after_, oldest_kept - 1);
}

QuotaBook::QuotaBook(absl::Time now) : days_(PeriodOf(now).day), months_(PeriodOf(now).month) {}

bool QuotaBook::Knows(const Period& period) const {
  return days_.Knows(period.day) && months_.Knows(period.month);
}

void QuotaBook::BeginLoad(const Period& period) {
  loading_ = period;
  days_.Open(period.day);
  months_.Open(period.month);
}

void QuotaBook::EndLoad(const Spent& spent, absl::Time now) {
  const Period period = *loading_;
  loading_.reset();
  Window& day = days_.Open(period.day);
  Window& month = months_.Open(period.month);
  if (!month.known) TakeLeases(spent.held, period.month);
  for (const auto& [window, used] : {std::pair{&day, spent.day}, {&month, spent.month}}) {
    if (!window->known) window->used = Plus(window->used, used);
    window->known = true;
  }
  CountHeld();
  EndLeases(now);
}

// The month's, in place of those that were known of it.
void QuotaBook::TakeLeases(const std::vector<Held>& held, int64_t month) {
  leases_.erase(std::remove_if(leases_.begin(), leases_.end(),
                               [&](const Lease& lease) { return lease.period.month == month; }),
                leases_.end());
  for (const Held& one : held) {
    const Period period = PeriodOf(one.created_at);
    if (period.month == month) leases_.push_back({period, one.until, one.amount});
  }
  std::sort(leases_.begin(), leases_.end(),
            [](const Lease& a, const Lease& b) { return a.until > b.until; });
}

void QuotaBook::CountHeld() {
  days_.ForgetHeld();
  months_.ForgetHeld();
  for (const Lease& lease : leases_) {
    for (Window* window : {days_.Find(lease.period.day), months_.Find(lease.period.month)}) {
      if (window != nullptr) window->held = Plus(window->held, lease.amount);
    }
  }
}

void QuotaBook::FailLoad() {
  loading_.reset();
  days_.ForgetUnknown();
  months_.ForgetUnknown();
}

void QuotaBook::EndLeases(absl::Time now) {
  while (!leases_.empty() && leases_.back().until <= now) {
    const Lease& lease = leases_.back();
    for (Window* window : {days_.Find(lease.period.day), months_.Find(lease.period.month)}) {
      if (window != nullptr) window->held = Minus(window->held, lease.amount);
    }
    leases_.pop_back();
  }
}

QuotaBook::Window& QuotaBook::WindowOf(const QuotaLimit& limit, const Period& period) {
  return limit.is_daily ? days_.Open(period.day) : months_.Open(period.month);
}

int64_t QuotaBook::Reserved(const QuotaLimit& limit, const Window& window) const {
  return Sum(Of(limit, window.reserved), Of(limit, window.held));
}

absl::optional<QuotaBook::Shortage> QuotaBook::ShortageOf(const Limits& limits,
                                                          const Period& period, const Amount& upper,
                                                          absl::Time now) {
  EndLeases(now);
  absl::optional<Shortage> shortage;
  for (const QuotaLimit& limit : kQuotaLimits) {
    const absl::optional<int64_t>& cap = limits.*limit.cap;
    if (!cap) continue;
    const Window& window = WindowOf(limit, period);
    const int64_t used = Of(limit, window.used);
    const int64_t reserved = Reserved(limit, window);
    const int64_t used_then = Sum(used, Of(limit, upper));
    if (*cap > 0 && Sum(used_then, reserved) <= *cap) continue;
    const absl::Duration wait = WaitFor(limit, period, *cap <= 0 || used_then > *cap, now);
    if (!shortage) shortage = Shortage{&limit, *cap, used, reserved, wait};
    shortage->wait = std::max(shortage->wait, wait);
  }
  return shortage;
}

absl::Duration QuotaBook::WaitFor(const QuotaLimit& limit, const Period& period, bool is_used_up,
                                  absl::Time now) {
  absl::Duration wait = absl::InfiniteDuration();
  if (is_used_up) {
    wait = (limit.is_daily ? DayStart(period.day + 1) : MonthStart(period.month + 1)) - now;
    return wait > absl::ZeroDuration() ? wait : kRunningRetryAfter;  // another is of a new window
  }
  if (Of(limit, WindowOf(limit, period).reserved) > 0) wait = kRunningRetryAfter;
  for (const Lease& lease : leases_) {
    const bool counts =
        limit.is_daily ? lease.period.day == period.day : lease.period.month == period.month;
    if (counts && Of(limit, lease.amount) > 0) wait = std::min(wait, lease.until - now);
  }
  return wait;
}

int64_t QuotaBook::Left(const QuotaLimit& limit, int64_t cap, const Period& period,
                        absl::Time now) {
  EndLeases(now);
  const Window& window = WindowOf(limit, period);
  return std::max<int64_t>(cap - Sum(Of(limit, window.used), Reserved(limit, window)), 0);
}

void QuotaBook::Reserve(const Period& period, const Amount& upper) {
  for (Window* window : {&days_.Open(period.day), &months_.Open(period.month)}) {
    window->reserved = Plus(window->reserved, upper);
  }
}

void QuotaBook::Release(const Period& period, const Amount& upper) {
  for (Window* window : {days_.Find(period.day), months_.Find(period.month)}) {
    if (window != nullptr) window->reserved = Minus(window->reserved, upper);
  }
}

void QuotaBook::Use(const Period& period, const Amount& actual, absl::Time now) {
  for (Window* window : {days_.Find(period.day), months_.Find(period.month)}) {
    if (window != nullptr) window->used = Plus(window->used, actual);
  }
  const Period today = PeriodOf(now);
  days_.Prune(today.day - 1);
  months_.Prune(today.month - 1);
}

QuotaState::Window QuotaBook::DayOf(const Period& period, absl::Time now) {
  EndLeases(now);
  return Shown(days_.Open(period.day), DayStart(period.day), DayStart(period.day + 1));
}

QuotaState::Window QuotaBook::MonthOf(const Period& period, absl::Time now) {
  EndLeases(now);
  return Shown(months_.Open(period.month), MonthStart(period.month), MonthStart(period.month + 1));
}

}  // namespace aibackend::access
