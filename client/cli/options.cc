#include "client/cli/options.h"

#include <algorithm>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace aibackend::cli {
namespace {

constexpr absl::Duration kSpanMax = absl::Hours(24 * 365 * 100);
constexpr size_t kUsdDecimals = 9;

absl::Status Problem(std::string_view text, const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("\"", std::string(text), "\" is no ", what));
}

bool AllDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

absl::Duration UnitOf(char unit) {
  switch (unit) {
    case 's':
      return absl::Seconds(1);
    case 'm':
      return absl::Minutes(1);
    case 'h':
      return absl::Hours(1);
    case 'd':
      return absl::Hours(24);
    case 'w':
      return absl::Hours(24 * 7);
    default:
      return absl::ZeroDuration();
  }
}

// An option whose text `parse` turns into a T.
template <class T>
CLI::Option* AddParsed(CLI::App& app, const std::string& name, const std::string& help,
                       const char* type, absl::StatusOr<T> (*parse)(std::string_view),
                       std::optional<T>& target) {
  return app
      .add_option_function<std::string>(
          name,
          [name, parse, &target](const std::string& text) {
            const auto value = parse(text);
            if (!value.ok()) {
              throw CLI::ValidationError(name, std::string(value.status().message()));
            }
            target = *value;
          },
          help)
      ->type_name(type);
}

}  // namespace

absl::StatusOr<int64_t> ParseNanoUsd(std::string_view text) {
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  std::string decimals =
      point == std::string_view::npos ? "0" : std::string(text.substr(point + 1));
  if (!AllDigits(whole) || !AllDigits(decimals)) {
    return Problem(text, "amount of US dollars such as 0.15");
  }
  decimals.resize(std::max(decimals.find_last_not_of('0') + 1, kUsdDecimals), '0');
  if (decimals.size() > kUsdDecimals) {
    return Problem(text, "amount with at most nine decimals (a nano-dollar is the least)");
  }
  // Digits only, so that what can go wrong is that there are too many of them.
  int64_t nano_usd = 0;
  if (!absl::SimpleAtoi(absl::StrCat(std::string(whole), decimals), &nano_usd)) {
    return Problem(text, "amount that can be kept: it is above 9 billion US dollars");
  }
  return nano_usd;
}

absl::StatusOr<absl::Duration> ParseSpan(std::string_view text) {
  constexpr char kWhat[] = "span of time such as 30d, 12h or 1d12h, of at most 100 years";
  if (text == "0") return absl::ZeroDuration();
  if (text.empty()) return Problem(text, kWhat);
  absl::Duration span;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    int64_t count = 0;
    if (digits == rest.size() || UnitOf(rest[digits]) == absl::ZeroDuration() ||
        !absl::SimpleAtoi(std::string(rest.substr(0, digits)), &count)) {
      return Problem(text, kWhat);
    }
    span += count * UnitOf(rest[digits]);  // saturates
    rest.remove_prefix(digits + 1);
  }
  if (span > kSpanMax) return Problem(text, kWhat);
  return span;
}

absl::StatusOr<absl::Time> ParseMoment(std::string_view text) {
  constexpr size_t kDayBytes = 10;
  const std::string value(text);
  absl::Time time;
  const bool read =
      AllDigits(text.substr(0, 4)) && text.find('-') == 4 &&  // not "infinite-past"
      (text.size() == kDayBytes ? absl::ParseTime("%Y-%m-%d", value, &time, nullptr)
                                : absl::ParseTime(absl::RFC3339_full, value, &time, nullptr));
  if (!read || time < absl::UnixEpoch()) {
    return Problem(text, "day such as 2026-01-31 and no time such as 2026-01-31T09:30:00Z");
  }
  return time;
}

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return timestamp;
}

CLI::Option* AddUsd(CLI::App& app, const std::string& name, std::optional<int64_t>& nano_usd,
                    const std::string& help) {
  return AddParsed(app, name, help, "USD", &ParseNanoUsd, nano_usd);
}

CLI::Option* AddSpan(CLI::App& app, const std::string& name, std::optional<absl::Duration>& span,
                     const std::string& help) {
  return AddParsed(app, name, help, "SPAN", &ParseSpan, span);
}

CLI::Option* AddMoment(CLI::App& app, const std::string& name, std::optional<absl::Time>& moment,
                       const std::string& help) {
  return AddParsed(app, name, help, "TIME", &ParseMoment, moment);
}

void AddJson(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "Print the answer as JSON");
}

void AddLimit(CLI::App& app, std::optional<int>& limit) {
  app.add_option("--limit", limit,
                 absl::StrCat("How many at most (default: ", kPageSizeDefault, ")"))
      ->check(CLI::PositiveNumber);
}

}  // namespace aibackend::cli
