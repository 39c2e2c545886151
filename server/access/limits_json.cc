#include "server/access/limits_json.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

using Json = nlohmann::json;

// Sums of a few of them stay far from overflow, and a JSON number (a double to many) holds it.
constexpr int64_t kLimitMax = 1'000'000'000'000'000;
constexpr int64_t kConcurrentMax = 1'000'000;  // the contract's is an int32

struct Entry {
  const char* name;
  absl::optional<int64_t> Limits::*value;
  int64_t max;
};

constexpr Entry kEntries[] = {
    {"requests_per_minute", &Limits::requests_per_minute, kLimitMax},
    {"tokens_per_minute", &Limits::tokens_per_minute, kLimitMax},
    {"tokens_per_day", &Limits::tokens_per_day, kLimitMax},
    {"tokens_per_month", &Limits::tokens_per_month, kLimitMax},
    {"nano_usd_per_day", &Limits::nano_usd_per_day, kLimitMax},
    {"nano_usd_per_month", &Limits::nano_usd_per_month, kLimitMax},
    {"concurrent", &Limits::concurrent, kConcurrentMax},
};

const Entry* EntryOf(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (name == entry.name) return &entry;
  }
  return nullptr;
}

absl::Status OutOfRange(const Entry& entry) {
  return MakeError(Reason::FIELD_OUT_OF_RANGE, absl::StrCat("must be 0 to ", entry.max),
                   absl::StrCat("limits.", entry.name));
}

}  // namespace

std::string FormatLimits(const Limits& limits) {
  Json json = Json::object();
  for (const Entry& entry : kEntries) {
    if (const auto& value = limits.*entry.value) json[entry.name] = *value;
  }
  return json.dump();
}

absl::StatusOr<Limits> ParseLimits(absl::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return MakeError(Reason::FIELD_INVALID, "must be a JSON object of limits", "limits");
  }
  Limits limits;
  for (const auto& [name, value] : json.items()) {
    const Entry* entry = EntryOf(name);
    if (entry == nullptr) {
      return MakeError(Reason::FIELD_INVALID, "is no limit", absl::StrCat("limits.", name));
    }
    if (!value.is_number_integer()) {
      return MakeError(Reason::FIELD_INVALID, "must be an integer", absl::StrCat("limits.", name));
    }
    // An unsigned one beyond int64 would come out negative, which is out of range as well.
    limits.*entry->value = value.get<int64_t>();
  }
  AIB_RETURN_IF_ERROR(CheckLimits(limits));
  return limits;
}

absl::Status CheckLimits(const Limits& limits) {
  for (const Entry& entry : kEntries) {
    const auto& value = limits.*entry.value;
    if (value && (*value < 0 || *value > entry.max)) return OutOfRange(entry);
  }
  return absl::OkStatus();
}

}  // namespace aibackend::access
