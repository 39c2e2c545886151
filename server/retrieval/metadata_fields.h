// A document's metadata as the index of metadata holds it: flat, each value by the path to it.
#pragma once

#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "server/retrieval/metadata_filter.h"

namespace aibackend::retrieval {

// Limits of a document, so that what indexes it costs has a bound (about 64 KiB). A document beyond
// them is refused when it is added: one that is stored is found by all it says.
constexpr size_t kMetadataValuesMax = 256;
constexpr size_t kMetadataDepthMax = 32;

struct MetadataField {
  std::string path;                     // names with dots between them
  absl::optional<MetadataValue> value;  // absent: an object, whose members follow

  friend bool operator==(const MetadataField& a, const MetadataField& b) {
    return a.path == b.path && a.value == b.value;
  }
  friend bool operator<(const MetadataField& a, const MetadataField& b) {
    return a.path != b.path ? a.path < b.path : a.value < b.value;
  }
};

// By path, each once. Elements of a list have the list's path; null and an empty list say nothing.
using MetadataFields = std::vector<MetadataField>;

// `metadata` is a JSON object, or empty; another text has no fields. What lies deeper than
// kMetadataDepthMax is left out, and `is_too_deep` (may be null) set.
MetadataFields FlattenMetadata(const std::string& metadata, bool* is_too_deep = nullptr);

}  // namespace aibackend::retrieval
