// Knows, of a text that goes by, the words in quotation marks that a citation would stand after.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::chat {

// Quotation marks are " “ ” „ « » 「 」 『 』; a straight one opens only where a word could begin,
// so that 5" is no quote. A blank line ends what was left open. Not thread-safe.
class QuoteWatch {
 public:
  // The text in order, cut anywhere.
  void Feed(absl::string_view text);
  // Something else than prose comes in between.
  void Break() { state_ = State::kNone; }

  // The quote that has just ended, with at most spaces, punctuation and emphasis after it, or the
  // one that is open. Views, valid until the next Feed().
  absl::optional<absl::string_view> Latest() const;
  // True if the latest is longer than is kept of it.
  bool is_cut() const { return is_cut_; }

 private:
  enum class State { kNone, kOpen, kEnded };

  void TakeCharacter(absl::string_view character);
  void Open(absl::string_view closing);

  State state_ = State::kNone;
  std::string quote_;
  bool is_cut_ = false;
  absl::string_view closing_;  // what ends the open one: a literal
  std::string partial_;        // of a character that is cut
  bool can_open_ = true;       // a straight mark opens here
  bool after_break_ = false;   // the last character but spaces was a line break
};

}  // namespace aibackend::chat
