// The one thing about an upstream's URL that messages may name.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace aibackend::net {

// "scheme://host:port" of a URL, never its user info, path or query.
std::string OriginOf(absl::string_view url);

}  // namespace aibackend::net
