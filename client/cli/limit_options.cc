#include "client/cli/limit_options.h"

#include <limits>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/format.h"
#include "client/cli/options.h"

namespace aibackend::cli {
namespace {

using google::protobuf::FieldDescriptor;

struct LimitOption {
  const char* name;
  int field;  // of v1::Limits
  bool usd;   // the option in US dollars, the field in nano-USD
  const char* what;
};

constexpr LimitOption kLimitOptions[] = {
    {"--rpm", v1::Limits::kRequestsPerMinuteFieldNumber, false, "requests a minute"},
    {"--tpm", v1::Limits::kTokensPerMinuteFieldNumber, false, "tokens a minute"},
    {"--tokens-per-day", v1::Limits::kTokensPerDayFieldNumber, false, "tokens a day"},
    {"--tokens-per-month", v1::Limits::kTokensPerMonthFieldNumber, false, "tokens a month"},
    {"--usd-per-day", v1::Limits::kNanoUsdPerDayFieldNumber, true, "a day"},
    {"--usd-per-month", v1::Limits::kNanoUsdPerMonthFieldNumber, true, "a month"},
    {"--concurrent", v1::Limits::kConcurrentFieldNumber, false, "requests at once"},
};

const FieldDescriptor* FieldOf(int number) {
  return v1::Limits::descriptor()->FindFieldByNumber(number);
}

bool Is32Bit(int field) {
  return FieldOf(field)->cpp_type() == FieldDescriptor::CPPTYPE_INT32;
}

int64_t ParseLimit(const LimitOption& option, const std::string& text) {
  if (option.usd) {
    const auto nano_usd = ParseNanoUsd(text);
    if (nano_usd.ok()) return *nano_usd;
    throw CLI::ValidationError(option.name, std::string(nano_usd.status().message()));
  }
  const int64_t max = Is32Bit(option.field) ? std::numeric_limits<int32_t>::max()
                                            : std::numeric_limits<int64_t>::max();
  int64_t value = 0;
  if (absl::SimpleAtoi(text, &value) && value >= 0 && value <= max) return value;
  throw CLI::ValidationError(
      option.name, absl::StrCat("\"", text, "\" is neither a number from 0 to ", max, " nor none"));
}

}  // namespace

void LimitOptions::AddTo(CLI::App& app) {
  for (const auto& option : kLimitOptions) {
    app.add_option_function<std::string>(
           option.name,
           [this, &option](const std::string& text) {
             std::optional<int64_t> value;
             if (text != "none") value = ParseLimit(option, text);
             values_.emplace_back(option.field, value);
           },
           absl::StrCat("At most so many ", option.usd ? "US dollars " : "", option.what,
                        "; or none"))
        ->type_name(option.usd ? "USD" : "N");
  }
}

void LimitOptions::Apply(v1::Limits& limits) const {
  const auto& reflection = *v1::Limits::GetReflection();
  for (const auto& [number, value] : values_) {
    const auto* field = FieldOf(number);
    if (!value) {
      reflection.ClearField(&limits, field);
    } else if (Is32Bit(number)) {
      reflection.SetInt32(&limits, field, static_cast<int32_t>(*value));
    } else {
      reflection.SetInt64(&limits, field, *value);
    }
  }
}

std::string FormatLimits(const v1::Limits& limits) {
  const auto& reflection = *v1::Limits::GetReflection();
  std::vector<std::string> parts;
  for (const auto& option : kLimitOptions) {
    const auto* field = FieldOf(option.field);
    if (!reflection.HasField(limits, field)) continue;
    const int64_t value = Is32Bit(option.field) ? reflection.GetInt32(limits, field)
                                                : reflection.GetInt64(limits, field);
    parts.push_back(
        absl::StrCat(option.usd ? FormatUsdShort(value) : absl::StrCat(value), " ", option.what));
  }
  return parts.empty() ? "-" : absl::StrJoin(parts, ", ");
}

}  // namespace aibackend::cli
