// Finds in a text what someone says it holds, word for word.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "server/retrieval/chunker.h"

namespace aibackend::chat {

class VerbatimText {
 public:
  explicit VerbatimText(absl::string_view text);

  // The first place where `quote` stands in the text, in its bytes. Every word must be there, whole
  // and in the same case and order. Any run of white space equals any other, a curly quotation mark
  // equals a straight one, and a punctuation mark that ends the quote may be the quoter's. Absent
  // also for a quote without a word.
  absl::optional<retrieval::Span> Find(absl::string_view quote) const;

 private:
  absl::optional<retrieval::Span> FindExactly(absl::string_view normal) const;

  std::string normal_;
  std::vector<size_t> starts_;  // for each byte of normal_ where its character starts in the text,
                                // then the text's end
};

// True for quoted words of some weight: three words, or eight characters of a script without
// spaces. Less may be a mere name or term.
bool IsPassageQuote(absl::string_view quote);

}  // namespace aibackend::chat
