// The meter once more, with no cleverness: every number is added up anew from the list of all
// requests there ever were, and rates are leaky buckets (the other form of ITU-T I.371).
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/access/meter.h"
#include "tests/unit/server/access/meter_fakes.h"

namespace aibackend::access {

inline std::string DayName(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}
inline std::string MonthName(absl::Time time) {
  return absl::FormatTime("%Y-%m", time, absl::UTCTimeZone());
}

// What is refused, as the contract names it.
struct ReferenceRefusal {
  std::string first;
  absl::Duration wait;
};

class ReferenceMeter {
 public:
  struct Part {
    Subject subject;
    Limits limits;
    bool is_limited = false;
    bool has_quota = false;
    int64_t token_cost = 0, token_end = 0, given_back_before = 0;
  };
  enum class State { kRunning, kSettled, kDropped, kKilled };
  struct Request {
    absl::Time created_at;
    std::vector<Part> parts;
    State state = State::kRunning;
    bool is_admitted = false;
    bool is_reserved = false;
    bool spares_tokens = false;
    Amount upper;      // that it holds, or held
    absl::Time until;  // of one that was killed
    Amount actual;
  };

  explicit ReferenceMeter(bool enforces) : enforces_(enforces) {}

  std::vector<Request> requests;

  // Adds the request; what refuses it, in both modes.
  absl::optional<ReferenceRefusal> Admit(Request request, absl::Time now) {
    absl::optional<ReferenceRefusal> refusal;
    for (const Part& part : request.parts) {
      if (!part.is_limited) continue;
      if (const auto& cap = part.limits.requests_per_minute) {
        const int64_t over =
            *cap == 0 ? 0 : LevelOf(part, "requests", now) + Interval(*cap) - BurstOf(*cap);
        if (*cap == 0) Refuse(refusal, part, "requests_per_minute", absl::Minutes(1));
        if (over > 0) Refuse(refusal, part, "requests_per_minute", absl::Nanoseconds(over));
      }
      const auto& cap = part.limits.concurrent;
      if (cap && Concurrent(part.subject) >= *cap) {
        Refuse(refusal, part, "concurrent", *cap == 0 ? absl::Minutes(1) : absl::Seconds(1));
      }
    }
    request.is_admitted = !refusal || !enforces_;
    for (const Part& part : request.parts) {
      if (refusal || !part.is_limited || !part.limits.requests_per_minute) continue;
      Pour(part, "requests", now, Interval(*part.limits.requests_per_minute));
    }
    if (!request.is_admitted) request.state = State::kDropped;
    requests.push_back(std::move(request));
    return refusal;
  }

  absl::optional<ReferenceRefusal> Reserve(Request& request, const Amount& upper, absl::Time now) {
    absl::optional<ReferenceRefusal> refusal;
    for (const Part& part : request.parts) {
      if (part.has_quota) RefuseQuotas(refusal, part, request, upper, now);
    }
    const bool is_quota = refusal.has_value();
    for (const Part& part : request.parts) {
      const auto& cap = part.limits.tokens_per_minute;
      if (is_quota || !part.is_limited || !cap) continue;
      const bool never = *cap == 0 || upper.tokens > *cap;
      const int64_t over =
          never ? 0 : LevelOf(part, "tokens", now) + TokenCost(upper.tokens, *cap) - kMinuteNs;
      if (never) Refuse(refusal, part, "tokens_per_minute", absl::Minutes(1));
      if (over > 0) Refuse(refusal, part, "tokens_per_minute", absl::Nanoseconds(over));
    }
    if (refusal && enforces_) return refusal;
    request.is_reserved = true;
    request.upper = upper;
    request.spares_tokens = refusal.has_value();
    for (Part& part : request.parts) {
      const auto& cap = part.limits.tokens_per_minute;
      if (refusal || !part.is_limited || !cap) continue;
      part.token_cost = TokenCost(upper.tokens, *cap);
      Pour(part, "tokens", now, part.token_cost);
      part.token_end = absl::ToUnixNanos(now) + LevelOf(part, "tokens", now);
      part.given_back_before = given_back_[OrderOf(part.subject)];
    }
    return refusal;
  }

