#include "client/cli/format.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace aibackend::cli {

std::string FormatTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(time.seconds()),
                          absl::LocalTimeZone());
}

std::string FormatUsd(int64_t nano_usd) {
  constexpr int64_t kNano = 1'000'000'000;
  return absl::StrFormat("%s$%d.%09d", nano_usd < 0 ? "-" : "", std::abs(nano_usd / kNano),
                         std::abs(nano_usd % kNano));
}

std::string FormatUsdShort(int64_t nano_usd) {
  constexpr size_t kCents = 2;
  std::string usd = FormatUsd(nano_usd);
  const size_t shortest = usd.find('.') + 1 + kCents;
  usd.resize(std::max(usd.find_last_not_of('0') + 1, shortest));
  return usd;
}

std::string FormatCost(const v1::RequestLog& log) {
  const bool known = log.has_cost_nano_usd() && !log.price_unknown();
  return known ? FormatUsd(log.cost_nano_usd()) : "?";
}

}  // namespace aibackend::cli
