#include "server/storage/sqlite_connection.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/types/optional.h"
#include "server/base/status.h"

namespace aibackend::storage {
namespace {

// Of prepared statements kept a connection. The product has about 60 texts; the bound is for a
// caller that builds its SQL.
constexpr size_t kStatementsMax = 128;

// After a checkpoint the WAL file is cut back to this, so that one large write doesn't hold disk
// space for good.
constexpr int kWalBytesKept = 64 << 20;

// Of pages in memory, of the connection that writes: what the ledger wrote in the last seconds is
// read again when it is counted. (SQLite's own bound is 2 MB.)
constexpr int kWriterCacheKib = 16 << 10;

// The row that the statement stands at. The columns are had once for all rows: a Column counts how
// often the statement is referred to.
class StatementRow final : public Row {
 public:
  // Of a statement that stands at a row.
  explicit StatementRow(SQLite::Statement& statement) {
    const int count = statement.getColumnCount();
    columns_.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) columns_.push_back(statement.getColumn(i));
  }
  bool IsNull(int column) const override { return At(column).isNull(); }
  int64_t Int(int column) const override { return At(column).getInt64(); }
  double Double(int column) const override { return At(column).getDouble(); }
  std::string Text(int column) const override { return At(column).getString(); }
  absl::string_view Bytes(int column) const override {
    const auto* const bytes = static_cast<const char*>(At(column).getBlob());
    return {bytes, bytes == nullptr ? 0 : static_cast<size_t>(At(column).getBytes())};
  }

 private:
  const SQLite::Column& At(int column) const { return columns_.at(static_cast<size_t>(column)); }

  std::vector<SQLite::Column> columns_;
};

// Where the statement has $1, $2, …: SQLite finds a name by comparing it with all others.
std::vector<int> PlacesOf(SQLite::Statement& statement) {
  std::vector<int> places(static_cast<size_t>(statement.getBindParameterCount()));
  for (size_t i = 0; i < places.size(); ++i) {
    places[i] = statement.getIndex(absl::StrCat("$", i + 1).c_str());
  }
  return places;
}

// Binds without copying: the values outlive the statement's use. What the statement has no place
// for is at 0, which SQLite refuses.
void Bind(SQLite::Statement& statement, absl::Span<const int> places,
          absl::Span<const Value> parameters) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    const int index = i < places.size() ? places[i] : 0;
    if (const auto* integer = std::get_if<int64_t>(&parameters[i])) {
      statement.bind(index, *integer);
    } else if (const auto* real = std::get_if<double>(&parameters[i])) {
      statement.bind(index, *real);
    } else if (const auto* text = std::get_if<std::string>(&parameters[i])) {
      statement.bindNoCopy(index, *text);
    } else if (const auto* blob = std::get_if<Blob>(&parameters[i])) {
      // Not null, which an empty blob without an address would be.
      statement.bindNoCopy(index, static_cast<const void*>(blob->bytes.data()),
                           static_cast<int>(blob->bytes.size()));
    } else {
      statement.bind(index);
    }
  }
}

bool IsLock(int code) {
  return code == SQLITE_BUSY || code == SQLITE_LOCKED;
}

// What may pass without anybody changing the program.
bool MayPass(int code) {
  return IsLock(code) || code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_CANTOPEN;
}

absl::Status SqliteError(const SQLite::Exception& e) {
  const int code = e.getExtendedErrorCode() & 0xFF;
  return MakeError(MayPass(code) ? Reason::DATABASE_UNAVAILABLE : Reason::INTERNAL,
                   absl::StrCat("SQLite: ", e.what(), " (", e.getExtendedErrorCode(), ")"));
}

}  // namespace

// A prepared statement taken out of the cache, so that the same SQL inside its rows' callback gets
// one of its own. It goes back when its use ends well; else it is finalized. Either way it is
// reset: an open RETURNING statement would hold the write lock.
class SqliteConnection::Use {
 public:
  Use(SqliteConnection& connection, absl::string_view sql)
      : connection_(connection), kept_(connection.statements_.extract(sql)) {
    if (!kept_.empty()) return;
    sql_ = std::string(sql);
    made_.statement = std::make_unique<SQLite::Statement>(connection.database_, sql_);
    made_.places = PlacesOf(*made_.statement);
  }
  SQLite::Statement& operator*() { return *prepared().statement; }

  void BindAll(absl::Span<const Value> parameters) { Bind(**this, prepared().places, parameters); }

  void Finish() {
    (**this).reset();
    (**this).clearBindings();
    prepared().last_use = ++connection_.uses_;
    if (kept_.empty()) {
      connection_.Keep(std::move(sql_), std::move(made_));
    } else {
      connection_.statements_.insert(std::move(kept_));
    }
  }

 private:
  Prepared& prepared() { return kept_.empty() ? made_ : kept_.mapped(); }

