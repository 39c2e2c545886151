#include "gateway/settings_file.h"

#include <toml++/toml.h>

#include <cstdlib>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace aibackend::gateway {
namespace {

constexpr char kSection[] = "gateway";

std::string Problem(const std::string& key, const toml::node& node, absl::string_view what) {
  return absl::StrCat(key, " (line ", node.source().begin.line, "): ", what);
}

// Adds the value as text; false: CLI11 has no text for its type.
bool AddText(const toml::node& value, std::vector<std::string>& texts) {
  if (value.is_string()) {
    texts.push_back(**value.as_string());
  } else if (value.is_boolean()) {
    texts.emplace_back(**value.as_boolean() ? "true" : "false");
  } else if (value.is_integer()) {
    texts.push_back(absl::StrCat(**value.as_integer()));
  } else if (value.is_floating_point()) {
    texts.push_back(absl::StrCat(**value.as_floating_point()));
  } else {
    return false;
  }
  return true;
}

// The same of an array's elements.
bool AddTexts(const toml::node& value, std::vector<std::string>& texts) {
  const toml::array* array = value.as_array();
  if (array == nullptr) return AddText(value, texts);
  for (const auto& element : *array) {
    if (!AddText(element, texts)) return false;
  }
  return true;
}

toml::table Parse(std::istream& input) {
  try {
    return toml::parse(input);
  } catch (const toml::parse_error& error) {
    throw CLI::ConfigError(
        absl::StrCat("line ", error.source().begin.line, ": ", std::string(error.description())));
  }
}

bool IsInEnvironment(const CLI::Option& option) {
  if (option.get_envname().empty()) return false;
  const char* value = std::getenv(option.get_envname().c_str());
  return value != nullptr && *value != '\0';  // an empty one is none to CLI11 either
}

}  // namespace

std::vector<CLI::ConfigItem> SettingsFile::from_config(std::istream& input) const {
  const toml::table root = Parse(input);
  const toml::node* node = root.get(kSection);
  if (node == nullptr) return {};
  if (!node->is_table()) throw CLI::ConfigError(Problem(kSection, *node, "must be a table"));

  std::vector<CLI::ConfigItem> ours;
  std::vector<std::string> problems;
  std::set<std::string> seen;
  for (const auto& [key, value] : *node->as_table()) {
    CLI::ConfigItem item;
    item.name = absl::StrReplaceAll(std::string(key.str()), {{"_", "-"}});
    const std::string path = absl::StrCat(kSection, ".", item.name);
    const CLI::Option* option = app_.get_option_no_throw("--" + item.name);
    if (option == nullptr || !option->get_configurable()) {
      problems.push_back(Problem(path, value, "unknown key"));
    } else if (!seen.insert(item.name).second) {
      problems.push_back(Problem(path, value, "is given twice"));
    } else if (!AddTexts(value, item.inputs)) {
      problems.push_back(
          Problem(path, value, "must be a string, a number, true or false, or an array of them"));
    } else if (!IsInEnvironment(*option)) {
      ours.push_back(std::move(item));
    }
  }
  if (!problems.empty()) throw CLI::ConfigError(absl::StrJoin(problems, "\n"));
  return ours;
}

}  // namespace aibackend::gateway
