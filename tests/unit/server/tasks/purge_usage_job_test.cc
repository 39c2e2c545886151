#include "server/tasks/purge_usage_job.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/tasks/fake_job_context.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using storage::Session;
using ::testing::UnorderedElementsAre;
using usage::RequestStatus;

constexpr absl::Duration kDay = absl::Hours(24);

class PurgeUsageJobTest : public ::testing::Test {
 protected:
  PurgeUsageJobTest() : database_(*storage::OpenSqlite(folder_.File("test.sqlite"))) {}

  void Put(const std::string& id, absl::Duration ago, RequestStatus status = RequestStatus::kOk) {
    usage::RequestRow row;
    row.row_id = id;
    row.created_at = clock_.Now() - ago;
    row.status = status;
    row.prompt = "question";
    row.response = "answer";
    row.detail = "{}";
    if (status == RequestStatus::kRunning) {
      ledger_.Begin(row);
    } else {
      ledger_.End(row);
    }
  }

  void Execute(const std::string& sql) {
    const absl::Status status =
        database_->Write([&](Session& session) { return session.Execute(sql).status(); });
    ASSERT_TRUE(status.ok()) << status;
  }

  // As a roll-up would mark all that has ended.
  void RollUp() {
    ASSERT_TRUE(writer_.Flush(absl::Minutes(1)));
    Execute("UPDATE requests SET rolled = 1 WHERE status <> 'RUNNING'");
  }

  Json Run(const Json& params) { return Run(job_, params); }
  Json Run(PurgeUsageJob& job, const Json& params) {
    const auto result = job.Run(params, context_);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.value_or(Json());
  }

  // "id", or "id+" where the content is there.
  std::vector<std::string> Rows() {
    std::vector<std::string> rows;
    const auto page = ledger_.List({}, 1000, "");
    for (const auto& row : page->rows) {
      EXPECT_EQ(row.prompt.empty(), row.response.empty());
      EXPECT_EQ(row.prompt.empty(), row.detail.empty());
      EXPECT_EQ(row.prompt_bytes, 8);
      rows.push_back(row.row_id + (row.prompt.empty() ? "" : "+"));
    }
    return rows;
  }

  TempFolder folder_;
  FakeClock clock_;
  std::unique_ptr<storage::Database> database_;
  storage::GroupWriter writer_{*database_, {}};
  usage::Ledger ledger_{*database_, writer_, {}};
  PurgeUsageJob job_{ledger_, clock_};
  jobs::FakeJobContext context_;
};

TEST_F(PurgeUsageJobTest, OldRowsGoAndYoungerOnesLoseTheirContent) {
  Put("gone", 31 * kDay);
  Put("emptied", 8 * kDay);
  Put("kept", 6 * kDay);
  RollUp();
  EXPECT_EQ(Run({{"days", 30}, {"content_days", 7.0}}), Json({{"rows", 1}, {"contents", 1}}));
  EXPECT_THAT(Rows(), UnorderedElementsAre("emptied", "kept+"));
  EXPECT_EQ(Run({{"days", 30}, {"content_days", 7}}), Json({{"rows", 0}, {"contents", 0}}));
}

TEST_F(PurgeUsageJobTest, OneOfTheTwoIsEnough) {
  Put("a", 8 * kDay);
  RollUp();
  EXPECT_EQ(Run({{"content_days", 7}}), Json({{"rows", 0}, {"contents", 1}}));
  EXPECT_THAT(Rows(), UnorderedElementsAre("a"));
  EXPECT_EQ(Run({{"days", 7}}), Json({{"rows", 1}, {"contents", 0}}));
  EXPECT_THAT(Rows(), UnorderedElementsAre());
}

TEST_F(PurgeUsageJobTest, ARowThatRunsOrThatNoTotalHasStays) {
  Put("runs", 400 * kDay, RequestStatus::kRunning);
  RollUp();
  Put("not rolled up", 400 * kDay);
  ASSERT_TRUE(writer_.Flush(absl::Minutes(1)));
  EXPECT_EQ(Run({{"days", 1}, {"content_days", 1}}), Json({{"rows", 0}, {"contents", 1}}));
  EXPECT_THAT(Rows(), UnorderedElementsAre("runs+", "not rolled up"));
}

