#include "server/config/toml_file.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/base/text.h"

namespace aibackend::config {
namespace {

constexpr size_t kNameBytesMax = 128;
constexpr int64_t kTimeoutMsMax = int64_t{24} * 3600 * 1000;
constexpr int64_t kContextTokensMin = 512;  // below, no passage fits beside a question
constexpr int64_t kContextTokensMax = 100'000'000;
constexpr double kWeightMax = 1e6;
constexpr char kEmbedded[] = "extractive";  // the embedded model's name

class Problems {
 public:
  void Add(const std::string& key, const toml::node& node, absl::string_view what) {
    lines_.push_back(absl::StrCat(key, " (line ", node.source().begin.line, "): ", what));
  }
  void Add(std::string line) { lines_.push_back(std::move(line)); }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

// A table whose keys are asked for by name; Finish() reports those that nobody asked for. In names
// '-' and '_' are the same.
class Table {
 public:
  Table(std::string path, const toml::table& table, Problems& problems)
      : path_(std::move(path)), table_(table), problems_(problems) {
    for (const auto& [key, node] : table) {
      const std::string name =
          absl::StrReplaceAll(absl::string_view(key.data(), key.length()), {{"-", "_"}});
      if (!nodes_.emplace(name, &node).second) problems_.Add(At(name), node, "is given twice");
    }
  }

  bool Has(const std::string& name) const { return nodes_.count(name) > 0; }
  std::string At(absl::string_view name) const { return absl::StrCat(path_, ".", name); }

  void Read(const std::string& name, std::string* value) {
    if (const toml::node* node = Take(name)) {
      if (node->is_string()) {
        *value = **node->as_string();
      } else {
        problems_.Add(At(name), *node, "must be a string");
      }
    }
  }
  void Read(const std::string& name, int* value, int64_t least, int64_t most) {
    if (const toml::node* node = Take(name)) {
      const auto number = node->value_exact<int64_t>();
      if (number && *number >= least && *number <= most) {
        *value = static_cast<int>(*number);
      } else {
        problems_.Add(At(name), *node,
                      absl::StrCat("must be a whole number from ", least, " to ", most));
      }
    }
  }
  void Read(const std::string& name, double* value, double most) {
    if (const toml::node* node = Take(name)) {
      const auto number = node->is_number() ? node->value<double>() : std::nullopt;
      if (number && *number > 0 && *number <= most) {
        *value = *number;
      } else {
        problems_.Add(At(name), *node, absl::StrCat("must be a number above 0 and up to ", most));
      }
    }
  }
  void Read(const std::string& name, bool* value) {
    if (const toml::node* node = Take(name)) {
      if (node->is_boolean()) {
        *value = **node->as_boolean();
      } else {
        problems_.Add(At(name), *node, "must be true or false");
      }
    }
  }
  void Read(const std::string& name, std::vector<std::string>* values) {
    const toml::node* node = Take(name);
    if (node == nullptr) return;
    values->clear();
    const toml::array* array = node->as_array();
    if (array == nullptr || (!array->empty() && !array->is_homogeneous<std::string>())) {
      return problems_.Add(At(name), *node, "must be an array of strings");
    }
    for (const auto& element : *array) values->push_back(**element.as_string());
  }
  // Null: not there. An array of tables.
  const toml::array* Tables(const std::string& name) {
    const toml::node* node = Take(name);
    if (node == nullptr) return nullptr;
    const toml::array* array = node->as_array();
    if (array != nullptr && !array->empty() && array->is_array_of_tables()) return array;
    problems_.Add(At(name), *node, absl::StrCat("must be tables: [[", At(name), "]]"));
    return nullptr;
  }
  const toml::node& Node(const std::string& name) const { return *nodes_.at(name); }

  void Finish() {
    for (const auto& [name, node] : nodes_) {
      if (taken_.count(name) == 0) {
        problems_.Add(At(name), *node,
                      absl::StrCat("unknown key; known: ", absl::StrJoin(taken_, ", ")));
      }
    }
  }

 private:
  const toml::node* Take(const std::string& name) {
    taken_.insert(name);
    const auto found = nodes_.find(name);
    return found == nodes_.end() ? nullptr : found->second;
  }

