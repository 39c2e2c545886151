// aibackend keys create|list|show|update|rotate|revoke
#include <memory>
#include <optional>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/cli/limit_options.h"
#include "client/cli/options.h"

namespace aibackend::cli {
namespace {

struct KeyArguments {
  std::string id;
  std::string name;
  std::string tenant;
  std::string user;
  std::vector<std::string> scopes;
  LimitOptions limits;
  std::optional<absl::Duration> expires_in;
  std::optional<absl::Time> expires_at;
  std::optional<absl::Duration> overlap;
  std::optional<int> limit;
  bool json = false;
};

std::string StateOf(const v1::ApiKey& key) {
  if (key.has_revoked_at()) return "revoked";
  const bool expired =
      key.has_expires_at() && absl::FromUnixSeconds(key.expires_at().seconds()) <= absl::Now();
  return expired ? "expired" : "in force";
}

std::string OrDash(const std::string& text) {
  return text.empty() ? "-" : text;
}

std::string ScopesOf(const v1::ApiKey& key) {
  return OrDash(absl::StrJoin(key.scopes(), ","));
}

void PrintKey(Output& out, const v1::ApiKey& key) {
  std::vector<std::vector<std::string>> rows = {
      {"KEY", key.id()},
      {"name", OrDash(key.name())},
      {"state", StateOf(key)},
      {"begins with", key.prefix()},
      {"tenant", key.tenant_id()},
      {"user", OrDash(key.user_id())},
      {"scopes", ScopesOf(key)},
      {"limits", FormatLimits(key.limits())},
      {"created", FormatTime(key.created_at())},
      {"expires", FormatTime(key.expires_at())},
  };
  if (key.has_revoked_at()) rows.push_back({"revoked", FormatTime(key.revoked_at())});
  if (!key.replaced_by().empty()) rows.push_back({"replaced by", key.replaced_by()});
  out.Table(rows);
}

// The key alone goes to stdout, for `KEY=$(aibackend keys create …)`.
void PrintSecret(Session& session, const v1::CreateKeyResponse& created, bool json) {
  if (json) return session.out.Write(ToJson(created));
  session.out.Line(created.key());
  session.out.Aside(absl::StrCat(created.id(), ": the key is shown this once; keep it"));
}

void RunCreate(Session& session, const KeyArguments& arguments) {
  v1::CreateKeyRequest request;
  request.set_name(arguments.name);
  request.set_tenant_id(arguments.tenant);
  request.set_user_id(arguments.user);
  for (const auto& scope : arguments.scopes) request.add_scopes(scope);
  if (arguments.limits.any()) arguments.limits.Apply(*request.mutable_limits());
  if (arguments.expires_in) {
    request.set_expires_in_seconds(absl::ToInt64Seconds(*arguments.expires_in));
  }
  if (arguments.expires_at) *request.mutable_expires_at() = ToTimestamp(*arguments.expires_at);
  const auto created = session.client().CreateKey(request, session.Options());
  if (!created.ok()) return session.Fail(created.error());
  PrintSecret(session, *created, arguments.json);
}

void RunList(Session& session, const KeyArguments& arguments) {
  v1::ListKeysRequest request;
  request.set_tenant_id(arguments.tenant);
  v1::ListKeysResponse all;
  const bool listed = ListPages(
      session, request, arguments.limit.value_or(kPageSizeDefault),
      [&](const auto& page_request) {
        return session.client().ListKeys(page_request, session.Options());
      },
      [&](const v1::ListKeysResponse& page) {
        all.MergeFrom(page);
        return page.keys_size();
      });
  if (!listed) return;
  if (arguments.json) return session.out.Write(ToJson(all));
  std::vector<std::vector<std::string>> rows = {
      {"ID", "KEY", "STATE", "TENANT", "USER", "SCOPES", "EXPIRES", "NAME"}};
  for (const auto& key : all.keys()) {
    rows.push_back({key.id(), key.prefix() + "…", StateOf(key), key.tenant_id(),
                    OrDash(key.user_id()), ScopesOf(key), FormatTime(key.expires_at()),
                    key.name()});
  }
  session.out.Table(rows);
}

void RunShow(Session& session, const KeyArguments& arguments) {
  v1::GetKeyRequest request;
  request.set_id(arguments.id);
  const auto key = session.client().GetKey(request, session.Options());
  if (!key.ok()) return session.Fail(key.error());
  if (arguments.json) return session.out.Write(ToJson(*key));
  PrintKey(session.out, *key);
}

// The service replaces limits as a whole; who names one means to keep the others.
bool MergeLimits(Session& session, const KeyArguments& arguments, v1::UpdateKeyRequest& request) {
  v1::GetKeyRequest get;
  get.set_id(arguments.id);
  const auto key = session.client().GetKey(get, session.Options());
  if (!key.ok()) return session.Fail(key.error()), false;
  *request.mutable_limits() = key->limits();
  arguments.limits.Apply(*request.mutable_limits());
  return true;
}

void RunUpdate(Session& session, const KeyArguments& arguments) {
  v1::UpdateKeyRequest request;
  request.set_id(arguments.id);
  if (!arguments.name.empty()) request.set_name(arguments.name);
  if (arguments.expires_in) {
    *request.mutable_expires_at() = ToTimestamp(absl::Now() + *arguments.expires_in);
  }
  if (arguments.expires_at) *request.mutable_expires_at() = ToTimestamp(*arguments.expires_at);
  if (!request.has_name() && !request.has_expires_at() && !arguments.limits.any()) {
    return session.FailUsage("nothing to change: give --name, --expires-in or a limit");
  }
  if (arguments.limits.any() && !MergeLimits(session, arguments, request)) return;
  const auto key = session.client().UpdateKey(request, session.Options());
  if (!key.ok()) return session.Fail(key.error());
  if (arguments.json) return session.out.Write(ToJson(*key));
  PrintKey(session.out, *key);
}

void RunRotate(Session& session, const KeyArguments& arguments) {
  v1::RotateKeyRequest request;
  request.set_id(arguments.id);
  if (arguments.overlap) request.set_overlap_seconds(absl::ToInt64Seconds(*arguments.overlap));
  const auto created = session.client().RotateKey(request, session.Options());
  if (!created.ok()) return session.Fail(created.error());
  PrintSecret(session, *created, arguments.json);
}

void RunRevoke(Session& session, const KeyArguments& arguments) {
  v1::RevokeKeyRequest request;
  request.set_id(arguments.id);
  const auto response = session.client().RevokeKey(request, session.Options());
  if (!response.ok()) return session.Fail(response.error());
  if (arguments.json) return session.out.Write(ToJson(*response));
  session.out.Line(response->revoked() ? "revoked " + arguments.id
                                       : arguments.id + " was revoked before");
}

void AddExpiry(CLI::App& command, KeyArguments& arguments) {
  auto* span = AddSpan(command, "--expires-in", arguments.expires_in, "How long it holds: 30d");
  AddMoment(command, "--expires-at", arguments.expires_at, "Until when it holds")->excludes(span);
}

// A subcommand about one key.
CLI::App& AddOfKey(CLI::App& keys, KeyArguments& arguments, const char* name, const char* help) {
  auto& command = *keys.add_subcommand(name, help);
  command.add_option("id", arguments.id, "The key's id, as `keys list` shows it")->required();
  AddJson(command, arguments.json);
  return command;
}

void AddCreate(CLI::App& keys, const std::shared_ptr<KeyArguments>& arguments, Session& session) {
  auto& create = *keys.add_subcommand("create", "Makes a key and prints it, this once");
  create.add_option("--name", arguments->name, "For people, at most 128 bytes")->required();
  create.add_option("--tenant", arguments->tenant, "Whose it is (default: default)");
  create.add_option("--user", arguments->user,
                    "Whom it speaks for (default: requests say so themselves)");
  create
      .add_option(
          "--scope", arguments->scopes,
          "chat, embed, documents.read, documents.write, jobs, usage or admin; may be given "
          "again (default: all of its tenant, and of the usage its own)")
      ->take_all()
      ->delimiter(',');
  arguments->limits.AddTo(create);
  AddExpiry(create, *arguments);
  AddJson(create, arguments->json);
  create.callback([arguments, &session] { RunCreate(session, *arguments); });
}

}  // namespace

void AddKeysCommands(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<KeyArguments>();
  auto& keys = *app.add_subcommand("keys", "Makes, shows, changes and revokes API keys");
  keys.require_subcommand(1);
  AddCreate(keys, arguments, session);

  auto& list = *keys.add_subcommand("list", "Lists keys, newest first");
  list.add_option("--tenant", arguments->tenant, "Only this one's");
  AddLimit(list, arguments->limit);
  AddJson(list, arguments->json);
  list.callback([arguments, &session] { RunList(session, *arguments); });

  AddOfKey(keys, *arguments, "show", "Shows a key, but for the key itself, which nobody keeps")
      .callback([arguments, &session] { RunShow(session, *arguments); });

  auto& update = AddOfKey(keys, *arguments, "update", "Changes what is given, and keeps the rest");
  update.add_option("--name", arguments->name, "For people, at most 128 bytes");
  arguments->limits.AddTo(update);
  AddExpiry(update, *arguments);
  update.callback([arguments, &session] { RunUpdate(session, *arguments); });

  auto& rotate =
      AddOfKey(keys, *arguments, "rotate", "Makes a key in the place of another and prints it");
  AddSpan(rotate, "--overlap", arguments->overlap,
          "How long the old one goes on beside it, at most 30d (default: 24h)");
  rotate.callback([arguments, &session] { RunRotate(session, *arguments); });

  AddOfKey(keys, *arguments, "revoke", "Refuses a key from now on").callback([arguments, &session] {
    RunRevoke(session, *arguments);
  });
}

}  // namespace aibackend::cli
