#include "server/guard/guardrails.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/guard/guarded_text.h"

namespace aibackend::guard {
namespace {

constexpr size_t kNameBytesMax = 64;
constexpr size_t kPatternBytesMax = 4096;

bool IsName(absl::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
         });
}

absl::StatusOr<std::unique_ptr<Finder>> MakeFinder(const Rule& rule) {
  const auto about = [](absl::string_view what, absl::StatusOr<std::unique_ptr<Finder>> made) {
    if (made.ok()) return made;
    return absl::StatusOr<std::unique_ptr<Finder>>(
        MakeError(ReasonOf(made.status()), absl::StrCat(what, " ", made.status().message())));
  };
  switch (rule.kind) {
    case Rule::Kind::kSize:
      if (rule.bytes_max == 0)
        return MakeError(Reason::FIELD_REQUIRED, "bytes_max must be above 0");
      if (rule.action == Rule::Action::kMask) {
        return MakeError(Reason::FIELD_INVALID, "a size is blocked or flagged, not masked");
      }
      return MakeSizeFinder(rule.bytes_max);
    case Rule::Kind::kRegex:
      if (rule.pattern.empty()) return MakeError(Reason::FIELD_REQUIRED, "there is no pattern");
      if (rule.pattern.size() > kPatternBytesMax) {
        return MakeError(Reason::FIELD_OUT_OF_RANGE,
                         absl::StrCat("the pattern is longer than ", kPatternBytesMax, " bytes"));
      }
      return about("the pattern", MakeRegexFinder(rule.pattern));
    case Rule::Kind::kBlocklist:
      return about("the blocklist", MakeWordFinder(rule.words));
    case Rule::Kind::kEmail:
      return MakeEmailFinder();
    case Rule::Kind::kPhone:
      return MakePhoneFinder();
    case Rule::Kind::kCard:
      return MakeCardFinder();
  }
  return MakeError(Reason::FIELD_INVALID, "there is no such kind");
}

std::string MaskOf(const Rule& rule) {
  switch (rule.kind) {
    case Rule::Kind::kEmail:
      return "[email]";
    case Rule::Kind::kPhone:
      return "[phone]";
    case Rule::Kind::kCard:
      return "[card]";
    default:
      return absl::StrCat("[", rule.name, "]");
  }
}

absl::string_view NameOf(Rule::Action action) {
  switch (action) {
    case Rule::Action::kBlock:
      return "block";
    case Rule::Action::kMask:
      return "mask";
    case Rule::Action::kFlag:
      return "flag";
  }
  return "";
}

}  // namespace

void Outcomes::Add(const CompiledRule& rule) {
  const auto at = std::lower_bound(
      rules_.begin(), rules_.end(), rule.place,
      [](const CompiledRule* before, size_t place) { return before->place < place; });
  if (at == rules_.end() || *at != &rule) rules_.insert(at, &rule);
}

std::vector<std::string> Outcomes::list() const {
  std::vector<std::string> list;
  for (const CompiledRule* rule : rules_) {
    list.push_back(absl::StrCat(rule->name, ":", NameOf(rule->action)));
  }
  return list;
}

absl::StatusOr<Guardrails> Guardrails::Build(const std::vector<Rule>& rules) {
  if (rules.size() > kRulesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat(rules.size(), " guardrails; at most ", kRulesMax, " are taken"),
                     "guardrails");
  }
  Guardrails built;
  absl::flat_hash_set<absl::string_view> names;
  for (size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    const auto refuse = [&](Reason::Reason reason, absl::string_view why) {
      return MakeError(reason, absl::StrCat("guardrail '", rule.name, "': ", why),
                       absl::StrCat("guardrails[", i, "]"));
    };
    if (!IsName(rule.name)) {
      return refuse(Reason::FIELD_INVALID,
                    absl::StrCat("a name has 1 to ", kNameBytesMax,
                                 " letters, digits, underscores and hyphens"));
    }
    if (!names.insert(rule.name).second) {
      return refuse(Reason::FIELD_INVALID, "another one has this name");
    }
    auto finder = MakeFinder(rule);
    if (!finder.ok()) return refuse(ReasonOf(finder.status()), finder.status().message());

    auto compiled = std::make_unique<CompiledRule>();
    compiled->name = rule.name;
    compiled->place = i;
    compiled->action = rule.action;
    compiled->mask = MaskOf(rule);
    compiled->finder = *std::move(finder);
    if (rule.on != Rule::On::kOutput) built.input_.push_back(compiled.get());
    if (rule.on != Rule::On::kInput) {
      built.output_.push_back(compiled.get());
      built.changes_output_ |= rule.action != Rule::Action::kFlag;
    }
    built.rules_.push_back(std::move(compiled));
  }
  return built;
}

const CompiledRule* ApplyWhole(const Guardrails::Rules& rules, Outcomes& outcomes,
                               std::string& text) {
  if (rules.empty() || text.empty()) return nullptr;
  GuardedText guarded(rules, outcomes);
  std::string out;
  out.reserve(text.size());
  guarded.Take(text, &out);
  guarded.Flush(&out);
  if (guarded.blocked_by()) return guarded.blocked_by();
  text = std::move(out);
  return nullptr;
}

absl::Status GuardWhole(const Guardrails::Rules& rules, Outcomes& outcomes, std::string& text) {
  const CompiledRule* blocked_by = ApplyWhole(rules, outcomes, text);
  return blocked_by ? Blocked(*blocked_by) : absl::OkStatus();
}

absl::Status Blocked(const CompiledRule& rule, absl::string_view field) {
  return MakeError(Reason::CONTENT_BLOCKED,
                   absl::StrCat("the guardrail '", rule.name, "' doesn't let this through"), field);
}

}  // namespace aibackend::guard
