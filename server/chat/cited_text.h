// The text of an answer with its citation marks checked, while it streams.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "server/chat/quote_watch.h"
#include "server/chat/verbatim_text.h"
#include "server/models/citation_marker.h"
#include "server/models/language_model.h"

namespace aibackend::chat {

// Reads what a model writes and gives out the same text, in which every mark left is [n] and cites
// passage n of those that the model was given (citation_marker.h says what marks are):
//
// - A number that no passage has is taken out of its mark, and a mark without a number left out of
//   the text, with the space before it; where what is around it would then make a mark, a "…"
//   stands in its place. Each is one dropped citation.
// - [n: "words"] becomes [n], and a citation of just these words, if passage n holds them; else it
//   goes, too. One that is broken off, or longer than kMarkerBytesMax, loses its beginning up to
//   the quote.
// - Words in quotation marks before a mark (IsPassageQuote; or around it) must stand in the passage
//   that is cited, or in its title, or the mark goes. The words stay: they are the answer's, but
//   not a citation.
// - No marks are in code (between backticks in one line, or in a fence) and in links
//   ([1](https://…)): these are left as they are.
//
// What is given out depends on the text alone, not on how it is cut into pieces; it waits only
// while it is undecided, at most kHeldBytesMax. Not thread-safe.
class CitedText {
 public:
  static constexpr size_t kHeldBytesMax = models::kMarkerBytesMax + 16;

  // `passages` as the prompt numbers them, from 1; they outlive this.
  explicit CitedText(const std::vector<models::Passage>& passages);

  // Appends to `out` what is decided by now.
  void Take(absl::string_view text, std::string* out);
  // There is no more, or something else comes in between: all that waits is decided.
  void Flush(std::string* out);

  // By number and place, each once; text == passage bytes. Of a number cited with and without words
  // both.
  std::vector<models::Citation> Citations() const;
  int dropped() const { return dropped_; }

 private:
  struct Cited {
    bool whole = false;
    std::vector<retrieval::Span> words;  // in the passage
  };
  enum class Step { kGoOn, kWait };

  void Scan(bool is_all, std::string* out);
  Step TakeFence(bool is_all, std::string* out);
  Step TakeFenceLine(bool is_all, std::string* out);
  Step TakeCode(bool is_all, std::string* out);
  Step TakeMarker(size_t spaces, bool is_all, std::string* out);
  void TakeMark(const models::CitationMarker& marker, size_t bytes, size_t spaces,
                std::string* out);
  bool Cite(const models::CitationMarker& marker, size_t number);
  bool Holds(size_t number, absl::string_view quote);
  const VerbatimText& Searchable(size_t number);

  void EmitGap(std::string* out);
  bool WindowIsAll(bool is_all) const;
  absl::string_view Window() const;
  void Emit(size_t bytes, std::string* out);

  const std::vector<models::Passage>& passages_;
  std::vector<Cited> cited_;
  std::vector<absl::optional<VerbatimText>> searchable_;
  size_t words_ = 0;  // cited, of all passages
  int dropped_ = 0;
  QuoteWatch quotes_;

  std::string held_;
  size_t at_ = 0;  // in held_: what is before it has been given out
  bool at_line_start_ = true;
  bool open_end_ = false;     // what was given out ends in a bracket and what a mark goes on with
  bool interrupted_ = false;  // by a Flush() there
  char fence_ = 0;            // the character of the fence that is open
  size_t fence_length_ = 0;
};

}  // namespace aibackend::chat
