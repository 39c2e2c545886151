// The ledger's spool: rows that go to disk while the database is away, and from there into it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/storage/database.h"
#include "server/usage/row_spool.h"
#include "server/usage/spooled_row.h"

namespace aibackend::usage {

// Thread-safe; Replay is one thread's at a time.
class LedgerSpool {
 public:
  LedgerSpool(storage::Database& database, RowSpool::Options options)
      : database_(database), spool_(std::move(options)) {}

  // Appends rows of EncodeSpooledRow. False where that fails; the log has it as an error, once a
  // minute.
  bool Append(absl::Span<const std::string> rows);
  void Sync();

  struct Step {
    uint64_t next = 0;  // where to go on; 0 is the beginning
    bool at_end = false;
    int64_t written = 0;
    int64_t lost = 0;  // damaged, or refused by the database; each is in the log
  };
  // Writes the next rows, in one transaction, and leaves them in the spool: to write them again
  // changes nothing. `only_alone`: a queue writes the others. Fails where the database is
  // unavailable or the file can't be read; nothing was written then, or only in part.
  absl::StatusOr<Step> Replay(uint64_t from, bool only_alone);

  // Empties the spool unless rows came behind `end`. True: it is empty, or as good as that: the
  // disk doesn't let go of it, which the log says, and its rows are written again at a start.
  bool ClearIfEndsAt(uint64_t end);
  void Clear();

 private:
  void Complain(const absl::Status& status);
  // Each on its own: those that the database refuses are lost.
  absl::Status WriteSingly(absl::Span<const SpooledRow> rows, Step& step);

  storage::Database& database_;
  RowSpool spool_;
  absl::Mutex mutex_;
  absl::Time complained_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace aibackend::usage
