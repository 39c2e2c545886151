// What the tables of the TOML file are read with. Private to this folder.
#pragma once

#include <toml++/toml.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::config {

// Every mistake of a file, a line each, with key and line number; never with a value, which may be
// a secret.
class Problems {
 public:
  void Add(const std::string& key, const toml::node& node, absl::string_view what);
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

// A table whose keys are asked for by name; Finish() reports those that nobody asked for. In names
// '-' and '_' are the same.
class Table {
 public:
  Table(std::string path, const toml::table& table, Problems& problems);

  bool Has(const std::string& name) const { return nodes_.count(name) > 0; }
  std::string At(absl::string_view name) const { return absl::StrCat(path_, ".", name); }
  const toml::node& Node(const std::string& name) const { return *nodes_.at(name); }

  // Each sets `value` where the key is there and fits; else it reports.
  void Read(const std::string& name, std::string* value);
  void Read(const std::string& name, int* value, int64_t least, int64_t most);
  void Read(const std::string& name, absl::optional<int64_t>* value, int64_t least, int64_t most);
  void Read(const std::string& name, double* value, double most);  // above 0
  void Read(const std::string& name, bool* value);
  void Read(const std::string& name, std::vector<std::string>* values);
  // US dollars, as integer nano-USD.
  void ReadUsd(const std::string& name, absl::optional<int64_t>* nano_usd);
  // Null: not there. An array of tables.
  const toml::array* Tables(const std::string& name);
  // Null: not there. A table.
  const toml::table* SubTable(const std::string& name);

  void Finish();

 private:
  const toml::node* Take(const std::string& name);

  const std::string path_;
  Problems& problems_;
  std::map<std::string, const toml::node*> nodes_;
  std::set<std::string> taken_;  // asked for, whether there or not
};

// Sets `word` to what the key's text stands for.
template <class Word>
void ReadWord(Table& table, Problems& problems, const std::string& name,
              const std::map<std::string, Word>& words, Word* word) {
  std::string text;
  table.Read(name, &text);
  if (!table.Has(name) || text.empty()) return;
  const auto found = words.find(text);
  if (found != words.end()) {
    *word = found->second;
    return;
  }
  std::vector<std::string> known;
  known.reserve(words.size());
  for (const auto& [known_word, unused] : words) known.push_back(known_word);
  problems.Add(table.At(name), table.Node(name),
               absl::StrCat("must be one of ", absl::StrJoin(known, ", ")));
}

// The members of a table of tables in the file's order (toml++ sorts by name).
std::vector<std::pair<std::string, const toml::node*>> InOrder(const toml::table& tables);

}  // namespace aibackend::config
