// One connection to a SQLite file. Private to this folder and its tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "SQLiteCpp/SQLiteCpp.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "server/storage/database.h"

namespace aibackend::storage {

// Belongs to one thread at a time. Nothing throws.
class SqliteConnection final : public Session {
 public:
  enum class Role { kWriter, kReader };

  // Opens the file, and creates it for a writer. `lock_wait`: how long a statement waits for
  // another process's lock.
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path, Role role,
                                                                absl::Duration lock_wait);

  // Runs `work` between `begin` ("BEGIN IMMEDIATE", "BEGIN") and COMMIT, or ROLLBACK where it
  // fails or throws.
  absl::Status Transaction(const char* begin, absl::FunctionRef<absl::Status(Session&)> work);

  // True if the last transaction met a lock of another connection: the same again may succeed.
  bool met_lock() const { return met_lock_; }

  // Runs several statements that take no parameters and give no rows.
  absl::Status RunScript(const char* sql);

  absl::StatusOr<int64_t> Execute(absl::string_view sql,
                                  absl::Span<const Value> parameters) override;
  absl::Status Query(absl::string_view sql, absl::Span<const Value> parameters,
                     absl::FunctionRef<void(const Row&)> on_row) override;

 private:
  class Use;  // of a prepared statement
  struct Prepared {
    std::unique_ptr<SQLite::Statement> statement;
    std::vector<int> places;  // of $1, $2, …
    uint64_t last_use = 0;
  };
  using Statements = absl::flat_hash_map<std::string, Prepared>;

  SqliteConnection(const std::string& path, int flags, absl::Duration lock_wait);

  template <class Body>
  absl::Status Guarded(Body body);
  absl::Status ToStatus(const SQLite::Exception& e);
  void Keep(std::string sql, Prepared prepared);

  SQLite::Database database_;
  Statements statements_;  // those not in use; after database_
  uint64_t uses_ = 0;
  bool met_lock_ = false;
};

}  // namespace aibackend::storage
