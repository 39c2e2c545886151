#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/storage/database.h"
#include "server/storage/migrations.h"
#include "server/storage/sqlite_connection.h"

namespace aibackend::storage {
namespace {

using Connection = std::unique_ptr<SqliteConnection>;

// A write that meets another process's lock is run this often before it fails. Each run waits
// SqliteOptions::lock_wait itself.
constexpr int kWriteAttemptsMax = 3;

// Between the runs of one write: uniform over 0 to this (full jitter), doubled each time.
constexpr absl::Duration kWritePause = absl::Milliseconds(20);

// One connection writes, the others read: what WAL allows.
class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(Connection writer, std::vector<Connection> readers, absl::Duration lock_wait)
      : patience_(kWriteAttemptsMax * lock_wait),
        readers_(std::move(readers)),
        writer_(std::move(writer)) {}

  absl::Status Read(absl::FunctionRef<absl::Status(Session&)> work) override {
    Connection reader = TakeReader();
    absl::Status status = reader->Transaction("BEGIN", work);
    absl::MutexLock lock(&readers_mutex_);
    readers_.push_back(std::move(reader));
    reader_free_.Signal();
    return status;
  }

  absl::Status Write(absl::FunctionRef<absl::Status(Session&)> work) override {
    const absl::Time give_up_at = absl::Now() + patience_;
    absl::MutexLock lock(&writer_mutex_);
    // It has waited behind writers that met the lock: had each its own tries, the last of many
    // would wait for minutes.
    if (writer_->met_lock() && absl::Now() >= give_up_at) {
      return MakeError(Reason::DATABASE_UNAVAILABLE, "SQLite: another process keeps the lock");
    }
    absl::Duration pause = kWritePause;
    for (int attempt = 1;; ++attempt) {
      absl::Status status = writer_->Transaction("BEGIN IMMEDIATE", work);
      const bool is_last = attempt == kWriteAttemptsMax || absl::Now() >= give_up_at;
      if (status.ok() || !writer_->met_lock() || is_last) return status;
      // The wait gives the connection to this process's other writers.
      write_done_.WaitWithTimeout(&writer_mutex_, absl::Uniform(random_, 0.0, 1.0) * pause);
      pause *= 2;
    }
  }

 private:
  Connection TakeReader() {
    absl::MutexLock lock(&readers_mutex_);
    while (readers_.empty()) reader_free_.Wait(&readers_mutex_);
    Connection reader = std::move(readers_.back());
    readers_.pop_back();
    return reader;
  }

  const absl::Duration patience_;  // of a write that meets another process's lock

  absl::Mutex readers_mutex_;
  absl::CondVar reader_free_;
  std::vector<Connection> readers_ ABSL_GUARDED_BY(readers_mutex_);  // those not in use

  absl::Mutex writer_mutex_;
  absl::CondVar write_done_;  // never signalled: only its timeout is of use
  Connection writer_ ABSL_GUARDED_BY(writer_mutex_);
  absl::BitGen random_ ABSL_GUARDED_BY(writer_mutex_);
};

absl::Status WithPath(const absl::Status& status, const std::string& path) {
  return MakeError(ReasonOf(status), absl::StrCat(path, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> OpenSqlite(const std::string& path,
                                                     const SqliteOptions& options) {
  std::error_code ignored;  // SQLite says it better when it cannot open the file
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);

  auto writer = SqliteConnection::Open(path, SqliteConnection::Role::kWriter, options.lock_wait);
  if (!writer.ok()) return WithPath(writer.status(), path);
  if (absl::Status status = Migrate(**writer, EmbeddedMigrations()); !status.ok()) {
    return WithPath(status, path);
  }
  std::vector<Connection> readers;
  for (int i = 0; i < std::max(1, options.readers); ++i) {
    auto reader = SqliteConnection::Open(path, SqliteConnection::Role::kReader, options.lock_wait);
    if (!reader.ok()) return WithPath(reader.status(), path);
    readers.push_back(*std::move(reader));
  }
  return std::make_unique<SqliteDatabase>(*std::move(writer), std::move(readers),
                                          options.lock_wait);
}

}  // namespace aibackend::storage