  void End(Request& request, absl::optional<Amount> actual, absl::Time now) {
    request.state = actual ? State::kSettled : State::kDropped;
    request.actual = actual.value_or(Amount{});
    for (const Part& part : request.parts) {
      const auto& cap = part.limits.tokens_per_minute;
      if (!part.is_limited || !cap || request.spares_tokens) continue;
      const int64_t more = TokenCost(request.actual.tokens, *cap) - part.token_cost;
      if (more > 0) {
        const int64_t room = std::max<int64_t>(kMinuteNs - LevelOf(part, "tokens", now), 0);
        Pour(part, "tokens", now, std::min(more, room));
      }
      if (more >= 0) continue;
      int64_t& given_back = given_back_[OrderOf(part.subject)];
      const int64_t undrained =
          part.token_end - (given_back - part.given_back_before) - absl::ToUnixNanos(now);
      const int64_t back = std::max<int64_t>(std::min(-more, undrained), 0);
      Pour(part, "tokens", now, -back);
      given_back += back;
    }
  }

  // The process dies: what was reserved is held until `until`; rates and places are forgotten.
  void Kill(absl::Time until) {
    for (Request& request : requests) {
      if (request.state != State::kRunning) continue;
      request.state = State::kKilled;
      request.until = until;
    }
    levels_.clear();
    given_back_.clear();
  }

  absl::optional<int64_t> TokensLeft(const Request& request, int64_t price, absl::Time now) {
    absl::optional<int64_t> left;
    const auto limit_to = [&](int64_t tokens) {
      left = std::min(left.value_or(INT64_MAX), std::max<int64_t>(tokens, 0));
    };
    for (const Part& part : request.parts) {
      if (!part.is_limited) continue;
      if (const auto& cap = part.limits.tokens_per_minute) {
        limit_to(*cap);
      }
      if (!part.has_quota) continue;
      const Sums day = SumsOf(part.subject, DayName(request.created_at), true, now);
      const Sums month = SumsOf(part.subject, MonthName(request.created_at), false, now);
      if (const auto& cap = part.limits.tokens_per_day) limit_to(*cap - day.all().tokens);
      if (const auto& cap = part.limits.tokens_per_month) limit_to(*cap - month.all().tokens);
      const auto limit_money = [&](const absl::optional<int64_t>& cap, const Sums& sums) {
        if (!cap) return;
        if (*cap == 0) return limit_to(0);
        const int64_t money = std::max<int64_t>(*cap - sums.all().money.value, 0);
        if (price > 0) limit_to(money * 1'000'000 / price);
      };
      limit_money(part.limits.nano_usd_per_day, day);
      limit_money(part.limits.nano_usd_per_month, month);
    }
    return left;
  }

  struct Sums {
    Amount used, reserved, held;
    absl::Time first_lease_end = absl::InfiniteFuture();
    Amount all() const { return Add(Add(used, reserved), held); }
  };
  // Of a day or a month of this name.
  Sums SumsOf(const Subject& subject, const std::string& window, bool is_day,
              absl::Time now) const {
    Sums sums;
    for (const Request& request : requests) {
      if ((is_day ? DayName(request.created_at) : MonthName(request.created_at)) != window)
        continue;
      for (const Part& part : request.parts) {
        if (!(part.subject == subject)) continue;
        if (request.state == State::kSettled) sums.used = Add(sums.used, request.actual);
        if (!request.is_reserved) continue;
        if (request.state == State::kRunning && part.has_quota) {
          sums.reserved = Add(sums.reserved, request.upper);
        }
        if (request.state == State::kKilled && request.until > now) {
          sums.held = Add(sums.held, request.upper);
          sums.first_lease_end = std::min(sums.first_lease_end, request.until);
        }
      }
    }
    return sums;
  }

