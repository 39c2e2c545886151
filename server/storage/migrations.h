// Brings a database's schema up to date.
#pragma once

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/storage/sqlite_connection.h"

namespace aibackend::storage {

struct Migration {
  int version;  // 1, 2, 3 …
  const char* name;
  const char* sql;  // several statements
};

// The files of server/storage/migrations, built in; in order, without a gap.
absl::Span<const Migration> EmbeddedMigrations();

// Applies those of `migrations` that the database lacks, all or none, under its write lock: of two
// processes that start at once, the second finds the work done. Refuses a database whose schema is
// newer than `migrations`, and leaves it as it is.
absl::Status Migrate(SqliteConnection& connection, absl::Span<const Migration> migrations);

}  // namespace aibackend::storage
