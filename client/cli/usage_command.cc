// aibackend usage [summary|export]
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/cli/options.h"
#include "client/cli/usage_export.h"
#include "client/cli/usage_filter.h"

namespace aibackend::cli {
namespace {

struct UsageArguments {
  UsageFilter filter;
  std::optional<int> limit;
  std::vector<std::string> group_by;
  std::string format = "csv";
  std::string path;
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
          FormatCost(log),
          absl::StrCat(log.response_time_ms()),
          log.error_reason()};
}

void RunList(Session& session, const UsageArguments& arguments) {
  v1::ListUsageRequest request;
  SetFilter(arguments.filter, request);
  request.set_status(arguments.filter.status);
  v1::ListUsageResponse all;
  const bool listed = ListPages(
      session, request, arguments.limit.value_or(kPageSizeDefault),
      [&](const auto& page_request) {
        return session.client().ListUsage(page_request, session.Options());
      },
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

// Options of `usage` itself are understood after its subcommands, too; false, and that is printed,
// where one was given that has no meaning for the subcommand.
bool Refuse(Session& session, const std::vector<std::pair<bool, const char*>>& given) {
  for (const auto& [is_given, problem] : given) {
    if (is_given) return session.FailUsage(problem), false;
  }
  return true;
}

// What a group is of: the value of each column that it was grouped by.
std::vector<std::string> KeysOf(const v1::UsageSummary::Group& group,
                                const std::vector<std::string>& group_by) {
  std::vector<std::string> keys;
  for (const auto& column : group_by) {
    if (column == "day") keys.push_back(group.day());
    if (column == "tenant") keys.push_back(group.tenant_id());
    if (column == "model") keys.push_back(group.model());
    if (column == "user") keys.push_back(group.user_id());
    if (column == "key") keys.push_back(group.key_id());
    if (column == "endpoint") keys.push_back(group.endpoint());
    if (keys.back().empty()) keys.back() = "-";
  }
  return keys;
}

// "?" for what isn't known: beside what is, or alone.
std::string CostOf(const v1::UsageSummary::Group& group) {
  if (group.price_unknown_requests() == 0) return FormatUsd(group.cost_nano_usd());
  return group.cost_nano_usd() == 0 ? "?" : FormatUsd(group.cost_nano_usd()) + "+?";
}

std::string Percentiles(const v1::UsageSummary::Percentiles& percentiles) {
  return absl::StrFormat("%.0f/%.0f/%.0f", percentiles.p50_ms(), percentiles.p95_ms(),
                         percentiles.p99_ms());
}

std::vector<std::string> SummaryRow(std::vector<std::string> keys,
                                    const v1::UsageSummary::Group& group) {
  for (const std::string& cell :
       {absl::StrCat(group.requests()), absl::StrCat(group.errors()),
        absl::StrCat(group.cancelled()),
        absl::StrCat(group.prompt_tokens(), "+", group.completion_tokens()), CostOf(group),
        Percentiles(group.latency()), Percentiles(group.time_to_first_token())}) {
    keys.push_back(cell);
  }
  return keys;
}

void PrintSummary(Output& out, const v1::UsageSummary& summary,
                  const std::vector<std::string>& group_by) {
  std::vector<std::string> heading;
  for (const auto& column : group_by) heading.push_back(absl::AsciiStrToUpper(column));
  for (const char* column :
       {"REQUESTS", "ERRORS", "CANCELLED", "TOKENS", "COST", "MS P50/95/99", "FIRST TOKEN"}) {
    heading.push_back(column);
  }
  std::vector<std::vector<std::string>> rows = {heading};
  if (!group_by.empty()) {
    for (const auto& group : summary.groups()) {
      rows.push_back(SummaryRow(KeysOf(group, group_by), group));
    }
  }
  std::vector<std::string> total(group_by.size());
  if (!total.empty()) total[0] = "total";
  rows.push_back(SummaryRow(total, summary.total()));
  out.Table(rows);
  if (summary.left_out() > 0) {
    out.Note(absl::StrCat(summary.left_out(),
                          " groups with fewer tokens are left out; the total "
                          "has them"));
  }
}

void RunSummary(Session& session, const UsageArguments& arguments) {
  if (!Refuse(session, {{!arguments.filter.status.empty(), "a summary is of every --status"},
                        {arguments.limit.has_value(), "a summary has no --limit"}})) {
    return;
  }
  v1::SummarizeUsageRequest request;
  SetFilter(arguments.filter, request);
  for (const auto& column : arguments.group_by) request.add_group_by(column);
  const auto summary = session.client().SummarizeUsage(request, session.Options());
  if (!summary.ok()) return session.Fail(summary.error());
  if (arguments.json) return session.out.Write(ToJson(*summary));
  PrintSummary(session.out, *summary, arguments.group_by);
}

void RunExport(Session& session, const UsageArguments& arguments) {
  if (!Refuse(session, {{arguments.json, "an export is no table: --format jsonl is JSON"},
                        {arguments.limit.has_value(), "an export is whole: it has no --limit"}})) {
    return;
  }
  v1::ExportUsageRequest request;
  SetFilter(arguments.filter, request);
  request.set_status(arguments.filter.status);
  request.set_format(arguments.format);
  ExportUsage(session, request, arguments.path);
}

}  // namespace

void AddUsageCommands(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<UsageArguments>();
  auto& usage = *app.add_subcommand(
      "usage", "Shows the ledger, newest request first; ? is a cost that isn't known");
  usage.require_subcommand(0, 1);
  AddUsageFilter(usage, arguments->filter);
  AddStatusFilter(usage, arguments->filter);
  AddLimit(usage, arguments->limit);
  AddJson(usage, arguments->json);
  usage.callback([arguments, &usage, &session] {
    if (usage.get_subcommands().empty()) RunList(session, *arguments);
  });

  auto& summary = *usage.add_subcommand("summary", "Sums up whole days (default: the last 30)");
  summary
      .add_option("--by", arguments->group_by,
                  "Any of day, tenant, model, user, key and endpoint, by comma (default: one sum)")
      ->delimiter(',')
      ->check(CLI::IsMember({"day", "tenant", "model", "user", "key", "endpoint"}));
  AddUsageFilter(summary, arguments->filter);
  AddJson(summary, arguments->json);
  summary.callback([arguments, &session] { RunSummary(session, *arguments); });

  auto& to_file = *usage.add_subcommand("export", "Writes the ledger whole, oldest request first");
  to_file.add_option("--format", arguments->format, "csv, or jsonl: a JSON object a line")
      ->check(CLI::IsMember({"csv", "jsonl"}))
      ->capture_default_str();
  to_file.add_option("-o,--output", arguments->path, "The file (default: stdout)");
  AddUsageFilter(to_file, arguments->filter);
  AddStatusFilter(to_file, arguments->filter);
  to_file.callback([arguments, &session] { RunExport(session, *arguments); });
}

}  // namespace aibackend::cli
