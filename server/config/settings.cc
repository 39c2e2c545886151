#include "server/config/settings.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <sstream>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/net_address.h"
#include "server/config/declarations.h"
#include "server/config/toml_file.h"

namespace aibackend::config {
namespace {

constexpr char kFittedEmbedder[] = "fitted";
constexpr size_t kAdminKeyBytesMin = 16;  // shorter ones can be guessed

// The TOML file's section of this program, which yields to the environment. (CLI11's own reader
// knows no tables of tables, reports no line, and lets a file win.)
class SettingsFile final : public CLI::ConfigBase {
 public:
  SettingsFile(std::string section, const CLI::App& app)
      : section_(std::move(section)), app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    text_.assign(std::istreambuf_iterator<char>(input), {});
    ModelSettings defaults;  // of no use yet: flags and environment may say other ones
    defaults.upstreams.emplace_back();
    const auto content = Read(defaults);
    if (!content.ok()) throw CLI::ConfigError(std::string(content.status().message()));
    std::vector<CLI::ConfigItem> kept;
    for (const TomlItem& item : content->items) {
      if (IsInEnvironment(item.name)) continue;
      kept.emplace_back();
      kept.back().name = item.name;
      kept.back().inputs = item.values;
    }
    return kept;
  }

  // Of the file that was read, if one was.
  absl::StatusOr<TomlContent> Read(const ModelSettings& defaults) const {
    std::istringstream input(text_);
    return ReadToml(input, section_, defaults);
  }

 private:
  bool IsInEnvironment(const std::string& name) const {
    const CLI::Option* option = app_.get_option_no_throw("--" + name);
    if (option == nullptr || option->get_envname().empty()) return false;
    const char* value = std::getenv(option->get_envname().c_str());
    return value != nullptr && *value != '\0';  // an empty one is none to CLI11 either
  }

  const std::string section_;
  const CLI::App& app_;
  mutable std::string text_;
};

UpstreamSettings UpstreamDefaults(const Settings& s) {
  UpstreamSettings upstream;
  upstream.timeouts = {s.upstream_connect_timeout_ms, s.upstream_first_token_timeout_ms,
                       s.upstream_idle_timeout_ms, s.upstream_total_timeout_ms};
  upstream.concurrent_max = s.upstream_concurrent_max;
  upstream.queue_max = s.upstream_queue_max;
  return upstream;
}

ModelSettings ModelDefaults(const Settings& s) {
  ModelSettings model;
  model.upstreams.push_back(UpstreamDefaults(s));
  model.retries = s.upstream_retries;
  model.retry_base_ms = s.upstream_retry_base_ms;
  model.retry_wait_max_ms = s.upstream_retry_wait_max_ms;
  model.breaker_failures = s.upstream_breaker_failures;
  model.breaker_open_ms = s.upstream_breaker_open_ms;
  return model;
}

// The models that the environment describes.
std::vector<ModelSettings> EnvironmentModels(const Settings& s) {
  std::vector<ModelSettings> models;
  const auto add = [&](const std::string& name, const std::string& base_url,
                       const std::string& api_key) -> ModelSettings& {
    ModelSettings model = ModelDefaults(s);
    model.name = name;
    model.breaker_failures = 0;  // nothing else could serve
    model.upstreams[0].base_url = base_url;
    model.upstreams[0].api_key = api_key;
    model.upstreams[0].model = name;
    models.push_back(std::move(model));
    return models.back();
  };
  if (!s.openai_base_url.empty()) {
    add(s.model, s.openai_base_url, s.openai_api_key);
    if (!s.embedding_model.empty()) {
      add(s.embedding_model, s.openai_base_url, s.openai_api_key).kind =
          ModelSettings::Kind::kEmbedding;
    }
  }
  if (!s.anthropic_base_url.empty()) {
    add(s.anthropic_model, s.anthropic_base_url, s.anthropic_api_key).provider =
        ModelSettings::Provider::kAnthropic;
  }
  return models;
}

// The models behind servers: their addresses and names.
void CheckUpstreams(const Settings& s, std::vector<std::string>* problems) {
  const auto check = [&](const char* url_setting, const std::string& url, const char* name_setting,
                         const std::string& name) {
    if (!url.empty() && !absl::StartsWith(url, "http://") && !absl::StartsWith(url, "https://")) {
      problems->push_back(absl::StrCat(url_setting, ": must start with http:// or https://"));
    }
    if (name.empty() || name == "extractive") {
      problems->push_back(absl::StrCat(
          name_setting, ": must not be empty or 'extractive', the embedded model's name"));
    }
  };
  check("openai-base-url", s.openai_base_url, "model", s.model);
  check("anthropic-base-url", s.anthropic_base_url, "anthropic-model", s.anthropic_model);
}

// What embeds documents is one of the models.
void CheckEmbedders(const Settings& s, std::vector<std::string>* problems) {
  std::vector<std::string> known = {kFittedEmbedder};
  for (const ModelSettings& model : s.models) {
    if (model.kind != ModelSettings::Kind::kEmbedding) continue;
    if (model.name == kFittedEmbedder) {
      problems->push_back(absl::StrCat("models.", model.name,
                                       ": this name is what embeds documents without a model"));
    }
    known.push_back(model.name);
  }
  if (std::find(known.begin(), known.end(), s.retrieval_embedder) != known.end()) return;
  problems->push_back(absl::StrCat("retrieval-embedder: must be one of ",
                                   absl::StrJoin(known, ", "), "; got ", s.retrieval_embedder));
}

void CheckJwt(const Settings& s, std::vector<std::string>* problems) {
  const int sources =
      !s.jwt.key_file.empty() + !s.jwt.secret_file.empty() + !s.jwt.jwks_file.empty();
  if (sources > 1) {
    problems->push_back("jwt-key-file, jwt-secret-file, jwt-jwks-file: only one can be given");
  }
  const bool has_way_in = !s.admin_key.empty() || s.jwt.is_set();
  if (s.auth == "required" && !has_way_in) {
    problems->push_back(
        "auth: is required, and nobody could ever make a key; set AIB_ADMIN_KEY or JWTs up");
  }
  if (s.auth == "off" && has_way_in) {
    problems->push_back("auth: is off, although there is an admin key or JWTs are set up");
  }
}

// Whom the ports are open to.
void CheckListen(const Settings& s, std::vector<std::string>* problems) {
  if (s.listen.empty()) problems->push_back("listen: at least one address is needed");
  for (const auto& address : s.listen) {
    if (!IsLoopback(address) && !s.insecure_listen && !s.RequiresAuth()) {
      problems->push_back(
          "listen: " + address +
          " is reachable from other machines and no key is asked for; use 127.0.0.1, set "
          "AIB_ADMIN_KEY, or AIB_INSECURE_LISTEN=true where the network is yours");
    }
  }
  if (s.metrics_listen.empty()) return;
  if (!ParseHostPort(s.metrics_listen)) {
    problems->push_back(absl::StrCat("metrics-listen: ", s.metrics_listen, " is not host:port"));
  } else if (!IsLoopback(s.metrics_listen) && !s.insecure_listen) {
    problems->push_back(absl::StrCat(
        "metrics-listen: ", s.metrics_listen,
        " is reachable from other machines and asks nobody for a key; use 127.0.0.1, or "
        "AIB_INSECURE_LISTEN=true where the network is yours"));
  }
}

// As the exporter of proto/otlp has it; config_test compares the two.
bool IsCollector(absl::string_view endpoint) {
  if (!absl::ConsumePrefix(&endpoint, "https://")) absl::ConsumePrefix(&endpoint, "http://");
  absl::ConsumeSuffix(&endpoint, "/");
  const auto parts = ParseHostPort(endpoint);
  return parts && parts->port > 0 && !absl::StrContains(endpoint, '/');
}

// Whom the server speaks to beside model servers, and whom it believes.
void CheckPeers(const Settings& s, std::vector<std::string>* problems) {
  if (!s.otlp_endpoint.empty() && !IsCollector(s.otlp_endpoint)) {
    problems->push_back(absl::StrCat("otlp-endpoint: ", s.otlp_endpoint,
                                     " is not host:port, http://host:port or https://host:port"));
  }
  for (const std::string& text : s.trusted_proxies) {
    if (text.empty() || ParseIpPrefix(text)) continue;
    problems->push_back(
        absl::StrCat("trusted-proxies: '", text, "' is no address and no prefix like 10.0.0.0/8"));
  }
}

// What no single bound can say.
absl::Status CheckMeaning(const Settings& s) {
  std::vector<std::string> problems;
  CheckListen(s, &problems);
  CheckJwt(s, &problems);
  CheckPeers(s, &problems);
  if (!s.admin_key.empty() && s.admin_key.size() < kAdminKeyBytesMin) {
    problems.push_back(absl::StrCat("admin-key: must have at least ", kAdminKeyBytesMin, " bytes"));
  }
  CheckUpstreams(s, &problems);
  CheckEmbedders(s, &problems);
  if (problems.empty()) problems = NameProblems(s.models);
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

}  // namespace

bool Settings::RequiresAuth() const {
  return auth == "required" || !admin_key.empty() || jwt.is_set();
}

std::string Settings::DatabasePath() const {
  return data_dir + "/aibackend.db";
}

bool IsLoopback(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) return true;
  const auto parts = ParseHostPort(address);
  return parts && IsLoopbackHost(parts->host);
}