  SqliteConnection& connection_;
  Statements::node_type kept_;
  std::string sql_;  // of what was not kept, with `made_`
  Prepared made_;
};

SqliteConnection::SqliteConnection(const std::string& path, int flags, absl::Duration lock_wait)
    : database_(path, flags, static_cast<int>(absl::ToInt64Milliseconds(lock_wait))) {}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(const std::string& path,
                                                                         Role role,
                                                                         absl::Duration lock_wait) {
  // SQLite's count of its memory is a lock at every allocation, and nobody asks for it.
  static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)uncounted;
  std::unique_ptr<SqliteConnection> connection;
  try {
    int flags = SQLite::OPEN_READWRITE | SQLite::OPEN_NOMUTEX;
    if (role == Role::kWriter) flags |= SQLite::OPEN_CREATE;
    connection.reset(new SqliteConnection(path, flags, lock_wait));
  } catch (const SQLite::Exception& e) {
    return SqliteError(e);
  }
  AIB_RETURN_IF_ERROR(connection->RunScript("PRAGMA foreign_keys = ON"));
  if (role == Role::kReader) {
    AIB_RETURN_IF_ERROR(connection->RunScript("PRAGMA query_only = ON"));
    return connection;
  }
  // The switch to WAL needs the file for itself, and SQLite doesn't wait for that in every case: of
  // several processes that create one file at once, all but one meet a lock for a moment.
  const absl::Time deadline = absl::Now() + lock_wait;
  absl::Status wal;
  do {
    wal = connection->RunScript("PRAGMA journal_mode = WAL");
  } while (!wal.ok() && connection->met_lock_ && absl::Now() < deadline);
  AIB_RETURN_IF_ERROR(wal);
  AIB_RETURN_IF_ERROR(connection->RunScript("PRAGMA synchronous = NORMAL"));
  AIB_RETURN_IF_ERROR(
      connection->RunScript(absl::StrCat("PRAGMA cache_size = -", kWriterCacheKib).c_str()));
  AIB_RETURN_IF_ERROR(
      connection->RunScript(absl::StrCat("PRAGMA journal_size_limit = ", kWalBytesKept).c_str()));
  return connection;
}

absl::Status SqliteConnection::ToStatus(const SQLite::Exception& e) {
  if (IsLock(e.getExtendedErrorCode() & 0xFF)) met_lock_ = true;
  return SqliteError(e);
}

template <class Body>
absl::Status SqliteConnection::Guarded(Body body) {
  try {
    return body();
  } catch (const SQLite::Exception& e) {
    return ToStatus(e);
  } catch (const std::exception& e) {
    return MakeError(Reason::INTERNAL, absl::StrCat("in a database call: ", e.what()));
  }
}

absl::Status SqliteConnection::Transaction(const char* begin,
                                           absl::FunctionRef<absl::Status(Session&)> work) {
  met_lock_ = false;
  absl::Status status = Execute(begin, {}).status();
  if (!status.ok()) return status;
  status = Guarded([&] { return work(*this); });
  if (status.ok()) status = Execute("COMMIT", {}).status();
  // Some errors (a full disk) have rolled back already.
  if (!status.ok() && sqlite3_get_autocommit(database_.getHandle()) == 0) {
    (void)Execute("ROLLBACK", {});
  }
  return status;
}

absl::Status SqliteConnection::RunScript(const char* sql) {
  return Guarded([&] {
    database_.exec(sql);
    return absl::OkStatus();
  });
}

absl::StatusOr<int64_t> SqliteConnection::Execute(absl::string_view sql,
                                                  absl::Span<const Value> parameters) {
  int64_t changed = 0;
  AIB_RETURN_IF_ERROR(Guarded([&] {
    Use use(*this, sql);
    use.BindAll(parameters);
    changed = (*use).exec();
    use.Finish();
    return absl::OkStatus();
  }));
  return changed;
}

absl::Status SqliteConnection::Query(absl::string_view sql, absl::Span<const Value> parameters,
                                     absl::FunctionRef<void(const Row&)> on_row) {
  return Guarded([&] {
    Use use(*this, sql);
    use.BindAll(parameters);
    absl::optional<StatementRow> row;
    while ((*use).executeStep()) {
      if (!row) row.emplace(*use);
      on_row(*row);
    }
    use.Finish();
    return absl::OkStatus();
  });
}

void SqliteConnection::Keep(std::string sql, Prepared prepared) {
  if (statements_.size() >= kStatementsMax) {
    statements_.erase(std::min_element(
        statements_.begin(), statements_.end(),
        [](const auto& a, const auto& b) { return a.second.last_use < b.second.last_use; }));
  }
  statements_[std::move(sql)] = std::move(prepared);
}

}  // namespace aibackend::storage
