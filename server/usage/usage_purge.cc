#include "server/usage/usage_purge.h"

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::usage {
namespace {

using storage::Row;
using storage::Session;

constexpr char kNextRows[] =
    "SELECT created_at, row_id FROM requests WHERE (created_at, row_id) > ($1, $2)"
    " AND created_at < $3 ORDER BY created_at, row_id LIMIT $4";

// Up to the last of them. Not "rolled > 0", of which there is an index too: every old row is that.
#define AIB_OF_STEP                                                             \
  " WHERE (created_at, row_id) > ($1, $2) AND (created_at, row_id) <= ($3, $4)" \
  " AND status <> 'RUNNING'"

constexpr char kDelete[] = "DELETE FROM requests" AIB_OF_STEP " AND rolled <> 0";

constexpr char kEmpty[] = "UPDATE requests SET prompt = '', response = '', detail = ''" AIB_OF_STEP
                          " AND (prompt <> '' OR response <> '' OR detail <> '')";

}  // namespace

absl::StatusOr<bool> UsagePurge::Step() {
  if (bounds_.rows) return StepOf(bounds_.rows, kDelete, rows_);
  if (bounds_.contents) return StepOf(bounds_.contents, kEmpty, contents_);
  return false;
}

absl::StatusOr<bool> UsagePurge::StepOf(absl::optional<absl::Time>& bound, const char* change,
                                        int64_t& count) {
  int64_t found = 0;
  storage::PageCursor last;
  // Found by reading, so that the lock is held for the change alone.
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    found = 0;
    return session.Query(kNextRows,
                         {after_.at_us, after_.id, absl::ToUnixMicros(*bound), kStepRows},
                         [&](const Row& row) {
                           ++found;
                           last = {row.Int(0), row.Text(1)};
                         });
  }));
  int64_t changed = 0;
  if (found > 0) {
    AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
      AIB_ASSIGN_OR_RETURN(changed,
                           session.Execute(change, {after_.at_us, after_.id, last.at_us, last.id}));
      return absl::OkStatus();
    }));
  }
  count += changed;
  after_ = last;
  if (found == kStepRows) return true;
  bound.reset();
  after_ = {};
  return bounds_.contents.has_value();
}

}  // namespace aibackend::usage
