// What is wrong with a document that simdjson refused. simdjson says which rule was broken but not
// where, so that this second, slower reading finds the place; it happens only on the way to a 400.
#pragma once

#include "absl/strings/string_view.h"
#include "gateway/transcode/error.h"

namespace aibackend::gateway {

ApiError ExplainJsonFault(absl::string_view json);

}  // namespace aibackend::gateway
