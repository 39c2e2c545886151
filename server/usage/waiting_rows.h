// The ledger's rows between a request and the database. Private to this folder.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/storage/database.h"
#include "server/storage/group_writer.h"
#include "server/usage/ledger.h"
#include "server/usage/ledger_spool.h"

namespace aibackend::usage {

// A row that changes while it waits changes in place; once the writer has taken it, a change is
// queued behind it as a row of its own.
//
// While the writer says that the database is away, what waits is appended to the spool, from which
// a next process has it should this one be killed; the queue stays what writes it. A row that finds
// the queue full is in the spool alone, and so are all that come after it until the spool is
// written: the order of a row's changes is kept.
//
// Thread-safe. Shared with what is queued in the writer.
class WaitingRows : public std::enable_shared_from_this<WaitingRows> {
 public:
  WaitingRows(storage::Database& database, storage::GroupWriter& writer, Ledger::Options options);

  // Becomes the writer's hooks; once, before the first Put.
  void Watch();

  void Put(const RequestRow& row, bool ended);

  // Writes what a killed process left in the spool, and empties it. How many rows that were.
  absl::StatusOr<int64_t> ReplayLeft();

  // OK once all that was put before is in the database.
  absl::Status Settle(absl::Duration timeout);

  int64_t lost() const { return lost_; }
  int64_t spooled() const { return spooled_; }

 private:
  struct Entry {
    std::vector<storage::Value> parameters;  // the writer's alone once `taken`, else guarded
    bool ended = false;
    bool taken = false;
    bool spooled = false;  // as it is now
    uint64_t number = 0;   // of the order in the queue

    std::string& text(size_t at) { return std::get<std::string>(parameters[at]); }
    size_t content_bytes() const;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  void Hold(Entry& entry, std::vector<storage::Value> parameters, bool ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Enqueue(const EntryPtr& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SpoolAlone(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Lose(Entry& entry, const char* why);

  // On the writer's thread.
  void Take(Entry& entry);
  void OnDropped(Entry& entry, const absl::Status& status);
  void OnUnavailable();
  bool SpoolSlice(absl::Span<const EntryPtr> slice);
  void OnBatchDone();
  void DrainSpool(uint64_t from, bool only_alone);

  storage::GroupWriter& writer_;
  const Ledger::Options options_;
  const std::unique_ptr<LedgerSpool> spool_;  // null: there is none
  std::atomic<int64_t> lost_{0};
  std::atomic<int64_t> spooled_{0};  // since the start

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, EntryPtr> entries_ ABSL_GUARDED_BY(mutex_);  // by row_id
  std::vector<EntryPtr> taken_ ABSL_GUARDED_BY(mutex_);  // of the batch that is being written
  size_t content_bytes_ ABSL_GUARDED_BY(mutex_) = 0;     // of `entries_`
  uint64_t queued_ ABSL_GUARDED_BY(mutex_) = 0;          // the last entry's number
  uint64_t taken_to_ ABSL_GUARDED_BY(mutex_) = 0;        // the last taken entry's

  bool left_is_replayed_ ABSL_GUARDED_BY(mutex_) = false;
  // The spool holds rows; the queue has written all of them that it has once it took this one.
  bool in_spool_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t spooled_to_ ABSL_GUARDED_BY(mutex_) = 0;
  bool alone_ ABSL_GUARDED_BY(mutex_) = false;       // rows are in the spool that no queue has
  uint64_t drained_to_ ABSL_GUARDED_BY(mutex_) = 0;  // of the spool's bytes
};

}  // namespace aibackend::usage
