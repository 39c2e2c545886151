#include "server/config/toml_file.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/base/text.h"
#include "server/config/toml_accounts.h"
#include "server/config/toml_models.h"
#include "server/config/toml_table.h"

namespace aibackend::config {
namespace {

std::vector<TomlItem> ReadSection(const std::string& section, const toml::table& table,
                                  Problems& problems) {
  std::vector<TomlItem> items;
  for (const auto& [key, node] : table) {
    TomlItem item;
    item.name = absl::StrReplaceAll(absl::string_view(key.data(), key.length()), {{"_", "-"}});
    const auto add = [&](const toml::node& value) {
      if (value.is_string()) {
        item.values.push_back(**value.as_string());
      } else if (value.is_boolean()) {
        item.values.push_back(**value.as_boolean() ? "true" : "false");
      } else if (value.is_integer()) {
        item.values.push_back(absl::StrCat(**value.as_integer()));
      } else if (value.is_floating_point()) {
        item.values.push_back(absl::StrCat(**value.as_floating_point()));
      } else {
        problems.Add(absl::StrCat(section, ".", item.name), value,
                     "must be a string, a number, true or false, or an array of them");
      }
    };
    if (const toml::array* array = node.as_array()) {
      for (const auto& element : *array) add(element);
    } else {
      add(node);
    }
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace

absl::StatusOr<TomlContent> ReadToml(std::istream& input, absl::string_view section,
                                     const ModelSettings& defaults) {
  toml::table root;
  try {
    root = toml::parse(input);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", error.source().begin.line, ": ", ToAbsl(error.description())));
  }
  Problems problems;
  TomlContent content;
  for (const auto& [key, node] : root) {
    const std::string name(key.data(), key.length());
    const toml::table* table = node.as_table();
    const bool is_known = name == "server" || name == "gateway" || name == "models" ||
                          name == "limits" || name == "guardrails";
    if (!is_known) {
      problems.Add(name, node,
                   "unknown; known: [server], [gateway], [models.<name>], [limits.<whose>], "
                   "[guardrails.<name>]");
    } else if (table == nullptr) {
      problems.Add(name, node, "must be a table");
    } else if (name == "models") {
      content.models = ReadModels(*table, defaults, problems);
    } else if (name == "limits") {
      content.limits = ReadLimits(*table, problems);
    } else if (name == "guardrails") {
      content.guardrails = ReadGuardrails(*table, problems);
    } else if (name == section) {
      content.items = ReadSection(name, *table, problems);
    }
  }
  if (problems.lines().empty()) return content;
  return absl::InvalidArgumentError(absl::StrJoin(problems.lines(), "\n"));
}

}  // namespace aibackend::config
