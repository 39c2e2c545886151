#include "server/storage/migrations.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/status.h"
#include "spdlog/spdlog.h"

namespace aibackend::storage {
namespace {

absl::StatusOr<int64_t> SchemaVersion(Session& session) {
  int64_t version = 0;
  AIB_RETURN_IF_ERROR(session.Query("SELECT COALESCE(MAX(version), 0) FROM schema_migrations", {},
                                    [&](const Row& row) { version = row.Int(0); }));
  return version;
}

absl::Status Apply(SqliteConnection& connection, const Migration& migration) {
  if (absl::Status status = connection.RunScript(migration.sql); !status.ok()) {
    return MakeError(ReasonOf(status), absl::StrCat("migration ", migration.version, " (",
                                                    migration.name, "): ", status.message()));
  }
  return connection
      .Execute("INSERT INTO schema_migrations (version, name, applied_at) VALUES ($1, $2, $3)",
               {int64_t{migration.version}, migration.name, absl::ToUnixMicros(absl::Now())})
      .status();
}

}  // namespace

absl::Status Migrate(SqliteConnection& connection, absl::Span<const Migration> migrations) {
  const int newest = migrations.empty() ? 0 : migrations.back().version;
  return connection.Transaction("BEGIN IMMEDIATE", [&](Session& session) -> absl::Status {
    AIB_RETURN_IF_ERROR(
        connection.RunScript("CREATE TABLE IF NOT EXISTS schema_migrations ("
                             " version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                             " applied_at INTEGER NOT NULL) STRICT"));
    AIB_ASSIGN_OR_RETURN(const int64_t version, SchemaVersion(session));
    if (version > newest) {
      return MakeError(
          Reason::INTERNAL,
          absl::StrCat("the database's schema is version ", version, ", and this program knows ",
                       newest, " at most: start a newer program, or give it another database"));
    }
    for (const Migration& migration : migrations) {
      if (migration.version <= version) continue;
      AIB_RETURN_IF_ERROR(Apply(connection, migration));
      spdlog::info("storage: schema is at version {} ({})", migration.version, migration.name);
    }
    return absl::OkStatus();
  });
}

}  // namespace aibackend::storage
