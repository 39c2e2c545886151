#include "server/config/toml_table.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_replace.h"

namespace aibackend::config {
namespace {

constexpr double kUsdMax = 1e9;
constexpr double kNanoUsd = 1e9;

}  // namespace

void Problems::Add(const std::string& key, const toml::node& node, absl::string_view what) {
  lines_.push_back(absl::StrCat(key, " (line ", node.source().begin.line, "): ", what));
}

Table::Table(std::string path, const toml::table& table, Problems& problems)
    : path_(std::move(path)), problems_(problems) {
  for (const auto& [key, node] : table) {
    const std::string name =
        absl::StrReplaceAll(absl::string_view(key.data(), key.length()), {{"-", "_"}});
    if (!nodes_.emplace(name, &node).second) problems_.Add(At(name), node, "is given twice");
  }
}

void Table::Read(const std::string& name, std::string* value) {
  const toml::node* node = Take(name);
  if (node == nullptr) return;
  if (!node->is_string()) return problems_.Add(At(name), *node, "must be a string");
  *value = **node->as_string();
}

void Table::Read(const std::string& name, int* value, int64_t least, int64_t most) {
  absl::optional<int64_t> number;
  Read(name, &number, least, most);
  if (number) *value = static_cast<int>(*number);
}

void Table::Read(const std::string& name, absl::optional<int64_t>* value, int64_t least,
                 int64_t most) {
  const toml::node* node = Take(name);
  if (node == nullptr) return;
  const auto number = node->value_exact<int64_t>();
  if (!number || *number < least || *number > most) {
    return problems_.Add(At(name), *node,
                         absl::StrCat("must be a whole number from ", least, " to ", most));
  }
  *value = *number;
}

void Table::Read(const std::string& name, double* value, double most) {
  const toml::node* node = Take(name);
  if (node == nullptr) return;
  const auto number = node->is_number() ? node->value<double>() : std::nullopt;
  if (!number || !(*number > 0) || *number > most) {
    return problems_.Add(At(name), *node,
                         absl::StrCat("must be a number above 0 and up to ", most));
  }
  *value = *number;
}

void Table::ReadUsd(const std::string& name, absl::optional<int64_t>* nano_usd) {
  const toml::node* node = Take(name);
  if (node == nullptr) return;
  const auto usd = node->is_number() ? node->value<double>() : std::nullopt;
  if (!usd || !(*usd >= 0) || *usd > kUsdMax) {
    return problems_.Add(At(name), *node,
                         absl::StrCat("must be US dollars, a number from 0 to ", kUsdMax));
  }
  *nano_usd = std::llround(*usd * kNanoUsd);
}

void Table::Read(const std::string& name, bool* value) {
  const toml::node* node = Take(name);
  if (node == nullptr) return;
  if (!node->is_boolean()) return problems_.Add(At(name), *node, "must be true or false");
  *value = **node->as_boolean();
}

void Table::Read(const std::string& name, std::vector<std::string>* values) {
  const toml::node* node = Take(name);
  if (node == nullptr) return;
  values->clear();
  const toml::array* array = node->as_array();
  if (array == nullptr || (!array->empty() && !array->is_homogeneous<std::string>())) {
    return problems_.Add(At(name), *node, "must be an array of strings");
  }
  for (const auto& element : *array) values->push_back(**element.as_string());
}

const toml::array* Table::Tables(const std::string& name) {
  const toml::node* node = Take(name);
  if (node == nullptr) return nullptr;
  const toml::array* array = node->as_array();
  if (array != nullptr && !array->empty() && array->is_array_of_tables()) return array;
  problems_.Add(At(name), *node, absl::StrCat("must be tables: [[", At(name), "]]"));
  return nullptr;
}

const toml::table* Table::SubTable(const std::string& name) {
  const toml::node* node = Take(name);
  if (node == nullptr) return nullptr;
  if (node->is_table()) return node->as_table();
  problems_.Add(At(name), *node, "must be a table");
  return nullptr;
}

void Table::Finish() {
  for (const auto& [name, node] : nodes_) {
    if (taken_.count(name) == 0) {
      problems_.Add(At(name), *node,
                    absl::StrCat("unknown key; known: ", absl::StrJoin(taken_, ", ")));
    }
  }
}

const toml::node* Table::Take(const std::string& name) {
  taken_.insert(name);
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : found->second;
}

std::vector<std::pair<std::string, const toml::node*>> InOrder(const toml::table& tables) {
  std::vector<std::pair<std::string, const toml::node*>> in_order;
  for (const auto& [key, node] : tables) {
    in_order.emplace_back(std::string(key.data(), key.length()), &node);
  }
  std::stable_sort(in_order.begin(), in_order.end(), [](const auto& a, const auto& b) {
    return a.second->source().begin.line < b.second->source().begin.line;
  });
  return in_order;
}

}  // namespace aibackend::config
