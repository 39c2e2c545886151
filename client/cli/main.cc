// aibackend: the AI backend from the command line.
#include "CLI/CLI.hpp"
#include "client/cli/commands.h"

namespace aibackend::cli {
namespace {

void AddGlobalOptions(CLI::App& app, Session& session) {
  app.add_option("--server", session.server, "host:port or unix:/path of the server")
      ->envname("AIB_SERVER")
      ->capture_default_str();
  app.add_option("--timeout", session.timeout_s,
                 "Seconds a call may take (default: 600 for chat, 5 for health, 60 for the rest)")
      ->check(CLI::Range(0.001, 86'400.0));
  app.add_option("--request-id", session.request_id,
                 "Names the (first) call in the server's log and ledger");
}

int Run(int argc, char** argv) {
  Session session;
  CLI::App app("Talks to an AI backend.", "aibackend");
  app.footer(
      "Exit codes: 0 done, 1 the service answered with an error, 2 wrong usage, 130 Ctrl-C.");
  app.require_subcommand(1);
  app.fallthrough();  // global options may stand after the subcommand, too
  AddGlobalOptions(app, session);
  AddChatCommand(app, session);
  AddRetrieveCommand(app, session);
  AddUploadCommand(app, session);
  AddDocumentsCommands(app, session);
  AddCollectionsCommands(app, session);
  AddJobsCommands(app, session);
  AddEvalCommand(app, session);
  AddServiceCommands(app, session);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
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
