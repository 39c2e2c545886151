// A stored document in memory, as the indexes share it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/retrieval/chunker.h"

namespace aibackend::retrieval {

// Never changes: another content is another document with a new `seq`.
struct Document {
  int64_t seq = 0;  // the order of arrival; never given twice
  std::string id;
  std::string title;
  std::string text;
  std::string source;
  std::string metadata;  // JSON object, or empty
  std::string content_hash;
  absl::Time created_at;
  std::vector<Span> chunks;

  absl::string_view ChunkText(size_t ordinal) const {
    const Span& span = chunks[ordinal];
    return absl::string_view(text).substr(span.start, span.end - span.start);
  }
};

using DocumentPtr = std::shared_ptr<const Document>;

}  // namespace aibackend::retrieval
