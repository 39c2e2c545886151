#include "server/chat/quote_watch.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"

namespace aibackend::chat {
namespace {

constexpr size_t kQuoteBytesMax = 16 * 1024;  // longer than any passage

struct Pair {
  absl::string_view opening;
  absl::string_view closing;
};
constexpr Pair kPairs[] = {{"“", "”"}, {"„", "“"}, {"«", "»"}, {"「", "」"}, {"『", "』"}};

// What may stand between a quote and its citation.
constexpr absl::string_view kBetween = " \t\n\r.,;:!?)*_>";
constexpr absl::string_view kBetweenWide[] = {"。", "、", "，", "！", "？", "）", "…"};

// What a straight mark may follow to be an opening one, but for white space.
constexpr absl::string_view kBeforeOpening = " \t\n\r([{*_>-/=:";

size_t CharacterBytes(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  if (byte < 0xC0) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

bool IsBetween(absl::string_view character) {
  if (character.size() == 1) return absl::StrContains(kBetween, character);
  return std::any_of(std::begin(kBetweenWide), std::end(kBetweenWide),
                     [&](absl::string_view wide) { return wide == character; });
}

}  // namespace

void QuoteWatch::Feed(absl::string_view text) {
  while (!text.empty()) {
    if (!partial_.empty() || CharacterBytes(text[0]) > text.size()) {
      partial_ += text[0];
      text.remove_prefix(1);
      if (partial_.size() == CharacterBytes(partial_[0])) {
        TakeCharacter(partial_);
        partial_.clear();
      }
      continue;
    }
    const size_t bytes = CharacterBytes(text[0]);
    TakeCharacter(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
}

absl::optional<absl::string_view> QuoteWatch::Latest() const {
  if (state_ == State::kNone) return absl::nullopt;
  return absl::string_view(quote_);
}

void QuoteWatch::Open(absl::string_view closing) {
  state_ = State::kOpen;
  closing_ = closing;
  quote_.clear();
  is_cut_ = false;
}

void QuoteWatch::TakeCharacter(absl::string_view character) {
  const bool is_break = character == "\n";
  const bool is_blank_line = is_break && after_break_;
  after_break_ = is_break || (after_break_ && absl::StrContains(" \t\r", character));
  const bool can_open = std::exchange(
      can_open_, character.size() > 1 || absl::StrContains(kBeforeOpening, character));
  if (is_blank_line && state_ == State::kOpen) state_ = State::kNone;
  if (state_ == State::kOpen) {
    if (character == closing_) {
      state_ = State::kEnded;
    } else if (quote_.size() + character.size() <= kQuoteBytesMax) {
      quote_.append(character.data(), character.size());
    } else {
      is_cut_ = true;
    }
    return;
  }
  if (character == "\"" && can_open) return Open("\"");
  for (const Pair& pair : kPairs) {
    if (character == pair.opening) return Open(pair.closing);
  }
  if (state_ == State::kEnded && !IsBetween(character)) state_ = State::kNone;
}

}  // namespace aibackend::chat
