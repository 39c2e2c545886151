#include "server/config/settings.h"

#include <cstdlib>
#include <memory>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/text.h"

namespace aibackend::config {
namespace {

constexpr char kVersion[] = "0.1.0";

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

  app.add_option("--worker-threads", s.worker_threads,
                 "Threads for chats, and as many for other calls")
      ->envname("AIB_WORKER_THREADS")
      ->default_val(4)
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

// A TOML file of which one section is read, since the programs share a file, and which yields to
// the environment. (CLI11 2.1 has a setting for the section, which then trips over the section's
// own start and end marks, and lets a file win.)
class SettingsFile final : public CLI::ConfigBase {
 public:
  SettingsFile(std::string section, const CLI::App& app)
      : section_(std::move(section)), app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> kept;
    for (auto& item : ConfigBase::from_config(input)) {
      const bool is_mark = item.name == "++" || item.name == "--";
      if (is_mark || item.parents != std::vector<std::string>{section_} ||
          IsInEnvironment(item.name))
        continue;
      item.parents.clear();
      kept.push_back(std::move(item));
    }
    return kept;
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
};

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
  const bool both = !s.openai_base_url.empty() && !s.anthropic_base_url.empty();
  if (both && s.model == s.anthropic_model) {
    problems->push_back("anthropic-model: must differ from model, or no request could name it");
  }
}

// What no single bound can say.
absl::Status CheckMeaning(const Settings& s) {
  std::vector<std::string> problems;
  for (const auto& address : s.listen) {
    if (!IsLoopback(address) && !s.insecure_listen) {
      problems.push_back(
          "listen: " + address +
          " is reachable from other machines and no key is asked for; use 127.0.0.1, or set "
          "AIB_INSECURE_LISTEN=true where the network is yours");
    }
  }
  if (s.listen.empty()) problems.push_back("listen: at least one address is needed");
  CheckUpstreams(s, &problems);
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
  app.set_config("--config", "", "A TOML file; its [server] section is read")
      ->envname("AIB_CONFIG");
  app.config_formatter(std::make_shared<SettingsFile>("server", app));
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
    for (const char* secret : {"--openai-api-key", "--anthropic-api-key"}) {
      app.get_option(secret)->clear();
    }
    invocation.print =
        "[server]\n" + app.config_to_str(/*default_also=*/true, /*write_description=*/true);
    return invocation;
  }
  if (absl::Status status = CheckMeaning(invocation.settings); !status.ok()) return status;
  return invocation;
}

}  // namespace aibackend::config
