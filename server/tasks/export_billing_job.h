// The job kind "export_billing": sends what was used to where it is billed, each request once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "server/base/clock.h"
#include "server/jobs/job.h"
#include "server/storage/database.h"
#include "server/tasks/billing_sink.h"
#include "server/usage/rollup.h"

namespace aibackend::tasks {

enum class BillingMetric { kTokens, kNanoUsd, kRequests };

// "tokens", "nano_usd", "requests"; nullopt for anything else.
absl::optional<BillingMetric> BillingMetricOf(absl::string_view name);

// No params. Takes the requests that had ended when it began, in the order in which they were
// counted (rolled, row_id), from the first that `destination` hasn't accepted. A request without a
// value (no tokens, no cost, an unknown price where money is asked for, the answer of another
// request given again where requests are) is skipped.
// Result: {"events", "skipped"}, of the attempt that came to the end.
//
// The cursor in billing_exports moves only over a prefix that was accepted, and never back, so none
// is left out whatever is killed when. What was under way then, up to kEventsInFlightMax events, is
// sent again, with the same identifier: "aib_" and the row's id. The other side must still know it:
// Stripe enforces an identifier for at least 24 hours, so a job that was killed amid events and
// goes on later than that may bill those few twice.
class ExportBillingJob final : public jobs::JobKind {
 public:
  static constexpr int kEventsInFlightMax = 8;  // and between two moves of the cursor
  static constexpr int kRowsMax = 500;          // read at a time

  struct Options {
    std::string destination;  // whose cursor: what makes two exports different ones
    BillingMetric metric = BillingMetric::kTokens;
    // Requests that are older are skipped. (Stripe takes no event older than 35 days, and one that
    // it refuses would stop the export there.)
    absl::Duration age_max = absl::InfiniteDuration();
  };

  // All outlive it.
  ExportBillingJob(storage::Database& database, usage::Rollup& rollup, BillingSink& sink,
                   Clock& clock, Options options);

  std::string name() const override { return "export_billing"; }
  bool needs_admin() const override { return true; }
  absl::Status Validate(const jobs::Json& params) const override;
  absl::StatusOr<jobs::Json> Run(const jobs::Json& params, jobs::JobContext& context) override;

 private:
  struct Cursor {
    int64_t rolled = 0;
    std::string row_id;
  };
  struct Entry {
    Cursor cursor;  // of it
    absl::optional<BillingEvent> event;
  };

  absl::Status Open(Cursor& cursor, int64_t& last, int64_t& rows);
  absl::StatusOr<std::vector<Entry>> ReadEntries(const Cursor& after, int64_t last);
  static absl::Span<const Entry> WindowOf(absl::Span<const Entry> entries);
  absl::Status SendAll(absl::Span<const Entry> entries, jobs::JobContext& context,
                       size_t& accepted);
  absl::Status Advance(const Cursor& cursor);

  storage::Database& database_;
  usage::Rollup& rollup_;
  BillingSink& sink_;
  Clock& clock_;
  const Options options_;
};

}  // namespace aibackend::tasks
