// Totals of the ledger by day, kept up to date, so that a summary needn't read the ledger.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/storage/database.h"
#include "server/usage/periodic.h"

namespace aibackend::usage {

// By what rows of usage_daily are told apart, besides day and tenant: the bits of `grain`.
enum Grain : int {
  kGrainNone = 0,
  kGrainModel = 1,
  kGrainUser = 2,
  kGrainKey = 4,
  kGrainEndpoint = 8,
  kGrainAll = 15,
};

// What is kept: nothing, each alone, and all together. A summary by one of them reads few rows so,
// however many combinations there are.
inline constexpr int kGrains[] = {kGrainNone, kGrainModel,    kGrainUser,
                                  kGrainKey,  kGrainEndpoint, kGrainAll};

// Counts up to `rows_max` rows that ended and aren't counted yet; how many. Marks them with the
// next number of usage_rollups in the same transaction, `session`'s: a row is counted exactly once,
// and whoever reads rows by (rolled, row_id) sees all of a number at once and no lower one later.
absl::StatusOr<int> RollUp(storage::Session& session, int rows_max);

// Thread-safe. A thread counts what has ended every `period`; several processes may do so on one
// file. While the database is away it tries less often.
class Rollup {
 public:
  // Of one transaction, so that the writing connection is soon free for others.
  static constexpr int kRowsMax = 2000;

  struct Options {
    absl::Duration period = absl::Seconds(1);
    // A transaction that takes longer than this is followed by one of half as many rows: rows may
    // hold much content, and SQLite writes all of a row anew.
    absl::Duration transaction_goal = absl::Milliseconds(100);
  };

  // `database` outlives it.
  Rollup(storage::Database& database, Options options);
  // Waits for a transaction under way; what is left is the next process's.
  ~Rollup();

  // Returns when all is counted that had ended, and was in the database, before this call. Fails
  // with DEADLINE_EXCEEDED after `timeout` (the counting goes on), or as the database does.
  absl::Status RollNow(absl::Duration timeout);

 private:
  absl::Status RollAll();

  storage::Database& database_;
  const Options options_;
  std::atomic<bool> stopping_{false};
  int rows_max_ = kRowsMax;  // the thread's
  std::unique_ptr<Periodic> thread_;
};

}  // namespace aibackend::usage
