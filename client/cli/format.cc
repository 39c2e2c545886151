#include "client/cli/format.h"

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

}  // namespace aibackend::cli
