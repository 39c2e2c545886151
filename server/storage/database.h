// The one door to the database. Callers write SQL that SQLite and PostgreSQL both understand, with
// $1, $2 … as parameters; what the dialects do differently stays behind this interface.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace aibackend::storage {

// Bytes that are no text.
struct Blob {
  std::string bytes;
};

// A parameter. Text is UTF-8; times are integer microseconds since 1970; money is integer nano-USD.
using Value = std::variant<std::nullptr_t, int64_t, double, std::string, Blob>;

// One row of a result, columns counted from 0. Valid during the callback that gets it.
class Row {
 public:
  virtual ~Row() = default;
  virtual bool IsNull(int column) const = 0;
  virtual int64_t Int(int column) const = 0;
  virtual double Double(int column) const = 0;
  virtual std::string Text(int column) const = 0;
  // Of a text or a blob, without a copy: valid as long as the row.
  virtual absl::string_view Bytes(int column) const = 0;
};

// What runs inside one transaction. Belongs to one thread, and to the callback that got it.
class Session {
 public:
  virtual ~Session() = default;

  // Runs one statement; returns how many rows it changed. Statements are prepared once and kept.
  virtual absl::StatusOr<int64_t> Execute(absl::string_view sql,
                                          absl::Span<const Value> parameters = {}) = 0;

  // Runs a statement that gives rows (SELECT, or RETURNING) and calls `on_row` with each, in order.
  virtual absl::Status Query(absl::string_view sql, absl::Span<const Value> parameters,
                             absl::FunctionRef<void(const Row&)> on_row) = 0;
};

// Thread-safe. Calls block; they belong on a worker thread, not on a network thread.
// Fails with Reason DATABASE_UNAVAILABLE (locked beyond the wait, disk full, gone: may pass) or
// INTERNAL (a defect). No exception escapes: one that `work` throws rolls back and is INTERNAL.
// A callback must not call the Database again: a Write inside a Write never returns.
class Database {
 public:
  virtual ~Database() = default;

  // Runs `work` on a consistent snapshot. Readers don't wait for writers.
  virtual absl::Status Read(absl::FunctionRef<absl::Status(Session&)> work) = 0;

  // Runs `work` in a write transaction: committed if it returns OK, else rolled back and its status
  // returned. `work` may run more than once, so it must have no effect outside the session before
  // it returns.
  virtual absl::Status Write(absl::FunctionRef<absl::Status(Session&)> work) = 0;
};

struct SqliteOptions {
  int readers = 4;  // connections for Read; a further reader waits for a free one
  // How long a statement waits for another process's lock. A write tries three times, and fails
  // after about four times this, however many writers wait.
  absl::Duration lock_wait = absl::Seconds(2);
};

// Opens, or creates, the SQLite file and its folder (WAL, synchronous=NORMAL, foreign keys on) and
// brings its schema up to date. Not ":memory:": several connections share the file. Refuses a
// schema newer than this binary. Several processes may open one file, also at the same moment.
absl::StatusOr<std::unique_ptr<Database>> OpenSqlite(const std::string& path,
                                                     const SqliteOptions& options = {});

}  // namespace aibackend::storage
