// aibackend models, health
#include <memory>

#include "CLI/CLI.hpp"
#include "client/cli/commands.h"

namespace aibackend::cli {
namespace {

constexpr absl::Duration kHealthTimeout = absl::Seconds(5);

struct ServiceArguments {
  bool json = false;
};

void RunModels(Session& session, const ServiceArguments& arguments) {
  const auto response = session.client().ListModels({}, session.Options());
  if (!response.ok()) return session.Fail(response.error());
  if (arguments.json) return session.out.Write(ToJson(*response));
  std::vector<std::vector<std::string>> rows = {{"MODEL", "PROVIDER", "DEFAULT", "DESCRIPTION"}};
  for (const auto& model : response->models()) {
    rows.push_back(
        {model.id(), model.provider(), model.is_default() ? "yes" : "", model.description()});
  }
  session.out.Table(rows);
}

void RunHealth(Session& session) {
  auto options = session.Options();
  if (!options.timeout) options.timeout = kHealthTimeout;
  const auto serving = session.client().Health({}, options);
  if (!serving.ok()) return session.Fail(serving.error());
  session.out.Line(*serving ? "SERVING" : "NOT_SERVING");
  if (!*serving) session.exit_code = kExitServiceError;
}

}  // namespace

void AddServiceCommands(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ServiceArguments>();
  auto& models = *app.add_subcommand("models", "Lists the models a chat can name");
  models.add_flag("--json", arguments->json, "Print the answer as JSON");
  models.callback([arguments, &session] { RunModels(session, *arguments); });

  app.add_subcommand("health", "Says whether the server serves")->callback([&session] {
    RunHealth(session);
  });
}

}  // namespace aibackend::cli
