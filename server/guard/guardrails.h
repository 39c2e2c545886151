// Rules about what may go in to a model and come out of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/guard/finder.h"

namespace aibackend::guard {

struct Rule {
  enum class On { kInput, kOutput, kBoth };
  enum class Kind { kSize, kRegex, kBlocklist, kEmail, kPhone, kCard };
  enum class Action {
    kBlock,  // the request, or the answer from there on, is refused
    kMask,   // the match becomes [name], for the known kinds [email], [phone] and [card]
    kFlag,   // it is only noted
  };
  std::string name;  // 1 to 64 of a-z, A-Z, 0-9, _ and -; each once
  On on = On::kBoth;
  Kind kind = Kind::kRegex;
  Action action = Action::kBlock;
  std::string pattern;             // of kRegex
  std::vector<std::string> words;  // of kBlocklist
  size_t bytes_max = 0;            // of kSize: the longest text; not with kMask
};

struct CompiledRule {
  std::string name;
  size_t place = 0;  // among all rules
  Rule::Action action = Rule::Action::kBlock;
  std::string mask;
  std::unique_ptr<const Finder> finder;
};

// What rules did. Not thread-safe.
class Outcomes {
 public:
  // The rule outlives this.
  void Add(const CompiledRule& rule);
  // As "name:action", each once, in the order of the rules: it tells nothing of how a stream was
  // cut.
  std::vector<std::string> list() const;

 private:
  std::vector<const CompiledRule*> rules_;
};

// Immutable: thread-safe. Rules work in their order, each on what the ones before it left.
class Guardrails {
 public:
  static constexpr size_t kRulesMax = 64;

  Guardrails() = default;  // no rules
  // FIELD_INVALID and the like, with the rule's name in the message and its place ("guardrails[2]")
  // as the field.
  static absl::StatusOr<Guardrails> Build(const std::vector<Rule>& rules);

  using Rules = std::vector<const CompiledRule*>;
  const Rules& input() const { return input_; }
  const Rules& output() const { return output_; }
  // Some output rule takes text away.
  bool changes_output() const { return changes_output_; }

 private:
  std::vector<std::unique_ptr<const CompiledRule>> rules_;
  Rules input_;
  Rules output_;
  bool changes_output_ = false;
};

// Applies rules to a text that is there as a whole. Gives the rule that blocks it, where the text
// is left as it was, or null.
const CompiledRule* ApplyWhole(const Guardrails::Rules& rules, Outcomes& outcomes,
                               std::string& text);
// The same. CONTENT_BLOCKED names the rule, never the text.
absl::Status GuardWhole(const Guardrails::Rules& rules, Outcomes& outcomes, std::string& text);

// The error of a rule that blocks.
absl::Status Blocked(const CompiledRule& rule, absl::string_view field = {});

}  // namespace aibackend::guard
