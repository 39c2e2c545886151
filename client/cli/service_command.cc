// aibackend usage, models, health
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"

namespace aibackend::cli {
namespace {

constexpr absl::Duration kHealthTimeout = absl::Seconds(5);

struct ServiceArguments {
  int limit = kPageSizeDefault;
  bool json = false;
};

std::vector<std::string> UsageRow(const v1::RequestLog& log) {
  return {FormatTime(log.created_at()),
          log.request_id(),
          log.endpoint(),
          log.model(),
          v1::RequestLog::Status_Name(log.status()),
          absl::StrCat(log.prompt_tokens(), "+", log.completion_tokens(),
                       log.usage_estimated() ? "~" : ""),
          FormatUsd(log.cost_nano_usd()),
          absl::StrCat(log.response_time_ms()),
          log.error_reason()};
}

void RunUsage(Session& session, const ServiceArguments& arguments) {
  v1::ListUsageResponse all;
  const bool listed = ListPages(
      session, v1::ListUsageRequest(), arguments.limit,
      [&](const auto& request) { return session.client().ListUsage(request, session.Options()); },
      [&](const v1::ListUsageResponse& page) {
        all.MergeFrom(page);
        return page.requests_size();
      });
  if (!listed) return;
  if (arguments.json) return session.out.Write(ToJson(all));
  std::vector<std::vector<std::string>> rows = {
      {"TIME", "REQUEST", "ENDPOINT", "MODEL", "STATUS", "TOKENS", "COST", "MS", "REASON"}};
  for (const auto& log : all.requests()) rows.push_back(UsageRow(log));
  session.out.Table(rows);
}

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
  auto& usage = *app.add_subcommand("usage", "Shows the ledger, newest request first");
  usage.add_option("--limit", arguments->limit, "How many at most")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  usage.add_flag("--json", arguments->json, "Print the answer as JSON");
  usage.callback([arguments, &session] { RunUsage(session, *arguments); });

  auto& models = *app.add_subcommand("models", "Lists the models a chat can name");
  models.add_flag("--json", arguments->json, "Print the answer as JSON");
  models.callback([arguments, &session] { RunModels(session, *arguments); });

  app.add_subcommand("health", "Says whether the server serves")->callback([&session] {
    RunHealth(session);
  });
}

}  // namespace aibackend::cli