  int64_t Concurrent(const Subject& subject) const {
    int64_t count = 0;
    for (const Request& request : requests) {
      if (request.state != State::kRunning) continue;
      for (const Part& part : request.parts) count += part.is_limited && part.subject == subject;
    }
    return count;
  }

 private:
  static constexpr int64_t kMinuteNs = 60'000'000'000;
  using Order = decltype(OrderOf(Subject{}));
  struct Level {
    int64_t nanos = 0;
    absl::Time at;
  };

  static Amount Add(const Amount& a, const Amount& b) {
    return {a.tokens + b.tokens, a.money + b.money};
  }
  static int64_t TokenCost(int64_t tokens, int64_t cap) {
    if (tokens == 0) return 0;
    return cap == 0 ? INT64_MAX / 2 : (tokens * kMinuteNs + cap - 1) / cap;
  }
  static int64_t Interval(int64_t cap) { return TokenCost(1, cap); }
  static int64_t BurstOf(int64_t cap) { return std::max<int64_t>(1, cap / 6) * Interval(cap); }

  static void Refuse(absl::optional<ReferenceRefusal>& all, const Part& part, const char* limit,
                     absl::Duration wait) {
    static constexpr const char* kKinds[] = {"key", "user", "tenant", "address"};
    if (!all) {
      all = {std::string(kKinds[static_cast<int>(part.subject.kind)]) + "." + limit, wait};
    }
    all->wait = std::max(all->wait, wait);
  }

  // Drained until now.
  int64_t LevelOf(const Part& part, const char* what, absl::Time now) {
    Level& level = levels_[{OrderOf(part.subject), what}];
    level.nanos = std::max<int64_t>(0, level.nanos - absl::ToInt64Nanoseconds(now - level.at));
    level.at = now;
    return level.nanos;
  }
  void Pour(const Part& part, const char* what, absl::Time now, int64_t nanos) {
    LevelOf(part, what, now);
    levels_[{OrderOf(part.subject), what}].nanos += nanos;
  }

  void RefuseQuotas(absl::optional<ReferenceRefusal>& refusal, const Part& part,
                    const Request& request, const Amount& upper, absl::Time now) const {
    const absl::CivilDay day = absl::ToCivilDay(request.created_at, absl::UTCTimeZone());
    const Sums of_day = SumsOf(part.subject, DayName(request.created_at), true, now);
    const Sums of_month = SumsOf(part.subject, MonthName(request.created_at), false, now);
    const auto check = [&](const char* name, const absl::optional<int64_t>& cap, bool is_day,
                           bool is_money) {
      if (!cap) return;
      const auto number = [&](const Amount& a) { return is_money ? a.money.value : a.tokens; };
      const Sums& sums = is_day ? of_day : of_month;
      if (*cap > 0 && number(sums.all()) + number(upper) <= *cap) return;
      const absl::Time end =
          absl::FromCivil(is_day ? day + 1 : absl::CivilMonth(day) + 1, absl::UTCTimeZone());
      absl::Duration wait = end > now ? end - now : absl::Seconds(1);
      if (*cap > 0 && number(sums.used) + number(upper) <= *cap) {
        wait = number(sums.reserved) > 0 ? absl::Seconds(1) : absl::InfiniteDuration();
        wait = std::min(wait, sums.first_lease_end - now);
      }
      Refuse(refusal, part, name, wait);
    };
    check("tokens_per_day", part.limits.tokens_per_day, true, false);
    check("tokens_per_month", part.limits.tokens_per_month, false, false);
    check("nano_usd_per_day", part.limits.nano_usd_per_day, true, true);
    check("nano_usd_per_month", part.limits.nano_usd_per_month, false, true);
  }

  const bool enforces_;
  std::map<std::pair<Order, std::string>, Level> levels_;
  std::map<Order, int64_t> given_back_;
};

}  // namespace aibackend::access
