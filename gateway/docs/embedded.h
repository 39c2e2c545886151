// Files that the build put into the program.
#pragma once

#include "absl/strings/string_view.h"

namespace aibackend::gateway {

// The contract as a google.protobuf.FileDescriptorSet with its comments, which the compiled-in
// descriptors lack.
absl::string_view EmbeddedDescriptors();

absl::string_view EmbeddedDocsHtml();
absl::string_view EmbeddedDocsJs();
absl::string_view EmbeddedSwaggerJs();
absl::string_view EmbeddedSwaggerCss();
absl::string_view EmbeddedFavicon();

}  // namespace aibackend::gateway
