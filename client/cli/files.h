// Text that comes from files and from stdin.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace aibackend::cli {

bool IsUtf8(std::string_view text);

// The whole file as UTF-8 text; "-" is stdin. Errors are sentences that name the file: it can't be
// read, is longer than `bytes_max`, is empty, or is not UTF-8.
absl::StatusOr<std::string> ReadText(const std::string& path, size_t bytes_max);

}  // namespace aibackend::cli
