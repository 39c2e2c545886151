// A text under rules, while it streams.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/guard/guardrails.h"

namespace aibackend::guard {

// Reads a text in pieces and gives out what the rules leave of it.
//
// - What is given out depends on the text alone, not on how it is cut into pieces, also where a
//   piece ends within a character; it never changes afterwards. Of what a mask takes away nothing
//   is ever given out.
// - Text waits only from where on a match could still begin or grow, at most kMatchBytesMax bytes
//   and a character for each rule that masks or blocks. Rules that flag hold nothing back.
// - A rule that blocks ends it: what stands before its match is given out, and nothing after.
//
// Not thread-safe.
class GuardedText {
 public:
  // All outlive this.
  GuardedText(const Guardrails::Rules& rules, Outcomes& outcomes);

  // Appends to `out` what is decided by now.
  void Take(absl::string_view text, std::string* out);
  // There is no more, or something else comes in between: all that waits is decided.
  void Flush(std::string* out);

  // The rule that has ended it, or null.
  const CompiledRule* blocked_by() const { return blocked_by_; }
  bool has_masked() const { return has_masked_; }

 private:
  // One rule: what it leaves is what the next one reads.
  struct Stage {
    explicit Stage(const CompiledRule& r) : rule(&r) {}
    const CompiledRule* rule;
    std::string held;     // with some context before `at`
    size_t at = 0;        // in held: what is before it has been given out
    uint64_t offset = 0;  // of held in all that the stage has read
  };

  void Pass(absl::string_view text, bool is_all, std::string* out);
  bool Scan(Stage& stage, bool is_all, std::string* out);

  Outcomes& outcomes_;
  std::vector<Stage> stages_;
  const CompiledRule* blocked_by_ = nullptr;
  bool has_masked_ = false;
};

}  // namespace aibackend::guard
