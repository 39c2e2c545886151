#include "server/usage/usage_filter.h"

#include <set>

#include "gmock/gmock.h"
#include "server/usage/usage_reader.h"
#include "tests/unit/server/usage/ledger_fixture.h"
#include "tests/unit/server/usage/plan_watch.h"

namespace aibackend::usage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kFields = 10;

// All fields that `bits` name, of values that SampleRow("1") has or, where `fits` is false, not.
UsageFilter FilterOf(unsigned bits, bool fits = true) {
  const auto has = [&](int field) { return (bits >> field & 1u) != 0; };
  const std::string other = fits ? "" : "?";
  const RequestRow row = SampleRow("1");
  UsageFilter filter;
  if (has(0)) filter.from = row.created_at;
  if (has(1)) filter.to = row.created_at + absl::Seconds(fits ? 1 : 0);
  if (has(2)) filter.tenant = "acme" + other;
  if (has(3)) filter.user_id = row.user_id + other;
  if (has(4)) filter.key_id = "key" + other;
  if (has(5)) filter.model = row.model + other;
  if (has(6)) filter.endpoint = row.endpoint + other;
  if (has(7)) filter.request_id = row.request_id.value + other;
  if (has(8)) filter.row_id = row.row_id + other;
  if (has(9)) filter.status = fits ? RequestStatus::kOk : RequestStatus::kError;
  return filter;
}

class UsageFilterTest : public LedgerFixture {
 protected:
  void Put(RequestRow row) { ledger_->End(row); }

  void PutSample() {
    RequestRow row = Row("1", RequestStatus::kOk);
    row.tenant = "acme";
    row.key_id = "key";
    Put(row);
    Flush();
  }

  std::vector<std::string> Ids(const UsageFilter& filter) {
    const auto page = ledger_->List(filter, 1000, "");
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> ids;
    for (const RequestRow& row : page->rows) ids.push_back(row.row_id);
    return ids;
  }
};

TEST_F(UsageFilterTest, EveryCombinationFindsWhatFits) {
  PutSample();
  for (unsigned bits = 0; bits < 1u << kFields; ++bits) {
    EXPECT_THAT(Ids(FilterOf(bits)), ElementsAre("1")) << bits;
  }
}

TEST_F(UsageFilterTest, EachFieldAloneExcludesWhatDoesntFit) {
  PutSample();
  for (int field = 1; field < kFields; ++field) {
    EXPECT_THAT(Ids(FilterOf(1u << field, /*fits=*/false)), IsEmpty()) << field;
  }
  UsageFilter later;
  later.from = SampleRow("1").created_at + absl::Microseconds(1);
  EXPECT_THAT(Ids(later), IsEmpty());
}

TEST_F(UsageFilterTest, AnEmptyValueFitsTheRowsThatHaveNone) {
  PutSample();
  Put(Row("keyless", RequestStatus::kOk));
  Flush();
  UsageFilter filter;
  filter.key_id = "";
  EXPECT_THAT(Ids(filter), ElementsAre("keyless"));
}

TEST_F(UsageFilterTest, PagesOfAFilterGoOnWithoutGapsOrRepeats) {
  for (int i = 0; i < 50; ++i) {
    RequestRow row = Row("r" + std::to_string(100 + i), RequestStatus::kOk);
    row.created_at += absl::Microseconds(i / 3);
    row.tenant = i % 2 == 0 ? "acme" : "other";
    row.key_id = i % 4 == 0 ? "key" : "";
    row.request_id = RequestId(i % 5 == 0 ? "repeated" : "once");
    Put(row);
  }
  Flush();
  UsageFilter by_tenant, by_key, by_request;
  by_tenant.tenant = "acme";
  by_key.key_id = "key";
  by_request.request_id = "repeated";
  for (const auto& [filter, count] : {std::pair{UsageFilter(), 50u}, std::pair{by_tenant, 25u},
                                      std::pair{by_key, 13u}, std::pair{by_request, 10u}}) {
    std::vector<std::string> paged;
    std::string token;
    do {
      const auto page = ledger_->List(filter, 7, token);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const RequestRow& row : page->rows) paged.push_back(row.row_id);
      token = page->next_page_token;
    } while (!token.empty());
    EXPECT_EQ(paged, Ids(filter));
    EXPECT_EQ(paged.size(), count);
  }
}

// A scan of the ledger for one tenant's page would take minutes once it is large.
TEST_F(UsageFilterTest, NoFilterOfTenantKeyOrIdScansTheTable) {
  PlanWatch plans(*database_);
  const absl::optional<storage::PageCursor> cursors[] = {absl::nullopt,
                                                         storage::PageCursor{1, "a"}};
  for (unsigned bits = 0; bits < 1u << kFields; ++bits) {
    const UsageFilter filter = FilterOf(bits);
    if (!filter.tenant && !filter.key_id && !filter.request_id && !filter.row_id) continue;
    for (const RowOrder order : {RowOrder::kNewestFirst, RowOrder::kOldestFirst}) {
      for (const auto& after : cursors) {
        ASSERT_TRUE(ReadBatch(plans, filter, order, after, 10, 1000).ok());
        const std::string plan = plans.Take();
        ASSERT_THAT(plan, HasSubstr("SEARCH requests USING")) << bits;
        ASSERT_THAT(plan, Not(HasSubstr("SCAN"))) << bits;
        if (filter.row_id) {
          ASSERT_THAT(plan, HasSubstr("sqlite_autoindex_requests_1 (row_id=?")) << bits;
        } else if (filter.request_id) {
          ASSERT_THAT(plan, HasSubstr("requests_by_id (request_id=?")) << bits;
        } else {
          ASSERT_THAT(plan, HasSubstr(filter.key_id ? "requests_of_key (key_id=?"
                                                    : "requests_of_tenant (tenant=?"))
              << bits;
          ASSERT_THAT(plan, Not(HasSubstr("TEMP B-TREE"))) << bits;  // it is in the index's order
        }
      }
    }
  }
}

TEST_F(UsageFilterTest, AllOtherFiltersGoAlongTheRowsInTheirOrder) {
  PlanWatch plans(*database_);
  ASSERT_TRUE(ReadBatch(plans, {}, RowOrder::kNewestFirst, absl::nullopt, 10, 1000).ok());
  EXPECT_EQ(plans.Take(), "SCAN requests USING INDEX requests_newest\n");
  ASSERT_TRUE(ReadBatch(plans, FilterOf(1u << 5), RowOrder::kNewestFirst,
                        storage::PageCursor{1, "a"}, 10, 9)
                  .ok());
  EXPECT_THAT(plans.Take(), HasSubstr("requests_newest"));
}

TEST_F(UsageFilterTest, APurgeReadsTheOldRowsAlone) {
  PlanWatch plans(*database_);
  RequestRow row = Row("1", RequestStatus::kOk);
  row.prompt = "text";
  Put(row);
  Flush();
  const absl::Time later = row.created_at + absl::Seconds(1);
  int64_t contents = 0;
  for (const absl::optional<std::string>& billed_to :
       {absl::optional<std::string>(), absl::optional<std::string>("there")}) {
    UsagePurge purge(plans, {later, later, billed_to});
    EXPECT_TRUE(*purge.Step());
    EXPECT_FALSE(*purge.Step());
    contents += purge.contents();
    const std::string steps = plans.Take();
    EXPECT_THAT(steps, Not(HasSubstr("SCAN requests")));
    EXPECT_THAT(steps, Not(HasSubstr("requests_rolled")));
  }
  EXPECT_EQ(contents, 1);
}

}  // namespace
}  // namespace aibackend::usage
