#include "server/usage/usage_purge.h"

#include <vector>

#include "server/base/status.h"
#include "spdlog/spdlog.h"

namespace aibackend::usage {
namespace {

using storage::PageCursor;
using storage::Row;
using storage::Session;
using storage::Value;

constexpr char kNextRows[] =
    "SELECT created_at, row_id FROM requests WHERE (created_at, row_id) > ($1, $2)"
    " AND created_at < $3 ORDER BY created_at, row_id LIMIT $4";

// Up to the last of them. Not "rolled > 0", of which there is an index too: every old row is that.
#define AIB_OF_STEP                                                             \
  " WHERE (created_at, row_id) > ($1, $2) AND (created_at, row_id) <= ($3, $4)" \
  " AND status <> 'RUNNING'"

#define AIB_DELETE "DELETE FROM requests" AIB_OF_STEP " AND rolled <> 0"

constexpr char kDelete[] = AIB_DELETE;

// Where there is no cursor the comparison gives NULL, and every row stays. Expressions, for the
// same reason as above.
constexpr char kDeleteBilled[] = AIB_DELETE
    " AND (rolled + 0, row_id || '') <="
    " (SELECT rolled, row_id FROM billing_exports WHERE destination = $5)";

// After that: what of the step is counted and yet there.
constexpr char kUnbilled[] = "SELECT COUNT(*) FROM requests" AIB_OF_STEP " AND rolled <> 0";

constexpr char kEmpty[] = "UPDATE requests SET prompt = '', response = '', detail = ''" AIB_OF_STEP
                          " AND (prompt <> '' OR response <> '' OR detail <> '')";

}  // namespace

absl::StatusOr<bool> UsagePurge::Step() {
  if (bounds_.rows) {
    unbilled_of_step_ = 0;
    AIB_ASSIGN_OR_RETURN(const bool has_more, StepOf(bounds_.rows, &UsagePurge::Delete, rows_));
    unbilled_ += unbilled_of_step_;
    if (!bounds_.rows && unbilled_ > 0) {
      spdlog::warn("usage: {} old rows stay: the billing export hasn't come to them yet",
                   unbilled_);
    }
    return has_more;
  }
  if (bounds_.contents) return StepOf(bounds_.contents, &UsagePurge::Empty, contents_);
  return false;
}

absl::StatusOr<bool> UsagePurge::StepOf(absl::optional<absl::Time>& bound, Change change,
                                        int64_t& count) {
  int64_t found = 0;
  PageCursor last;
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
      AIB_ASSIGN_OR_RETURN(changed, (this->*change)(session, last));
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

absl::StatusOr<int64_t> UsagePurge::Delete(Session& session, const PageCursor& last) {
  const std::vector<Value> step = {after_.at_us, after_.id, last.at_us, last.id};
  if (!bounds_.billed_to) return session.Execute(kDelete, step);
  std::vector<Value> billed = step;
  billed.emplace_back(*bounds_.billed_to);
  AIB_ASSIGN_OR_RETURN(const int64_t deleted, session.Execute(kDeleteBilled, billed));
  AIB_RETURN_IF_ERROR(
      session.Query(kUnbilled, step, [this](const Row& row) { unbilled_of_step_ = row.Int(0); }));
  return deleted;
}

absl::StatusOr<int64_t> UsagePurge::Empty(Session& session, const PageCursor& last) {
  return session.Execute(kEmpty, {after_.at_us, after_.id, last.at_us, last.id});
}

}  // namespace aibackend::usage
