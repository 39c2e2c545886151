// Requests that a newcomer can send as they stand.
#pragma once

#include "absl/strings/string_view.h"
#include "gateway/docs/openapi_schema.h"

namespace aibackend::gateway {

// For a request message by its full name; null for most.
Json ExampleOf(absl::string_view message);

}  // namespace aibackend::gateway
