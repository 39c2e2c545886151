#include "server/access/gcra.h"

#include <algorithm>

namespace aibackend::access {
namespace {

constexpr int64_t kMinute = 60'000'000'000;  // nanoseconds
constexpr int64_t kBurstsAMinute = 6;        // of requests: ten seconds' worth each
// A cost that no burst reaches. Half of what an integer holds, so that a clock's time can be added.
constexpr int64_t kCostMax = INT64_MAX / 2;

using Wide = __int128;  // the product of two 64-bit integers fits

int64_t Clamped(Wide value) {
  return static_cast<int64_t>(std::min<Wide>(value, INT64_MAX));
}

}  // namespace

Gcra Gcra::OfRequests(int64_t per_minute) {
  Gcra rate(std::max<int64_t>(per_minute, 0), 0);
  if (per_minute > 0) {
    const int64_t burst = std::max<int64_t>(1, per_minute / kBurstsAMinute);
    rate.burst_ = Clamped(Wide{burst} * rate.CostOf(1));
  }
  return rate;
}

Gcra Gcra::OfTokens(int64_t per_minute) {
  return {std::max<int64_t>(per_minute, 0), per_minute > 0 ? kMinute : 0};
}

int64_t Gcra::CostOf(int64_t units) const {
  if (units <= 0) return 0;
  if (per_minute_ == 0) return kCostMax;
  const Wide cost = (Wide{units} * kMinute + per_minute_ - 1) / per_minute_;
  return static_cast<int64_t>(std::min<Wide>(cost, kCostMax));
}

int64_t Gcra::WaitFor(int64_t tat, int64_t now, int64_t cost) const {
  if (cost > burst_ || per_minute_ == 0) return kNever;
  const Wide excess = Wide{std::max(tat, now)} + cost - now - burst_;
  return Clamped(std::max<Wide>(excess, 0));
}

int64_t Gcra::Settled(int64_t tat, int64_t now) const {
  return std::min(tat, Clamped(Wide{now} + burst_));
}

int64_t Gcra::Take(int64_t tat, int64_t now, int64_t cost) {
  return Clamped(Wide{std::max(tat, now)} + cost);
}

int64_t Gcra::RoomAt(int64_t tat, int64_t now) const {
  return std::max<int64_t>(burst_ - std::max<int64_t>(tat - now, 0), 0);
}

int64_t Gcra::UnitsIn(int64_t room) const {
  return Clamped(Wide{room} * per_minute_ / kMinute);
}

void TokenBucket::Settle(int64_t now) {
  tat_ = std::min(tat_, now + kMinute);
}

TokenBucket::Charge TokenBucket::Take(int64_t now, int64_t cost) {
  tat_ = Gcra::Take(tat_, now, cost);
  return {cost, tat_, given_back_};
}

void TokenBucket::Correct(const Charge& charge, int64_t now, int64_t actual) {
  if (actual >= charge.cost) {
    const int64_t taken = Gcra::Take(tat_, now, actual - charge.cost);
    tat_ = std::max(tat_, std::min(taken, now + kMinute));
    return;
  }
  const int64_t end = charge.end - (given_back_ - charge.given_back_before);
  const int64_t back = std::min(charge.cost - actual, std::max<int64_t>(end - now, 0));
  tat_ -= back;
  given_back_ += back;
}

}  // namespace aibackend::access
