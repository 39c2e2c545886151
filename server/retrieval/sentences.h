// Where the sentences and paragraphs of a text are.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace aibackend::retrieval {

// Bytes [start, end) of a text, without white space at either end.
struct Sentence {
  size_t start = 0;
  size_t end = 0;
  bool starts_paragraph = false;  // also: a heading, a list item, a table row
  bool is_heading = false;        // of Markdown: it belongs to what follows
};

// The sentences of a UTF-8 text, in order (Unicode's rules, UAX 29, for any language). A line break
// is a border except where it only wraps a long line. White space between sentences belongs to
// none; a text of nothing but white space has no sentence.
std::vector<Sentence> SplitSentences(absl::string_view text);

// How many characters (code points) a UTF-8 text has.
size_t CountCharacters(absl::string_view text);

}  // namespace aibackend::retrieval
