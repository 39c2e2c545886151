#include "server/base/status.h"

#include <set>

#include "gtest/gtest.h"

namespace aibackend {
namespace {

TEST(Status, EveryReasonHasARowInTheTable) {
  const auto* reasons = v1::Error::Reason_descriptor();
  for (int i = 0; i < reasons->value_count(); ++i) {
    const auto reason = static_cast<v1::Error::Reason>(reasons->value(i)->number());
    const v1::ErrorMapping& row = MappingOf(reason);
    EXPECT_GE(row.code(), 1) << ReasonName(reason);
    EXPECT_LE(row.code(), 16) << ReasonName(reason);
    EXPECT_GE(row.http_status(), 400) << ReasonName(reason);
    EXPECT_LE(row.http_status(), 599) << ReasonName(reason);
    EXPECT_EQ(&row, &MappingOf(reason)) << "rows are not copied";
  }
}

TEST(Status, ARetryableReasonIsNeverTheClientsMistake) {
  const auto* reasons = v1::Error::Reason_descriptor();
  const std::set<int> worth_a_retry = {408, 429, 502, 503, 504};
  for (int i = 0; i < reasons->value_count(); ++i) {
    const v1::ErrorMapping& row =
        MappingOf(static_cast<v1::Error::Reason>(reasons->value(i)->number()));
    if (row.retryable()) {
      EXPECT_TRUE(worth_a_retry.count(row.http_status())) << reasons->value(i)->name();
    }
  }
}

TEST(Status, AnErrorKeepsItsReasonFieldAndRetryTime) {
  absl::Status status = MakeError(Reason::TOP_K_OUT_OF_RANGE, "top_k is 0", "top_k");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), Reason::TOP_K_OUT_OF_RANGE);
  EXPECT_EQ(FieldOf(status), "top_k");
  EXPECT_FALSE(RetryAfterOf(status));

  status = WithRetryAfter(MakeError(Reason::OVERLOADED, "busy"), absl::Milliseconds(1500));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryAfterOf(status), absl::Milliseconds(1500));
  EXPECT_EQ(FieldOf(status), "");
}

TEST(Status, AForeignStatusGetsTheNearestReason) {
  EXPECT_EQ(ReasonOf(absl::CancelledError("x")), Reason::CANCELLED);
  EXPECT_EQ(ReasonOf(absl::DeadlineExceededError("x")), Reason::DEADLINE_EXCEEDED);
  EXPECT_EQ(ReasonOf(absl::DataLossError("x")), Reason::INTERNAL);
}

}  // namespace
}  // namespace aibackend
