// aibackend request
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/cli/options.h"
#include "client/cli/price_table.h"

namespace aibackend::cli {
namespace {

struct RequestArguments {
  std::string id;
  bool json = false;
};

std::string TokensOf(const v1::RequestLog& log) {
  std::string tokens = absl::StrCat(log.prompt_tokens(), " + ", log.completion_tokens());
  if (log.cached_tokens() > 0) absl::StrAppend(&tokens, ", ", log.cached_tokens(), " cached");
  if (log.reasoning_tokens() > 0) {
    absl::StrAppend(&tokens, ", ", log.reasoning_tokens(), " of reasoning");
  }
  if (log.usage_estimated()) absl::StrAppend(&tokens, ", estimated");
  return tokens;
}

std::string TimeOf(const v1::RequestLog& log) {
  std::string time = absl::StrCat(log.response_time_ms(), " ms");
  if (log.ttft_ms() > 0) absl::StrAppend(&time, ", ", log.ttft_ms(), " to the first token");
  return time;
}

// Its ledger row; what is empty isn't shown.
void PrintRow(Output& out, const v1::RequestLog& log) {
  std::string status = v1::RequestLog::Status_Name(log.status());
  if (!log.error_reason().empty()) absl::StrAppend(&status, "  ", log.error_reason());
  const std::vector<std::vector<std::string>> all = {
      {"REQUEST", log.request_id()},
      {"row", log.row_id() == log.request_id() ? "" : log.row_id()},
      {"created", FormatTime(log.created_at())},
      {"endpoint", log.endpoint()},
      {"status", status},
      {"tenant", log.tenant_id()},
      {"user", log.user_id()},
      {"key", log.key_id()},
      {"model", log.model()},
      {"tokens", TokensOf(log)},
      {"cost", FormatCost(log)},
      {"time", TimeOf(log)},
      {"upstream calls", absl::StrCat(log.upstream_calls())},
      {"replay of", log.replay_of()},
      {"cache", log.cache()},
      {"guardrails", log.guardrails()},
      {"shadow limit", log.shadow_limit()},
      {"trace", log.trace_id()},
  };
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : all) {
    if (!row[1].empty()) rows.push_back(row);
  }
  out.Table(rows);
}

void PrintTimeline(Output& out, const v1::RequestView& view) {
  if (view.timeline_size() == 0) return;
  std::vector<std::vector<std::string>> rows = {{"MS", "STEP", "NOTE"}};
  for (const auto& step : view.timeline()) {
    rows.push_back({absl::StrFormat("%.1f", step.at_ms()), step.name(), step.note()});
  }
  out.Line("");
  out.Table(rows);
}

void PrintPassages(Output& out, const v1::RequestView& view) {
  if (view.passages_size() == 0) return;
  out.Line("");
  out.Heading("PASSAGES");
  out.Note(absl::StrFormat("  confidence %.2f", view.confidence()));
  for (const auto& passage : view.passages()) out.Line(passage);
}

void PrintText(Output& out, const char* heading, const std::string& text) {
  if (text.empty()) return;
  out.Line("");
  out.Heading(heading);
  out.Line("");
  out.Line(text);
}

void RunRequest(Session& session, const RequestArguments& arguments) {
  v1::GetRequestRequest request;
  request.set_request_id(arguments.id);
  const auto view = session.client().GetRequest(request, session.Options());
  if (!view.ok()) return session.Fail(view.error());
  if (arguments.json) return session.out.Write(ToJson(*view));
  PrintRow(session.out, view->request());
  PrintTimeline(session.out, *view);
  PrintPassages(session.out, *view);
  if (view->has_price()) {
    session.out.Line("");
    session.out.Table({PriceHeading(), PriceRow(view->price())});
  }
  PrintText(session.out, "PROMPT", view->request().prompt());
  PrintText(session.out, "RESPONSE", view->request().response());
}

}  // namespace

void AddRequestCommand(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<RequestArguments>();
  auto& request = *app.add_subcommand(
      "request", "Shows one request: its ledger row, its timeline, passages and price");
  request.add_option("id", arguments->id, "Its x-request-id, or the id of its row")->required();
  AddJson(request, arguments->json);
  request.callback([arguments, &session] { RunRequest(session, *arguments); });
}

}  // namespace aibackend::cli