  const std::string path_;
  const toml::table& table_;
  Problems& problems_;
  std::map<std::string, const toml::node*> nodes_;
  std::set<std::string> taken_;  // asked for, whether there or not
};

void ReadKey(Table& table, Problems& problems, std::string* api_key) {
  std::string variable;
  table.Read("api_key", api_key);
  table.Read("api_key_env", &variable);
  if (variable.empty()) return;
  if (table.Has("api_key")) {
    return problems.Add(table.At("api_key_env"), table.Node("api_key_env"),
                        "api_key is given too; one of them is enough");
  }
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    return problems.Add(table.At("api_key_env"), table.Node("api_key_env"),
                        absl::StrCat("the environment variable ", variable, " is not set"));
  }
  *api_key = value;
}

// What a model's table may say for all of its upstreams, and an upstream's for itself.
void ReadUpstream(Table& table, Problems& problems, UpstreamSettings* upstream) {
  table.Read("base_url", &upstream->base_url);
  ReadKey(table, problems, &upstream->api_key);
  table.Read("upstream_model", &upstream->model);
  table.Read("concurrent_max", &upstream->concurrent_max, 0, 1'000'000);
  table.Read("queue_max", &upstream->queue_max, 0, 1'000'000);
  table.Read("connect_timeout_ms", &upstream->timeouts.connect_ms, 1, kTimeoutMsMax);
  table.Read("first_token_timeout_ms", &upstream->timeouts.first_token_ms, 1, kTimeoutMsMax);
  table.Read("idle_timeout_ms", &upstream->timeouts.idle_ms, 1, kTimeoutMsMax);
  table.Read("total_timeout_ms", &upstream->timeouts.total_ms, 1, kTimeoutMsMax);
  const bool is_url = absl::StartsWith(upstream->base_url, "http://") ||
                      absl::StartsWith(upstream->base_url, "https://");
  if (table.Has("base_url") && !is_url) {
    problems.Add(table.At("base_url"), table.Node("base_url"),
                 "must start with http:// or https://");
  }
}

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

std::vector<UpstreamSettings> ReadUpstreams(Table& table, Problems& problems,
                                            const UpstreamSettings& common,
                                            const toml::node& node) {
  const toml::array* several = table.Tables("upstreams");
  if (several == nullptr) {
    if (common.base_url.empty()) {
      problems.Add(table.At("base_url"), node, "is missing: where the model server is");
    }
    return {common};
  }
  std::vector<UpstreamSettings> upstreams;
  for (const auto& element : *several) {
    const std::string path = absl::StrCat(table.At("upstreams"), "[", upstreams.size(), "]");
    Table one(path, *element.as_table(), problems);
    upstreams.push_back(common);
    ReadUpstream(one, problems, &upstreams.back());
    one.Read("weight", &upstreams.back().weight, kWeightMax);
    one.Finish();
    if (upstreams.back().base_url.empty()) {
      problems.Add(one.At("base_url"), element, "is missing: where the model server is");
    }
  }
  return upstreams;
}

bool IsModelName(absl::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || absl::StartsWith(name, "docs/")) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
}

ModelSettings ReadModel(const std::string& name, const toml::node& node,
                        const ModelSettings& defaults, Problems& problems, bool* is_default) {
  const std::string path = absl::StrCat("models.", name);
  ModelSettings model = defaults;
  model.name = name;
  const toml::table* content = node.as_table();
  if (content == nullptr) {
    problems.Add(path, node, "must be a table");
    return model;
  }
  Table table(path, *content, problems);
  ReadWord<ModelSettings::Provider>(table, problems, "provider",
                                    {{"openai", ModelSettings::Provider::kOpenAi},
                                     {"anthropic", ModelSettings::Provider::kAnthropic}},
                                    &model.provider);
  ReadWord<ModelSettings::Kind>(
      table, problems, "kind",
      {{"chat", ModelSettings::Kind::kChat}, {"embedding", ModelSettings::Kind::kEmbedding}},
      &model.kind);
  table.Read("aliases", &model.aliases);
  table.Read("fallbacks", &model.fallbacks);
  table.Read("default", is_default);
  table.Read("context_tokens", &model.context_tokens, kContextTokensMin, kContextTokensMax);
  table.Read("retries", &model.retries, 0, 10);
  table.Read("retry_base_ms", &model.retry_base_ms, 1, 60'000);
  table.Read("retry_wait_max_ms", &model.retry_wait_max_ms, 0, 600'000);
  table.Read("breaker_failures", &model.breaker_failures, 0, 1'000'000);
  table.Read("breaker_open_ms", &model.breaker_open_ms, 1, 600'000);
  UpstreamSettings common = defaults.upstreams.front();
  common.model = name;
  ReadUpstream(table, problems, &common);
  model.upstreams = ReadUpstreams(table, problems, common, node);
  table.Finish();
  const bool has_alternative = model.upstreams.size() > 1 || !model.fallbacks.empty();
  if (!has_alternative && !table.Has("breaker_failures")) model.breaker_failures = 0;
  if (model.kind == ModelSettings::Kind::kEmbedding &&
      model.provider != ModelSettings::Provider::kOpenAi) {
    problems.Add(table.At("kind"), table.Node("kind"), "this provider has no embeddings");
  }
  if (model.kind == ModelSettings::Kind::kEmbedding && !model.fallbacks.empty()) {
    problems.Add(table.At("fallbacks"), table.Node("fallbacks"),
                 "another model's embeddings don't fit this one's");
  }
  if (model.kind == ModelSettings::Kind::kEmbedding && model.upstreams.size() > 1) {
    problems.Add(table.At("upstreams"), table.Node("upstreams"), "an embedding model has one");
  }
  for (const std::string& word : model.aliases) {
    if (!IsModelName(word)) {
      problems.Add(table.At("aliases"), table.Node("aliases"), "holds what can be no name");
    }
  }
  if (!IsModelName(name)) {
    problems.Add(path, node,
                 "can be no model's name: 1 to 128 printable characters without spaces, and not "
                 "beginning with docs/");
  }
  return model;
}

std::vector<ModelSettings> ReadModels(const toml::table& tables, const ModelSettings& defaults,
                                      Problems& problems) {
  std::vector<std::pair<std::string, const toml::node*>> in_order;  // toml++ sorts by name
  for (const auto& [key, node] : tables) {
    in_order.emplace_back(std::string(key.data(), key.length()), &node);
  }
  std::stable_sort(in_order.begin(), in_order.end(), [](const auto& a, const auto& b) {
    return a.second->source().begin.line < b.second->source().begin.line;
  });
  std::vector<ModelSettings> models;
  std::string default_name;
  for (const auto& [name, node] : in_order) {
    bool is_default = false;
    ModelSettings model = ReadModel(name, *node, defaults, problems, &is_default);
    if (is_default && !default_name.empty()) {
      problems.Add(absl::StrCat("models.", name, ".default"), *node,
                   absl::StrCat("models.", default_name, " is the default already"));
    }
    if (is_default) default_name = name;
    models.insert(is_default ? models.begin() : models.end(), std::move(model));
  }
  return models;
}

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

std::vector<std::string> NameProblems(const std::vector<ModelSettings>& models) {
  std::vector<std::string> problems;
  std::map<std::pair<ModelSettings::Kind, std::string>, std::string> owners = {
      {{ModelSettings::Kind::kChat, kEmbedded}, kEmbedded}};
  std::set<std::string> chat_names = {kEmbedded};
  for (const ModelSettings& model : models) {
    std::vector<std::string> names = model.aliases;
    names.push_back(model.name);
    for (const std::string& name : names) {
      const auto [owner, is_new] = owners.emplace(std::make_pair(model.kind, name), model.name);
      if (!is_new) {
        problems.push_back(absl::StrCat("models.", model.name, ": the name '", name,
                                        "' is taken by model ", owner->second));
      }
    }
    if (model.kind == ModelSettings::Kind::kChat) chat_names.insert(model.name);
  }
  for (const ModelSettings& model : models) {
    for (const std::string& fallback : model.fallbacks) {
      if (fallback == model.name || chat_names.count(fallback) == 0) {
        problems.push_back(
            absl::StrCat("models.", model.name, ".fallbacks: '", fallback, "' is ",
                         fallback == model.name ? "the model itself" : "no chat model's name",
                         "; known: ", absl::StrJoin(chat_names, ", ")));
      }
    }
  }
  return problems;
}

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
    if (name != "server" && name != "gateway" && name != "models") {
      problems.Add(name, node, "unknown; known: [server], [gateway], [models.<name>]");
    } else if (table == nullptr) {
      problems.Add(name, node, "must be a table");
    } else if (name == "models") {
      content.models = ReadModels(*table, defaults, problems);
    } else if (name == section) {
      content.items = ReadSection(name, *table, problems);
    }
  }
  if (problems.lines().empty()) return content;
  return absl::InvalidArgumentError(absl::StrJoin(problems.lines(), "\n"));
}

}  // namespace aibackend::config
