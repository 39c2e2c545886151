// aibackend limits set|list, aibackend quota
#include <memory>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/cli/limit_options.h"
#include "client/cli/options.h"

namespace aibackend::cli {
namespace {

struct LimitArguments {
  std::string key;
  std::string tenant;
  std::string user;
  LimitOptions limits;
  bool clear = false;
  bool json = false;
};

template <class Limits>
void PrintLimits(Output& out, const Limits& limits) {
  std::vector<std::vector<std::string>> rows = {{"TENANT", "USER", "LIMITS"}};
  for (const v1::SubjectLimits& subject : limits) {
    rows.push_back({subject.tenant_id(), subject.user_id().empty() ? "-" : subject.user_id(),
                    FormatLimits(subject.limits())});
  }
  out.Table(rows);
}

void RunSet(Session& session, const LimitArguments& arguments) {
  if (arguments.limits.any() == arguments.clear) {
    return session.FailUsage("give the limits that shall hold, or --clear for those of the server");
  }
  v1::SubjectLimits request;
  request.set_tenant_id(arguments.tenant);
  request.set_user_id(arguments.user);
  arguments.limits.Apply(*request.mutable_limits());
  if (arguments.clear) request.clear_limits();
  const auto limits = session.client().SetLimits(request, session.Options());
  if (!limits.ok()) return session.Fail(limits.error());
  if (arguments.json) return session.out.Write(ToJson(*limits));
  PrintLimits(session.out, std::vector<v1::SubjectLimits>{*limits});
}

void RunList(Session& session, const LimitArguments& arguments) {
  v1::ListLimitsRequest request;
  request.set_tenant_id(arguments.tenant);
  const auto response = session.client().ListLimits(request, session.Options());
  if (!response.ok()) return session.Fail(response.error());
  if (arguments.json) return session.out.Write(ToJson(*response));
  PrintLimits(session.out, response->limits());
}

std::string SubjectOf(const v1::Quota& quota) {
  if (!quota.key_id().empty()) return absl::StrCat("key ", quota.key_id());
  if (!quota.user_id().empty()) {
    return absl::StrCat("user ", quota.user_id(), " of tenant ", quota.tenant_id());
  }
  return absl::StrCat("tenant ", quota.tenant_id());
}

void PrintQuota(Output& out, const v1::Quota& quota) {
  out.Line(absl::StrCat(SubjectOf(quota), ": ", quota.concurrent(), " requests under way"));
  out.Line(absl::StrCat("limits: ", FormatLimits(quota.limits())));
  std::vector<std::vector<std::string>> rows = {
      {"WINDOW", "ENDS", "TOKENS", "RESERVED", "LIMIT", "USD", "RESERVED", "LIMIT"}};
  for (const auto& window : quota.windows()) {
    rows.push_back({window.window(), FormatTime(window.ends_at()),
                    absl::StrCat(window.used_tokens()), absl::StrCat(window.reserved_tokens()),
                    window.has_tokens_limit() ? absl::StrCat(window.tokens_limit()) : "-",
                    FormatUsd(window.used_nano_usd()), FormatUsd(window.reserved_nano_usd()),
                    window.has_nano_usd_limit() ? FormatUsdShort(window.nano_usd_limit()) : "-"});
  }
  if (rows.size() > 1) out.Table(rows);
}

void RunQuota(Session& session, const LimitArguments& arguments) {
  v1::GetQuotaRequest request;
  request.set_key_id(arguments.key);
  request.set_tenant_id(arguments.tenant);
  request.set_user_id(arguments.user);
  const auto quota = session.client().GetQuota(request, session.Options());
  if (!quota.ok()) return session.Fail(quota.error());
  if (arguments.json) return session.out.Write(ToJson(*quota));
  PrintQuota(session.out, *quota);
}

}  // namespace

void AddLimitsCommands(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<LimitArguments>();
  auto& limits = *app.add_subcommand("limits", "Sets and lists limits of tenants and users");
  limits.require_subcommand(1);

  auto& set = *limits.add_subcommand(
      "set", "Sets the limits of a tenant, or of a user in it, in place of all it had");
  set.add_option("--tenant", arguments->tenant, "Whose, for all its keys together")->required();
  set.add_option("--user", arguments->user, "This user's, in the tenant");
  arguments->limits.AddTo(set);
  set.add_flag("--clear", arguments->clear,
               "No limits of its own: the server's settings hold again");
  AddJson(set, arguments->json);
  set.callback([arguments, &session] { RunSet(session, *arguments); });

  auto& list = *limits.add_subcommand("list", "Lists the limits that were set");
  list.add_option("--tenant", arguments->tenant, "Only this one's");
  AddJson(list, arguments->json);
  list.callback([arguments, &session] { RunList(session, *arguments); });

  auto& quota = *app.add_subcommand(
      "quota", "Shows how far limits are used: those of the key that asks, or of another");
  auto* key = quota.add_option("--key", arguments->key, "Of this key, by its id");
  quota.add_option("--tenant", arguments->tenant, "Of this tenant")->excludes(key);
  quota.add_option("--user", arguments->user, "Of this user, in --tenant")->excludes(key);
  AddJson(quota, arguments->json);
  quota.callback([arguments, &session] { RunQuota(session, *arguments); });
}

}  // namespace aibackend::cli
