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
#include "absl/strings/str_split.h"
#include "server/base/text.h"
#include "server/config/toml_file.h"

namespace aibackend::config {
namespace {

constexpr char kVersion[] = "0.1.0";
constexpr char kRetrievalLegs[] =
    "words,bigrams,chars,unstemmed,expanded,dense,feedback,neighbours";
constexpr char kFittedEmbedder[] = "fitted";
constexpr size_t kAdminKeyBytesMin = 16;  // shorter ones can be guessed

// What the stemmer of retrieval/ knows; config_test compares the two.
std::vector<std::string> RetrievalLanguages() {
  return absl::StrSplit(
      "none,arabic,armenian,basque,catalan,danish,dutch,english,finnish,french,german,greek,hindi,"
      "hungarian,indonesian,irish,italian,lithuanian,nepali,norwegian,porter,portuguese,romanian,"
      "russian,serbian,spanish,swedish,tamil,turkish,yiddish",
      ',');
}

// The declarations. A setting's flag is its name; its environment variable is given beside it.
void Declare(CLI::App& app, Settings& s) {
  const auto positive_ms = CLI::Range(1, 24 * 3600 * 1000);

  app.add_option("--listen", s.listen,
                 "Addresses of the gRPC port: host:port or unix:/path, several by comma")
      ->envname("AIB_SERVER_LISTEN")
      ->delimiter(',')
      ->default_str("127.0.0.1:50051")
      ->group("Server");
  app.add_option("--insecure-listen", s.insecure_listen,
                 "Listen beyond this machine although nobody is asked for a key; for containers "
                 "and private networks")
      ->envname("AIB_INSECURE_LISTEN")
      ->default_str("false")
      ->group("Server");
  app.add_option("--admin-key", s.admin_key,
                 "A key that every call must then bring, as authorization: Bearer or x-api-key; "
                 "better given by the environment than by a flag")
      ->envname("AIB_ADMIN_KEY")
      ->group("Server");
  app.add_option("--data-dir", s.data_dir, "Folder of the database; made if it is missing")
      ->envname("AIB_DATA_DIR")
      ->default_val("./data")
      ->group("Server");
  app.add_option("--seed-empty", s.seed_empty,
                 "Load the sample corpus at start when no document is stored")
      ->envname("AIB_SEED_EMPTY")
      ->default_str("false")
      ->group("Server");
  app.add_option("--drain-timeout-ms", s.drain_timeout_ms,
                 "After SIGTERM, how long running calls may go on")
      ->envname("AIB_DRAIN_TIMEOUT_MS")
      ->default_val(20'000)
      ->check(CLI::Range(0, 3'600'000))
      ->group("Server");

  app.add_option("--log-level", s.log_level, "trace, debug, info, warn, error or off")
      ->envname("AIB_LOG_LEVEL")
      ->default_val("info")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->group("Logging");
  app.add_option("--log-content", s.log_content,
                 "Keep prompts and responses in the usage log; false: only their sizes")
      ->envname("AIB_LOG_CONTENT")
      ->default_str("true")
      ->group("Logging");

  app.add_option("--openai-base-url", s.openai_base_url,
                 "An OpenAI-compatible server, such as http://127.0.0.1:8000/v1; none: the "
                 "embedded answerer serves")
      ->envname("AIB_OPENAI_BASE_URL")
      ->group("Models");
  app.add_option("--openai-api-key", s.openai_api_key,
                 "Its key; better given by the environment than by a flag")
      ->envname("AIB_OPENAI_API_KEY")
      ->group("Models");
  app.add_option("--model", s.model,
                 "The model's name at that server; it becomes the default model")
      ->envname("AIB_MODEL")
      ->default_val("gpt-4o-mini")
      ->group("Models");
  app.add_option("--anthropic-base-url", s.anthropic_base_url,
                 "A server of Anthropic's Messages API, such as https://api.anthropic.com; none: "
                 "no such model")
      ->envname("AIB_ANTHROPIC_BASE_URL")
      ->group("Models");
  app.add_option("--anthropic-api-key", s.anthropic_api_key,
                 "Its key; better given by the environment than by a flag")
      ->envname("AIB_ANTHROPIC_API_KEY")
      ->group("Models");
  app.add_option("--anthropic-model", s.anthropic_model,
                 "The model's name at that server; the default model where openai-base-url is none")
      ->envname("AIB_ANTHROPIC_MODEL")
      ->default_val("claude-sonnet-4-5")
      ->group("Models");
  app.add_option("--upstream-connect-timeout-ms", s.upstream_connect_timeout_ms,
                 "To connect to a model server")
      ->envname("AIB_UPSTREAM_CONNECT_TIMEOUT_MS")
      ->default_val(2'000)
      ->check(positive_ms)
      ->group("Models");
  app.add_option("--upstream-first-token-timeout-ms", s.upstream_first_token_timeout_ms,
                 "From a request to its first byte")
      ->envname("AIB_UPSTREAM_FIRST_TOKEN_TIMEOUT_MS")
      ->default_val(30'000)
      ->check(positive_ms)
      ->group("Models");
  app.add_option("--upstream-idle-timeout-ms", s.upstream_idle_timeout_ms,
                 "Between two pieces of an answer")
      ->envname("AIB_UPSTREAM_IDLE_TIMEOUT_MS")
      ->default_val(30'000)
      ->check(positive_ms)
      ->group("Models");
  app.add_option("--upstream-total-timeout-ms", s.upstream_total_timeout_ms, "For a whole answer")
      ->envname("AIB_UPSTREAM_TOTAL_TIMEOUT_MS")
      ->default_val(600'000)
      ->check(positive_ms)
      ->group("Models");
  app.add_option("--embedding-model", s.embedding_model,
                 "The embedding model's name at the OpenAI-compatible server")
      ->envname("AIB_EMBEDDING_MODEL")
      ->default_val("text-embedding-3-small")
      ->group("Models");
  app.add_option("--upstream-retries", s.upstream_retries,
                 "Further attempts after a failure that may pass, before the first token")
      ->envname("AIB_UPSTREAM_RETRIES")
      ->default_val(2)
      ->check(CLI::Range(0, 10))
      ->group("Models");
  app.add_option("--upstream-retry-base-ms", s.upstream_retry_base_ms,
                 "The longest wait before the first of them; it doubles with each (full jitter)")
      ->envname("AIB_UPSTREAM_RETRY_BASE_MS")
      ->default_val(200)
      ->check(CLI::Range(1, 60'000))
      ->group("Models");
  app.add_option("--upstream-retry-wait-max-ms", s.upstream_retry_wait_max_ms,
                 "The longest Retry-After that is waited for; a longer one is passed on at once")
      ->envname("AIB_UPSTREAM_RETRY_WAIT_MAX_MS")
      ->default_val(5'000)
      ->check(CLI::Range(0, 600'000))
      ->group("Models");
  app.add_option(
         "--upstream-breaker-failures", s.upstream_breaker_failures,
         "Failures in a row after which a model server is left alone, where another one can "
         "serve instead; 0: never")
      ->envname("AIB_UPSTREAM_BREAKER_FAILURES")
      ->default_val(10)
      ->check(CLI::Range(0, 1'000'000))
      ->group("Models");
  app.add_option("--upstream-breaker-open-ms", s.upstream_breaker_open_ms,
                 "For how long at first; it doubles, up to five seconds, while the server fails")
      ->envname("AIB_UPSTREAM_BREAKER_OPEN_MS")
      ->default_val(1'000)
      ->check(CLI::Range(1, 600'000))
      ->group("Models");
  app.add_option("--upstream-concurrent-max", s.upstream_concurrent_max,
                 "Requests under way at one model server; 0: no bound of its own")
      ->envname("AIB_UPSTREAM_CONCURRENT_MAX")
      ->default_val(0)
      ->check(CLI::Range(0, 1'000'000))
      ->group("Models");
  app.add_option("--upstream-queue-max", s.upstream_queue_max,
                 "Requests that wait where that bound is reached; beyond it: OVERLOADED")
      ->envname("AIB_UPSTREAM_QUEUE_MAX")
      ->default_val(1'000)
      ->check(CLI::Range(0, 1'000'000))
      ->group("Models");
  app.add_option("--resume-window-ms", s.resume_window_ms,
                 "How long a chat with an Idempotency-Key goes on without its client, and how long "
                 "its stream can be resumed")
      ->envname("AIB_RESUME_WINDOW_MS")
      ->default_val(300'000)
      ->check(CLI::Range(0, 3'600'000))
      ->group("Models");
  app.add_option("--words-per-second", s.words_per_second,
                 "Pace of the embedded answerer's streams; 0: at once")
      ->envname("AIB_WORDS_PER_SECOND")
      ->default_val(50.0)
      ->check(CLI::Range(0.0, 100'000.0))
      ->group("Models");
  app.add_option("--retrieval-strict", s.retrieval_strict,
                 "Where a request doesn't say: answer only from documents, or with NO_CONTEXT")
      ->envname("AIB_RETRIEVAL_STRICT")
      ->default_str("false")
      ->group("Models");
  app.add_option("--retrieval-language", s.retrieval_language,
                 "What documents are mostly written in: its words are stemmed, and its most common "
                 "ones passed over; none: neither. Indexes are made anew when it changes")
      ->envname("AIB_RETRIEVAL_LANGUAGE")
      ->default_val("english")
      ->check(CLI::IsMember(RetrievalLanguages()))
      ->group("Models");
  app.add_option(
         "--retrieval-legs", s.retrieval_legs,
         "What a hybrid search sums up, several by comma; to leave out a leg is to compare, "
         "or to save its time")
      ->envname("AIB_RETRIEVAL_LEGS")
      ->delimiter(',')
      ->default_val(kRetrievalLegs)
      ->check(CLI::IsMember(std::vector<std::string>(absl::StrSplit(kRetrievalLegs, ','))))
      ->group("Models");
  app.add_option("--retrieval-embedder", s.retrieval_embedder,
                 "What embeds the documents of new collections: fitted (made from their own texts) "
                 "or the name of an embedding model")
      ->envname("AIB_RETRIEVAL_EMBEDDER")
      ->default_val("fitted")
      ->group("Models");
  app.add_option("--retrieval-embed-timeout-ms", s.retrieval_embed_timeout_ms,
                 "How long a query waits for its embedding; after it the word legs serve alone")
      ->envname("AIB_RETRIEVAL_EMBED_TIMEOUT_MS")
      ->default_val(2'000)
      ->check(positive_ms)
      ->group("Models");

  // More than cores: dense searches that wait at the same moment share a scan, which tells where
  // there is much to scan.
  app.add_option("--worker-threads", s.worker_threads,
                 "Threads for chats, and as many for other calls")
      ->envname("AIB_WORKER_THREADS")
      ->default_val(16)
      ->check(CLI::Range(1, 256))
      ->group("Capacity");
  app.add_option("--worker-queue-max", s.worker_queue_max,
                 "Calls that may wait for one; beyond it: OVERLOADED")
      ->envname("AIB_WORKER_QUEUE_MAX")
      ->default_val(10'000)
      ->check(CLI::Range(1, 1'000'000))
      ->group("Capacity");
  app.add_option("--turns-max", s.turns_max, "Chats under way at once; beyond it: OVERLOADED")
      ->envname("AIB_TURNS_MAX")
      ->default_val(10'000)
      ->check(CLI::Range(1, 1'000'000))
      ->group("Capacity");
  app.add_option("--job-threads", s.job_threads, "Background jobs that run at once")
      ->envname("AIB_JOB_THREADS")
      ->default_val(1)
      ->check(CLI::Range(1, 64))
      ->group("Capacity");
}

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
  absl::StatusOr<std::vector<ModelSettings>> Models(const ModelSettings& defaults) const {
    auto content = Read(defaults);
    if (!content.ok()) return content.status();
    return std::move(content->models);
  }

 private:
  absl::StatusOr<TomlContent> Read(const ModelSettings& defaults) const {
    std::istringstream input(text_);
    return ReadToml(input, section_, defaults);
  }

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

// What no single bound can say.
absl::Status CheckMeaning(const Settings& s) {
  std::vector<std::string> problems;
  for (const auto& address : s.listen) {
    if (!IsLoopback(address) && !s.insecure_listen && s.admin_key.empty()) {
      problems.push_back(
          "listen: " + address +
          " is reachable from other machines and no key is asked for; use 127.0.0.1, set "
          "AIB_ADMIN_KEY, or AIB_INSECURE_LISTEN=true where the network is yours");
    }
  }
  if (s.listen.empty()) problems.push_back("listen: at least one address is needed");
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

std::string Settings::DatabasePath() const {
  return data_dir + "/aibackend.db";
}

bool IsLoopback(const std::string& address) {
  return absl::StartsWith(address, "unix:") || absl::StartsWith(address, "127.") ||
         absl::StartsWith(address, "localhost:") || absl::StartsWith(address, "[::1]:");
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
    for (const char* secret : {"--openai-api-key", "--anthropic-api-key", "--admin-key"}) {
      app.get_option(secret)->clear();
    }
    invocation.print =
        "[server]\n" + app.config_to_str(/*default_also=*/true, /*write_description=*/true);
    return invocation;
  }
  auto models = file->Models(ModelDefaults(invocation.settings));
  if (!models.ok()) return models.status();
  invocation.settings.models = EnvironmentModels(invocation.settings);
  invocation.settings.models.insert(invocation.settings.models.end(), models->begin(),
                                    models->end());
  if (absl::Status status = CheckMeaning(invocation.settings); !status.ok()) return status;
  return invocation;
}

}  // namespace aibackend::config
