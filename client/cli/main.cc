// aibackend: the AI backend from the command line.
#include <iostream>
#include <sstream>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"

namespace aibackend::cli {
namespace {

constexpr size_t kKeyFileBytesMax = 16 << 10;  // a JWT may be long; a header is no longer

void AddCredentials(CLI::App& app, Session& session) {
  auto& key = *app.add_option("--api-key", session.api_key,
                              "The API key. Other users of this machine can read it here: the "
                              "environment's AIB_API_KEY or --api-key-file is better");
  app.add_option_function<std::string>(
         "--api-key-file",
         [&session](const std::string& path) {
           const auto text = ReadText(path, kKeyFileBytesMax);
           if (!text.ok()) {
             throw CLI::ValidationError("--api-key-file", std::string(text.status().message()));
           }
           session.api_key = std::string(absl::StripAsciiWhitespace(*text));
           if (session.api_key.empty()) {  // not silently the environment's
             throw CLI::ValidationError("--api-key-file", path + ": holds no key");
           }
         },
         "A file that holds the API key; - is stdin (default: the key in AIB_API_KEY)")
      ->type_name("FILE")
      ->excludes(&key);
}

void AddGlobalOptions(CLI::App& app, Session& session) {
  app.add_option("--server", session.server, "host:port or unix:/path of the server")
      ->envname("AIB_SERVER")
      ->capture_default_str();
  app.add_option(
         "--timeout", session.timeout_s,
         "Seconds a call may take (default: 600 for chat, 1800 for uploads and exports, 5 for "
         "health, 60 for the rest)")
      ->check(CLI::Range(0.001, 86'400.0));
  app.add_option("--request-id", session.request_id,
                 "Names the (first) call in the server's log and ledger");
}

// An argument that isn't understood is named, and may be a key.
int Exit(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream problem;
  const int code = app.exit(error, std::cout, problem);
  std::cerr << WithoutKeys(problem.str());
  return code == 0 ? kExitOk : kExitUsage;
}

int Run(int argc, char** argv) {
  Session session;
  CLI::App app("Talks to an AI backend.", "aibackend");
  app.footer(
      "Exit codes: 0 done, 1 the service answered with an error, 2 wrong usage, 130 Ctrl-C.");
  app.require_subcommand(1);
  app.fallthrough();  // global options may stand after the subcommand, too
  AddGlobalOptions(app, session);
  AddCredentials(app, session);
  AddChatCommand(app, session);
  AddRetrieveCommand(app, session);
  AddUploadCommand(app, session);
  AddDocumentsCommands(app, session);
  AddCollectionsCommands(app, session);
  AddJobsCommands(app, session);
  AddEvalCommand(app, session);
  AddKeysCommands(app, session);
  AddLimitsCommands(app, session);
  AddPricesCommands(app, session);
  AddUsageCommands(app, session);
  AddRequestCommand(app, session);
  AddServiceCommands(app, session);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Exit(app, error);
  }
  if (!session.out.Flush()) {
    session.out.Error("the output could not be written");
    return kExitServiceError;
  }
  return session.exit_code;
}

}  // namespace
}  // namespace aibackend::cli

int main(int argc, char** argv) {
  return aibackend::cli::Run(argc, argv);
}
