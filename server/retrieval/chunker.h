// Cuts a document into the chunks that are indexed, found and cited.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace aibackend::retrieval {

// A text up to this size is one chunk: a page of it is still about one thing.
constexpr size_t kChunkCharsMax = 2000;
// Longer texts are cut into equal chunks of about this size.
constexpr size_t kChunkCharsTarget = 1500;
// A chunk that starts in the middle of a paragraph repeats up to this much of the one before, so
// that a sentence's context is not lost at the border.
constexpr size_t kChunkOverlapCharsMax = 250;

// Bytes [start, end) of a document's text, always whole UTF-8 characters.
struct Span {
  size_t start = 0;
  size_t end = 0;
  friend bool operator==(const Span& a, const Span& b) {
    return a.start == b.start && a.end == b.end;
  }
};

// The chunks of a UTF-8 text, in order: together they hold every sentence of it. Borders are, in
// this order of liking, at headings, paragraphs and sentences; only a sentence longer than a chunk
// is cut at white space, or between characters where there is none. A text without any sentence is
// one chunk, so that its title can be found.
std::vector<Span> CutIntoChunks(absl::string_view text);

}  // namespace aibackend::retrieval
