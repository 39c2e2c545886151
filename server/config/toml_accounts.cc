#include "server/config/toml_accounts.h"

#include <algorithm>
#include <array>

namespace aibackend::config {
namespace {

constexpr int64_t kCountMax = 1'000'000'000'000'000;
constexpr int64_t kConcurrentMax = 1'000'000;
constexpr int64_t kGuardedBytesMax = 32 * 1024 * 1024;
constexpr size_t kRuleNameBytesMax = 64;

void ReadLimit(Table& table, Problems& problems, bool is_address, LimitSettings* limits) {
  table.Read("requests_per_minute", &limits->requests_per_minute, 0, kCountMax);
  table.Read("concurrent", &limits->concurrent, 0, kConcurrentMax);
  if (is_address) return;
  table.Read("tokens_per_minute", &limits->tokens_per_minute, 0, kCountMax);
  table.Read("tokens_per_day", &limits->tokens_per_day, 0, kCountMax);
  table.Read("tokens_per_month", &limits->tokens_per_month, 0, kCountMax);
  table.ReadUsd("usd_per_day", &limits->nano_usd_per_day);
  table.ReadUsd("usd_per_month", &limits->nano_usd_per_month);
}

bool IsRuleName(absl::string_view name) {
  return !name.empty() && name.size() <= kRuleNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

void ReadChoice(Table& table, Problems& problems, const std::string& name,
                const std::vector<std::string>& words, std::string* word) {
  std::map<std::string, std::string> choices;
  for (const std::string& known : words) choices[known] = known;
  ReadWord<std::string>(table, problems, name, choices, word);
}

GuardrailSettings ReadGuardrail(const std::string& name, const toml::table& content,
                                const toml::node& node, Problems& problems) {
  Table table(absl::StrCat("guardrails.", name), content, problems);
  GuardrailSettings rule;
  rule.name = name;
  if (!IsRuleName(name)) {
    problems.Add(absl::StrCat("guardrails.", name), node,
                 absl::StrCat("can be no rule's name: 1 to ", kRuleNameBytesMax,
                              " of a to z, digits, _ and -"));
  }
  ReadChoice(table, problems, "on", {"input", "output", "both"}, &rule.on);
  ReadChoice(table, problems, "kind", {"size", "regex", "blocklist", "email", "phone", "card"},
             &rule.kind);
  ReadChoice(table, problems, "action", {"block", "mask", "flag"}, &rule.action);
  table.Read("pattern", &rule.pattern);
  table.Read("words", &rule.words);
  table.Read("bytes_max", &rule.bytes_max, 1, kGuardedBytesMax);
  table.Finish();
  const auto needs = [&](const char* kind, const char* key, bool is_given) {
    if ((rule.kind == kind) != is_given) {
      problems.Add(table.At(key), node,
                   absl::StrCat("is what a rule of kind ", kind, " has, and no other"));
    }
  };
  if (rule.kind.empty()) problems.Add(table.At("kind"), node, "is missing");
  needs("regex", "pattern", !rule.pattern.empty());
  needs("blocklist", "words", !rule.words.empty());
  needs("size", "bytes_max", rule.bytes_max > 0);
  if (rule.kind == "size" && !table.Has("action")) rule.action = "block";
  if (rule.kind == "size" && rule.action == "mask") {
    problems.Add(table.At("action"), node, "must be block or flag: a size can't be masked");
  }
  return rule;
}

}  // namespace

DefaultLimits ReadLimits(const toml::table& tables, Problems& problems) {
  DefaultLimits limits;
  const std::array<std::pair<const char*, LimitSettings*>, 4> kinds = {
      {{"key", &limits.key},
       {"user", &limits.user},
       {"tenant", &limits.tenant},
       {"address", &limits.address}}};
  Table all("limits", tables, problems);
  for (const auto& [kind, settings] : kinds) {
    const toml::table* content = all.SubTable(kind);
    if (content == nullptr) continue;
    Table table(all.At(kind), *content, problems);
    ReadLimit(table, problems, settings == &limits.address, settings);
    table.Finish();
  }
  all.Finish();
  return limits;
}

std::vector<GuardrailSettings> ReadGuardrails(const toml::table& tables, Problems& problems) {
  std::vector<GuardrailSettings> rules;
  for (const auto& [name, node] : InOrder(tables)) {
    if (const toml::table* content = node->as_table()) {
      rules.push_back(ReadGuardrail(name, *content, *node, problems));
    } else {
      problems.Add(absl::StrCat("guardrails.", name), *node, "must be a table");
    }
  }
  return rules;
}

absl::optional<PriceSettings> ReadPrice(Table& model, Problems& problems) {
  const toml::table* content = model.SubTable("price");
  if (content == nullptr) return absl::nullopt;
  Table table(model.At("price"), *content, problems);
  absl::optional<int64_t> input;
  absl::optional<int64_t> output;
  PriceSettings price;
  table.ReadUsd("input", &input);
  table.ReadUsd("output", &output);
  table.ReadUsd("cached_input", &price.cached_input);
  table.ReadUsd("reasoning", &price.reasoning);
  table.Finish();
  for (const char* name : {"input", "output"}) {
    if (!table.Has(name)) {
      problems.Add(table.At(name), *content, "is missing: US dollars for a million tokens");
    }
  }
  price.input = input.value_or(0);
  price.output = output.value_or(0);
  return price;
}

}  // namespace aibackend::config
