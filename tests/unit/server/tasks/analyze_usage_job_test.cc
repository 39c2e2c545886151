#include "server/tasks/analyze_usage_job.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/tasks/fake_job_context.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using usage::RequestStatus;

class AnalyzeUsageJobTest : public ::testing::Test {
 protected:
  AnalyzeUsageJobTest() : database_(*storage::OpenSqlite(folder_.File("test.sqlite"))) {}

  void Put(const std::string& id, const std::string& model, const std::string& user,
           RequestStatus status, absl::Duration ago, const std::string& tenant = "default") {
    usage::RequestRow row;
    row.row_id = id;
    row.created_at = clock_.Now() - ago;
    row.model = model;
    row.user_id = user;
    row.status = status;
    row.tenant = tenant;
    row.prompt_tokens = 30;
    row.completion_tokens = 10;
    row.cost = NanoUsd{250'000'000};
    ledger_.End(row);
  }

  Json Run(const Json& params) {
    EXPECT_TRUE(writer_.Flush(absl::Minutes(1)));
    const auto result = job_.Run(params, context_);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.value_or(Json());
  }

  TempFolder folder_;
  FakeClock clock_;
  std::unique_ptr<storage::Database> database_;
  storage::GroupWriter writer_{*database_, {}};
  usage::Ledger ledger_{*database_, writer_, {}};
  AnalyzeUsageJob job_{ledger_, clock_};
  jobs::FakeJobContext context_;
};

TEST_F(AnalyzeUsageJobTest, TotalsAddUpEveryWay) {
  Put("1", "m1", "ann", RequestStatus::kOk, absl::Hours(1));
  Put("2", "m1", "bob", RequestStatus::kOk, absl::Hours(2));
  Put("3", "m2", "ann", RequestStatus::kError, absl::Hours(3));
  Put("4", "m1", "ann", RequestStatus::kOk, absl::Hours(23));
  Put("old", "m1", "ann", RequestStatus::kOk, absl::Hours(25));
  const Json report = Run({{"days", 1}});
  EXPECT_EQ(report["days"], 1);
  EXPECT_EQ(report["from"], "2023-11-13T22:13:20+00:00");
  EXPECT_EQ(report["to"], "2023-11-14T22:13:20+00:00");
  EXPECT_EQ(report["overall"]["requests"], 4);
  EXPECT_EQ(report["overall"]["total_tokens"], 160);
  EXPECT_EQ(report["overall"]["cost_nano_usd"], 1'000'000'000);
  EXPECT_EQ(report["overall"]["estimated_cost"], 1.0);
  ASSERT_EQ(report["by_model"].size(), 2u);
  EXPECT_EQ(report["by_model"][0]["model"], "m1");
  EXPECT_EQ(report["by_model"][0]["requests"], 3);
  EXPECT_EQ(report["by_model"][0]["requests_percent"], 75.0);
  EXPECT_EQ(report["by_model"][0]["cost_percent"], 75.0);
  EXPECT_EQ(report["by_status"][1]["status"], "ERROR");
  EXPECT_EQ(report["by_status"][1]["requests_percent"], 25.0);
  EXPECT_EQ(report["by_user"][0]["user"], "ann");
  EXPECT_EQ(report["by_user"][0]["prompt_tokens"], 90);
  EXPECT_EQ(report["users"], 2);
}

TEST_F(AnalyzeUsageJobTest, ATenantIsToldItsOwnTotalsOnly) {
  Put("1", "m1", "ann", RequestStatus::kOk, absl::Hours(1), "acme");
  Put("2", "m1", "bob", RequestStatus::kOk, absl::Hours(1), "other");
  Put("3", "m2", "cid", RequestStatus::kOk, absl::Hours(1), "acme");
  const Json report = Run({{"days", 1}, {"tenant", "acme"}});
  EXPECT_EQ(report["overall"]["requests"], 2);
  EXPECT_EQ(report["users"], 2);
  EXPECT_EQ(report["by_model"].size(), 2u);
  EXPECT_EQ(Run({{"tenant", "nobody"}})["overall"]["requests"], 0);
  EXPECT_EQ(Run({{"tenant", ""}})["overall"]["requests"], 3);
}

TEST_F(AnalyzeUsageJobTest, NothingIsZeroNotAnError) {
  const Json report = Run(Json::object());
  EXPECT_EQ(report["days"], 30);
  EXPECT_EQ(report["overall"]["requests"], 0);
  EXPECT_EQ(report["overall"]["requests_percent"], 0);
  EXPECT_EQ(report["by_model"], Json::array());
}

TEST_F(AnalyzeUsageJobTest, ListsAreCutAndTheirWholeLengthTold) {
  for (int i = 0; i < 130; ++i) {
    Put(absl::StrCat("r", i), "m", absl::StrCat("user", i), RequestStatus::kOk, absl::Hours(1));
  }
  const Json report = Run(Json());
  EXPECT_EQ(report["by_user"].size(), AnalyzeUsageJob::kListMax);
  EXPECT_EQ(report["users"], 130);
}

TEST_F(AnalyzeUsageJobTest, AJobThatShouldStopStops) {
  context_.stop_after = 0;
  EXPECT_EQ(ReasonOf(job_.Run(Json(), context_).status()), Reason::DRAINING);
}

TEST_F(AnalyzeUsageJobTest, ParamsAreCheckedByName) {
  EXPECT_TRUE(job_.Validate(Json()).ok());
  EXPECT_TRUE(job_.Validate({{"days", 3650}}).ok());
  EXPECT_TRUE(job_.Validate({{"days", 7.0}}).ok());
  for (const Json& days : {Json(0), Json(3651), Json(-1e300), Json(1e300)}) {
    const absl::Status status = job_.Validate({{"days", days}});
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_OUT_OF_RANGE) << days;
    EXPECT_EQ(FieldOf(status), "params.days");
  }
  for (const Json& days : {Json("7"), Json(1.5), Json(true), Json::array()}) {
    EXPECT_EQ(ReasonOf(job_.Validate({{"days", days}})), Reason::WRONG_TYPE) << days;
  }
  EXPECT_EQ(FieldOf(job_.Validate({{"since", 1}})), "params.since");
  EXPECT_EQ(FieldOf(job_.Validate({{"tenant", 1}})), "params.tenant");
  EXPECT_EQ(FieldOf(job_.Validate(Json::array())), "params");
}

}  // namespace
}  // namespace aibackend::tasks
