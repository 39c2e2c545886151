// Takes old rows, and old content, out of the ledger.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/storage/database.h"
#include "server/storage/page_cursor.h"

namespace aibackend::usage {

// Rows that run are left alone, and so are rows that no roll-up has counted yet: totals keep what
// is deleted. Where usage is billed, rows stay until the billing export has passed them; the log
// says how many old rows stay for that alone. Content is prompt, response and detail; the sizes
// stay.
//
// Belongs to one thread at a time; `database` outlives it. May be begun anew at any time: what was
// done is not done again.
class UsagePurge {
 public:
  // Of rows created before these; absent: none.
  struct Bounds {
    absl::optional<absl::Time> rows;
    absl::optional<absl::Time> contents;
    // The destination of the billing export whose cursor rows wait for; absent: nobody bills.
    absl::optional<std::string> billed_to;
  };

  UsagePurge(storage::Database& database, Bounds bounds)
      : database_(database), bounds_(std::move(bounds)) {}

  // Looks at the next kStepRows old rows, in one small transaction, the rows to delete first. False
  // when none are left. Blocks on the database; after an error the same step is next.
  absl::StatusOr<bool> Step();

  int64_t rows() const { return rows_; }          // deleted so far
  int64_t contents() const { return contents_; }  // emptied so far

  static constexpr int64_t kStepRows = 5000;  // some ten milliseconds of the write lock

 private:
  // Changes the rows of a step; how many.
  using Change = absl::StatusOr<int64_t> (UsagePurge::*)(storage::Session& session,
                                                         const storage::PageCursor& last);
  absl::StatusOr<bool> StepOf(absl::optional<absl::Time>& bound, Change change, int64_t& count);
  absl::StatusOr<int64_t> Delete(storage::Session& session, const storage::PageCursor& last);
  absl::StatusOr<int64_t> Empty(storage::Session& session, const storage::PageCursor& last);

  storage::Database& database_;
  Bounds bounds_;
  storage::PageCursor after_;  // the last row that was looked at
  int64_t rows_ = 0;
  int64_t contents_ = 0;
  int64_t unbilled_ = 0;  // old rows that stay for that alone
  int64_t unbilled_of_step_ = 0;
};

}  // namespace aibackend::usage
