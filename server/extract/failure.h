// How the readers of this folder fail: the reasons that extract.h promises, without the field,
// which Extract() adds.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/status.h"

namespace aibackend::extract {

inline absl::Status Damaged(absl::string_view message) {
  return MakeError(Reason::FIELD_INVALID, message);
}
inline absl::Status TooLarge(absl::string_view message) {
  return MakeError(Reason::REQUEST_TOO_LARGE, message);
}
inline absl::Status Unsupported(absl::string_view message) {
  return MakeError(Reason::UNSUPPORTED_MEDIA_TYPE, message);
}

}  // namespace aibackend::extract