TEST_F(PurgeUsageJobTest, WhereUsageIsBilledARowStaysUntilItWasExportedThere) {
  for (const char* id : {"a", "b", "c"}) Put(id, 31 * kDay);
  RollUp();
  Execute("UPDATE requests SET rolled = 2 WHERE row_id = 'a'");
  PurgeUsageJob job(ledger_, clock_, "there");
  EXPECT_EQ(Run(job, {{"days", 30}}), Json({{"rows", 0}, {"contents", 0}}));
  Execute("INSERT INTO billing_exports (destination, rolled, row_id) VALUES ('elsewhere', 9, '')");
  EXPECT_EQ(Run(job, {{"days", 30}}), Json({{"rows", 0}, {"contents", 0}}));
  Execute("INSERT INTO billing_exports (destination, rolled, row_id) VALUES ('there', 1, 'b')");
  EXPECT_EQ(Run(job, {{"days", 30}, {"content_days", 30}}), Json({{"rows", 1}, {"contents", 2}}));
  EXPECT_THAT(Rows(), UnorderedElementsAre("a", "c"));  // content needs no bill
  Execute("UPDATE billing_exports SET rolled = 2, row_id = 'a' WHERE destination = 'there'");
  EXPECT_EQ(Run(job, {{"days", 30}}), Json({{"rows", 2}, {"contents", 0}}));
}

TEST_F(PurgeUsageJobTest, ALotGoesInSteps) {
  constexpr int kRows = 2 * usage::UsagePurge::kStepRows + 7;
  for (int i = 0; i < kRows; ++i) {
    Put(absl::StrCat("r", i), (i % 2 == 0 ? 10 : 3) * kDay + i * absl::Microseconds(1));
  }
  RollUp();
  EXPECT_EQ(Run({{"days", 7}, {"content_days", 2}}),
            Json({{"rows", kRows - kRows / 2}, {"contents", kRows / 2}}));
  EXPECT_GE(context_.alive_questions, 4);
  EXPECT_EQ(context_.progress.back().done, kRows);
}

TEST_F(PurgeUsageJobTest, AJobThatShouldStopStopsBetweenItsSteps) {
  Put("a", 8 * kDay);
  RollUp();
  context_.stop_after = 1;  // the rows' step, and not the contents'
  EXPECT_EQ(ReasonOf(job_.Run({{"days", 30}, {"content_days", 7}}, context_).status()),
            Reason::DRAINING);
  EXPECT_THAT(Rows(), UnorderedElementsAre("a+"));
}

TEST_F(PurgeUsageJobTest, ParamsAreCheckedByName) {
  EXPECT_TRUE(job_.Validate({{"days", 36500}}).ok());
  EXPECT_TRUE(job_.Validate({{"content_days", 1.0}, {"days", nullptr}}).ok());
  for (const Json& params : {Json(), Json::object(), Json({{"days", nullptr}})}) {
    EXPECT_EQ(ReasonOf(job_.Validate(params)), Reason::FIELD_REQUIRED) << params;
  }
  for (const char* name : {"days", "content_days"}) {
    for (const Json& days : {Json(0), Json(36501), Json(-1e300)}) {
      const absl::Status status = job_.Validate({{name, days}});
      EXPECT_EQ(ReasonOf(status), Reason::FIELD_OUT_OF_RANGE) << days;
      EXPECT_EQ(FieldOf(status), absl::StrCat("params.", name));
    }
    EXPECT_EQ(ReasonOf(job_.Validate({{name, "7"}})), Reason::WRONG_TYPE);
    EXPECT_EQ(ReasonOf(job_.Validate({{name, 1.5}})), Reason::WRONG_TYPE);
  }
  EXPECT_EQ(FieldOf(job_.Validate({{"tenant", "t"}, {"days", 1}})), "params.tenant");
  EXPECT_EQ(FieldOf(job_.Validate(Json::array())), "params");
}

}  // namespace
}  // namespace aibackend::tasks
