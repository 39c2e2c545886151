#include "server/guard/guarded_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/guard/characters.h"

namespace aibackend::guard {
namespace {

// More than that is read piece by piece: a finder's time for one place grows with what it sees.
constexpr size_t kPieceBytes = 1024;

}  // namespace

GuardedText::GuardedText(const Guardrails::Rules& rules, Outcomes& outcomes) : outcomes_(outcomes) {
  stages_.reserve(rules.size());
  for (const CompiledRule* rule : rules) stages_.emplace_back(*rule);
}

void GuardedText::Take(absl::string_view text, std::string* out) {
  for (; !text.empty() && !blocked_by_; text.remove_prefix(std::min(kPieceBytes, text.size()))) {
    Pass(text.substr(0, kPieceBytes), /*is_all=*/false, out);
  }
}

void GuardedText::Flush(std::string* out) {
  if (!blocked_by_) Pass("", /*is_all=*/true, out);
}

// Through all stages. Where one blocks, what is before its match is all that there is for the
// stages after it; and where one of these blocks, too, its match comes first in the text.
void GuardedText::Pass(absl::string_view text, bool is_all, std::string* out) {
  std::string piece(text);
  std::string left;
  for (Stage& stage : stages_) {
    left.clear();
    stage.held.append(piece);
    if (stage.rule->action == Rule::Action::kFlag) left = piece;
    if (!Scan(stage, is_all, &left)) {
      blocked_by_ = stage.rule;
      is_all = true;
    }
    piece.swap(left);
  }
  if (blocked_by_) outcomes_.Add(*blocked_by_);
  absl::StrAppend(out, piece);
}

// False: the rule blocks.
bool GuardedText::Scan(Stage& stage, bool is_all, std::string* out) {
  const bool only_flags = stage.rule->action == Rule::Action::kFlag;
  std::string& held = stage.held;
  const size_t cut_bytes = is_all ? 0 : CutCharacterBytes(absl::string_view(held).substr(stage.at));
  const absl::string_view text = absl::string_view(held).substr(0, held.size() - cut_bytes);
  const auto give_out = [&](size_t until) {
    if (!only_flags) absl::StrAppend(out, text.substr(stage.at, until - stage.at));
    stage.at = until;
  };
  while (stage.at < text.size()) {
    const auto place = stage.rule->finder->Find({text, stage.at, is_all, stage.offset});
    give_out(place ? place->start : text.size());
    if (!place || !place->is_match) break;
    if (stage.rule->action == Rule::Action::kBlock) return false;
    outcomes_.Add(*stage.rule);
    if (!only_flags) {
      absl::StrAppend(out, stage.rule->mask);
      has_masked_ = true;
    }
    stage.at = place->end;
  }
  if (stage.at > kContextBytes) {
    const size_t gone = stage.at - kContextBytes;
    held.erase(0, gone);
    stage.at -= gone;
    stage.offset += gone;
  }
  return true;
}

}  // namespace aibackend::guard