absl::StatusOr<Invocation> Load(int argc, const char* const* argv) {
  Invocation invocation;
  CLI::App app("aibackend-server: the AI backend's gRPC service", "aibackend-server");
  app.set_version_flag("--version", kVersion);
  // CLI11 reads the file before the environment: a name from there must be given beforehand.
  const char* named = std::getenv("AIB_CONFIG");
  const std::string file_name = named ? named : "";
  app.set_config("--config", file_name, "A TOML file; its [server] section is read",
                 /*config_required=*/!file_name.empty())
      ->envname("AIB_CONFIG");
  const auto file = std::make_shared<SettingsFile>("server", app);
  app.config_formatter(file);
  app.allow_config_extras(CLI::config_extras_mode::error);
  bool print_config = false;
  app.add_flag("--print-config", print_config,
               "Print a TOML section with every setting and its help, and leave")
      ->configurable(false);
  Declare(app, invocation.settings);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    invocation.print =
        asked.get_name() == "CallForVersion" ? std::string(kVersion) + "\n" : app.help();
    return invocation;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (print_config) {
    for (const char* secret :
         {"--openai-api-key", "--anthropic-api-key", "--admin-key", "--billing-api-key"}) {
      app.get_option(secret)->clear();
    }
    invocation.print =
        "[server]\n" + app.config_to_str(/*default_also=*/true, /*write_description=*/true);
    return invocation;
  }
  auto content = file->Read(ModelDefaults(invocation.settings));
  if (!content.ok()) return content.status();
  invocation.settings.models = EnvironmentModels(invocation.settings);
  invocation.settings.models.insert(invocation.settings.models.end(), content->models.begin(),
                                    content->models.end());
  invocation.settings.limits = content->limits;
  invocation.settings.guardrails = std::move(content->guardrails);
  if (absl::Status status = CheckMeaning(invocation.settings); !status.ok()) return status;
  return invocation;
}

}  // namespace aibackend::config
