#include "server/config/toml_models.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/config/toml_accounts.h"
#include "server/config/toml_file.h"

namespace aibackend::config {
namespace {

constexpr size_t kNameBytesMax = 128;
constexpr int64_t kTimeoutMsMax = int64_t{24} * 3600 * 1000;
constexpr int64_t kContextTokensMin = 512;  // below, no passage fits beside a question
constexpr int64_t kContextTokensMax = 100'000'000;
constexpr double kWeightMax = 1e6;
constexpr char kEmbedded[] = "extractive";  // the embedded model's name

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
  model.price = ReadPrice(table, problems);
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

}  // namespace

std::vector<ModelSettings> ReadModels(const toml::table& tables, const ModelSettings& defaults,
                                      Problems& problems) {
  std::vector<ModelSettings> models;
  std::string default_name;
  for (const auto& [name, node] : InOrder(tables)) {
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

}  // namespace aibackend::config
