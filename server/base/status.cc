#include "server/base/status.h"

#include <array>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"

namespace aibackend {
namespace {

constexpr char kReasonUrl[] = "aibackend.v1/reason";
constexpr char kFieldUrl[] = "aibackend.v1/field";
constexpr char kRetryAfterUrl[] = "aibackend.v1/retry_after_ms";

v1::Error::Reason ReasonOfCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return Reason::FIELD_INVALID;
    case absl::StatusCode::kCancelled:
      return Reason::CANCELLED;
    case absl::StatusCode::kDeadlineExceeded:
      return Reason::DEADLINE_EXCEEDED;
    case absl::StatusCode::kResourceExhausted:
      return Reason::OVERLOADED;
    case absl::StatusCode::kUnavailable:
      return Reason::NOT_READY;
    default:
      return Reason::INTERNAL;
  }
}

}  // namespace

const v1::ErrorMapping& MappingOf(v1::Error::Reason reason) {
  static const auto* const kTable = [] {
    auto* table = new std::array<v1::ErrorMapping, v1::Error::Reason_ARRAYSIZE>;
    const auto* descriptor = v1::Error::Reason_descriptor();
    for (auto& row : *table) row = descriptor->value(0)->options().GetExtension(v1::error);
    for (int i = 0; i < descriptor->value_count(); ++i) {
      (*table)[descriptor->value(i)->number()] =
          descriptor->value(i)->options().GetExtension(v1::error);
    }
    return table;
  }();
  return (*kTable)[v1::Error::Reason_IsValid(reason) ? reason : 0];
}

const std::string& ReasonName(v1::Error::Reason reason) {
  return v1::Error::Reason_Name(reason);
}

absl::Status MakeError(v1::Error::Reason reason, absl::string_view message,
                       absl::string_view field) {
  absl::Status status(static_cast<absl::StatusCode>(MappingOf(reason).code()), message);
  status.SetPayload(kReasonUrl, absl::Cord(absl::StrCat(static_cast<int>(reason))));
  if (!field.empty()) status.SetPayload(kFieldUrl, absl::Cord(field));
  return status;
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration after) {
  status.SetPayload(kRetryAfterUrl, absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(after))));
  return status;
}

v1::Error::Reason ReasonOf(const absl::Status& status) {
  int number = 0;
  const auto payload = status.GetPayload(kReasonUrl);
  if (payload && absl::SimpleAtoi(std::string(*payload), &number) &&
      v1::Error::Reason_IsValid(number)) {
    return static_cast<v1::Error::Reason>(number);
  }
  return ReasonOfCode(status.code());
}

std::string FieldOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kFieldUrl);
  return payload ? std::string(*payload) : std::string();
}

absl::optional<absl::Duration> RetryAfterOf(const absl::Status& status) {
  int64_t ms = 0;
  const auto payload = status.GetPayload(kRetryAfterUrl);
  if (payload && absl::SimpleAtoi(std::string(*payload), &ms)) return absl::Milliseconds(ms);
  return absl::nullopt;
}

}  // namespace aibackend
