#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "server/usage/ledger.h"
#include "tests/unit/server/usage/ledger_fixture.h"

namespace aibackend::usage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using LedgerReadTest = LedgerFixture;

TEST_F(LedgerReadTest, PagesGoOnWhereTheLastEndedThoughRowsArrive) {
  for (int i = 0; i < 5; ++i) {
    RequestRow row = Row(absl::StrCat("r", i), RequestStatus::kOk);
    row.created_at += absl::Microseconds(i / 2);  // pairs share their time
    ledger_->End(row);
  }
  Flush();
  auto ids = [](const RequestPage& page) {
    std::vector<std::string> result;
    for (const auto& row : page.rows) result.push_back(row.row_id);
    return result;
  };
  auto page = ledger_->List({}, 2, "");
  EXPECT_THAT(ids(*page), ElementsAre("r4", "r3"));
  RequestRow newer = Row("r9", RequestStatus::kOk);
  newer.created_at += absl::Seconds(1);
  ledger_->End(newer);
  Flush();
  page = ledger_->List({}, 2, page->next_page_token);
  EXPECT_THAT(ids(*page), ElementsAre("r2", "r1"));
  page = ledger_->List({}, 2, page->next_page_token);
  EXPECT_THAT(ids(*page), ElementsAre("r0"));
  EXPECT_EQ(page->next_page_token, "");
}

TEST_F(LedgerReadTest, APageEndsWhereItsContentIsTooMuchForAMessage) {
  constexpr int kRows = 300;  // of 64 KiB each: 19 MiB
  for (int i = 0; i < kRows; ++i) {
    RequestRow row = Row(absl::StrCat("r", i), RequestStatus::kOk);
    row.response = std::string(64 << 10, 'x');
    ledger_->End(row);
  }
  Flush();
  std::set<std::string> ids;
  int pages = 0;
  std::string token;
  do {
    const auto page = ledger_->List({}, 1000, token);
    ASSERT_TRUE(page.ok()) << page.status();
    size_t bytes = 0;
    for (const auto& row : page->rows) {
      ids.insert(row.row_id);
      bytes += row.response.size();
    }
    EXPECT_LE(bytes, size_t{9} << 20);
    ASSERT_FALSE(page->rows.empty());
    token = page->next_page_token;
    ++pages;
  } while (!token.empty());
  EXPECT_EQ(ids.size(), size_t{kRows});
  EXPECT_EQ(pages, 3);
}

TEST_F(LedgerReadTest, APageTokenThatIsGarbageIsRefused) {
  EXPECT_EQ(ReasonOf(ledger_->List({}, 10, "garbage").status()), Reason::PAGE_TOKEN_INVALID);
}

TEST_F(LedgerReadTest, TotalsCountASpanByModelUserAndStatus) {
  auto put = [&](const char* id, const char* model, RequestStatus status, int at) {
    RequestRow row = Row(id, status);
    row.model = model;
    row.created_at = absl::FromUnixSeconds(at);
    row.prompt_tokens = 10;
    row.completion_tokens = 1;
    row.cost = NanoUsd{7};
    ledger_->End(row);
  };
  put("a", "m1", RequestStatus::kOk, 100);
  put("b", "m1", RequestStatus::kOk, 199);
  put("c", "m1", RequestStatus::kError, 150);
  put("d", "m2", RequestStatus::kOk, 150);
  put("before", "m1", RequestStatus::kOk, 99);
  put("after", "m1", RequestStatus::kOk, 200);
  Flush();
  const auto totals = ledger_->Totals(absl::FromUnixSeconds(100), absl::FromUnixSeconds(200));
  ASSERT_TRUE(totals.ok()) << totals.status();
  ASSERT_EQ(totals->size(), 3u);
  const UsageTotal& ok = (*totals)[1];
  EXPECT_EQ(ok.model, "m1");
  EXPECT_EQ(ok.status, RequestStatus::kOk);
  EXPECT_EQ(ok.requests, 2);
  EXPECT_EQ(ok.prompt_tokens, 20);
  EXPECT_EQ(ok.completion_tokens, 2);
  EXPECT_EQ(ok.cost, NanoUsd{14});
  EXPECT_THAT(*ledger_->Totals(absl::FromUnixSeconds(300), absl::InfiniteFuture()), IsEmpty());
}

TEST_F(LedgerReadTest, TotalsOfTooManyUsersAreRefused) {
  Execute(absl::StrCat(
      "WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < ", kTotalsMax,
      ") INSERT INTO requests (row_id, request_id, created_at, endpoint, user_id, model, status,"
      " prompt, response, prompt_bytes, response_bytes, prompt_tokens, completion_tokens,"
      " usage_estimated, cost_nano_usd, response_time_ms, ttft_ms, error_reason)"
      " SELECT 'r' || i, '', i, '', 'u' || i, '', 'OK', '', '', 0, 0, 0, 0, 0, 0, 0, 0, '' FROM "
      "n"));
  EXPECT_EQ(ReasonOf(ledger_->Totals(absl::UnixEpoch(), absl::InfiniteFuture()).status()),
            Reason::FIELD_OUT_OF_RANGE);
  const auto fewer =
      ledger_->Totals(absl::UnixEpoch() + absl::Microseconds(1), absl::InfiniteFuture());
  EXPECT_EQ(fewer->size(), kTotalsMax);
}

}  // namespace
}  // namespace aibackend::usage
