#include "server/usage/ledger.h"

#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "tests/unit/server/usage/ledger_fixture.h"

namespace aibackend::usage {
namespace {

using LedgerTest = LedgerFixture;

TEST_F(LedgerTest, ARowComesBackAsItEnded) {
  RequestRow row = Row("a", RequestStatus::kError);
  row.prompt = "question";
  row.response = "answer";
  row.prompt_tokens = 3;
  row.completion_tokens = 4;
  row.usage_estimated = true;
  row.cost = NanoUsd{5'000'000'000'000};
  row.response_time_ms = 12;
  row.ttft_ms = 7;
  row.error_reason = "INTERNAL";
  row.cached_tokens = 2;
  row.reasoning_tokens = 1;
  row.upstream_calls = 6;
  row.replay_of = "req-first";
  row.price_unknown = true;
  row.price_version = 12;
  row.tenant = "acme";
  row.key_id = "key_1";
  row.cache = "exact";
  row.guardrails = "pii:masked";
  row.shadow_limit = "key.tokens_per_day";
  row.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  row.detail = "{\"timeline\":[]}";
  row.reserved_tokens = 90;  // an end holds nothing
  row.reserved_money = NanoUsd{91};
  ledger_->Begin(Row("a"));
  ledger_->End(row);
  Flush();
  const auto rows = All();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].request_id, row.request_id);
  EXPECT_EQ(rows[0].created_at, row.created_at);
  EXPECT_EQ(rows[0].endpoint, "Chat");
  EXPECT_EQ(rows[0].user_id, "user");
  EXPECT_EQ(rows[0].model, "model");
  EXPECT_EQ(rows[0].status, RequestStatus::kError);
  EXPECT_EQ(rows[0].prompt, "question");
  EXPECT_EQ(rows[0].response, "answer");
  EXPECT_EQ(rows[0].prompt_bytes, 8);
  EXPECT_EQ(rows[0].response_bytes, 6);
  EXPECT_EQ(rows[0].prompt_tokens, 3);
  EXPECT_EQ(rows[0].completion_tokens, 4);
  EXPECT_TRUE(rows[0].usage_estimated);
  EXPECT_EQ(rows[0].cost, row.cost);
  EXPECT_EQ(rows[0].response_time_ms, 12);
  EXPECT_EQ(rows[0].ttft_ms, 7);
  EXPECT_EQ(rows[0].error_reason, "INTERNAL");
  EXPECT_EQ(rows[0].cached_tokens, 2);
  EXPECT_EQ(rows[0].reasoning_tokens, 1);
  EXPECT_EQ(rows[0].upstream_calls, 6);
  EXPECT_EQ(rows[0].replay_of, "req-first");
  EXPECT_TRUE(rows[0].price_unknown);
  EXPECT_EQ(rows[0].price_version, 12);
  EXPECT_EQ(rows[0].tenant, "acme");
  EXPECT_EQ(rows[0].key_id, "key_1");
  EXPECT_EQ(rows[0].cache, "exact");
  EXPECT_EQ(rows[0].guardrails, "pii:masked");
  EXPECT_EQ(rows[0].shadow_limit, "key.tokens_per_day");
  EXPECT_EQ(rows[0].trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(rows[0].detail, "{\"timeline\":[]}");
  EXPECT_EQ(rows[0].reserved_tokens, 0);
  EXPECT_EQ(rows[0].reserved_money, NanoUsd{0});
}

TEST_F(LedgerTest, WhatARunningRowReservesIsWrittenWhetherItWaitsOrWasWritten) {
  RequestRow row = Row("a");
  ledger_->Begin(row);
  row.reserved_tokens = 100;
  row.reserved_money = NanoUsd{200};
  ledger_->Begin(row);  // changes in place
  Flush();
  ASSERT_EQ(All().size(), 1u);
  EXPECT_EQ(All()[0].reserved_tokens, 100);
  EXPECT_EQ(All()[0].reserved_money, NanoUsd{200});
  row.reserved_tokens = 300;
  ledger_->Begin(row);  // is a write of its own
  Flush();
  ASSERT_EQ(All().size(), 1u);
  EXPECT_EQ(All()[0].reserved_tokens, 300);
  ledger_->End(Row("a", RequestStatus::kOk));
  Flush();
  EXPECT_EQ(All()[0].reserved_tokens, 0);
  EXPECT_EQ(All()[0].reserved_money, NanoUsd{0});
}

TEST_F(LedgerTest, WhatHasEndedStaysAsItEnded) {
  RequestRow other = Row("a", RequestStatus::kCancelled);
  other.prompt_tokens = 99;
  for (const bool is_written : {false, true}) {
    const std::string id = is_written ? "written" : "waits";
    other.row_id = id;
    ledger_->Begin(Row(id));
    ledger_->End(Row(id, RequestStatus::kOk));
    if (is_written) Flush();
    ledger_->Begin(Row(id));
    ledger_->End(other);
    Flush();
  }
  ASSERT_EQ(All().size(), 2u);
  for (const RequestRow& row : All()) {
    EXPECT_EQ(row.status, RequestStatus::kOk) << row.row_id;
    EXPECT_EQ(row.prompt_tokens, 0) << row.row_id;
  }
}

TEST_F(LedgerTest, AnErrorWithAnotherReasonIsAnEndToo) {
  RequestRow row = Row("a", RequestStatus::kError);
  row.error_reason = "INTERNAL";
  ledger_->End(row);
  Flush();
  ledger_->End(Row("a", RequestStatus::kOk));
  Flush();
  EXPECT_EQ(All()[0].status, RequestStatus::kError);
}

TEST_F(LedgerTest, ARowThatWasTakenForKilledIsSetRightWhenItEndsAndCountedOnce) {
  ledger_->Begin(Row("new"));
  ledger_->Begin(Row("counted"));
  Flush();
  ASSERT_EQ(*ledger_->RecoverInterrupted(absl::UnixEpoch(), absl::Minutes(1)), 2);
  Execute("UPDATE requests SET rolled = 4 WHERE row_id = 'counted'");
  ledger_->End(Row("new", RequestStatus::kOk));
  ledger_->End(Row("counted", RequestStatus::kOk));
  Flush();
  for (const RequestRow& row : All()) EXPECT_EQ(row.status, RequestStatus::kOk) << row.row_id;
  EXPECT_EQ(Number("SELECT rolled FROM requests WHERE row_id = 'new'"), 0);
  EXPECT_EQ(Number("SELECT rolled FROM requests WHERE row_id = 'counted'"), 4);
}

TEST_F(LedgerTest, WhatAKilledProcessHadReservedIsHeldForTheLease) {
  RequestRow row = Row("tokens");
  row.reserved_tokens = 5;
  ledger_->Begin(row);
  row = Row("money");
  row.reserved_money = NanoUsd{6};
  ledger_->Begin(row);
  ledger_->Begin(Row("nothing"));
  Flush();
  const absl::Time now = absl::FromUnixSeconds(1'700'000'100);
  ASSERT_EQ(*ledger_->RecoverInterrupted(now, absl::Minutes(10)), 3);
  const std::string until = absl::StrCat(absl::ToUnixMicros(now + absl::Minutes(10)));
  EXPECT_EQ(Number("SELECT COUNT(*) FROM requests WHERE reserved_until = " + until), 2);
  EXPECT_EQ(Number("SELECT reserved_until FROM requests WHERE row_id = 'nothing'"), 0);
  ledger_->End(Row("tokens", RequestStatus::kOk));  // it lives, and holds nothing any more
  Flush();
  EXPECT_EQ(Number("SELECT reserved_until FROM requests WHERE row_id = 'tokens'"), 0);
}

TEST_F(LedgerTest, ARowThatBeginsAndEndsWithinAnIntervalIsWrittenOnce) {
  ASSERT_TRUE(database_
                  ->Write([](storage::Session& s) -> absl::Status {
                    AIB_RETURN_IF_ERROR(
                        s.Execute("CREATE TABLE writes (id INTEGER PRIMARY KEY)").status());
                    AIB_RETURN_IF_ERROR(s.Execute("CREATE TRIGGER i AFTER INSERT ON requests BEGIN"
                                                  " INSERT INTO writes VALUES (NULL); END")
                                            .status());
                    return s
                        .Execute(
                            "CREATE TRIGGER u AFTER UPDATE ON requests BEGIN"
                            " INSERT INTO writes VALUES (NULL); END")
                        .status();
                  })
                  .ok());
  ledger_->Begin(Row("a"));
  ledger_->End(Row("a", RequestStatus::kOk));
  Flush();
  int64_t writes = 0;
  ASSERT_TRUE(database_
                  ->Read([&](storage::Session& s) {
                    return s.Query("SELECT COUNT(*) FROM writes", {},
                                   [&](const storage::Row& row) { writes = row.Int(0); });
                  })
                  .ok());
  EXPECT_EQ(writes, 1);
}

TEST_F(LedgerTest, ARowCommittedRunningIsUpdatedWhenItEnds) {
  ledger_->Begin(Row("a"));
  Flush();
  ASSERT_EQ(All().size(), 1u);
  EXPECT_EQ(All()[0].status, RequestStatus::kRunning);
  ledger_->End(Row("a", RequestStatus::kOk));
  Flush();
  ASSERT_EQ(All().size(), 1u);
  EXPECT_EQ(All()[0].status, RequestStatus::kOk);
}

TEST_F(LedgerTest, AnEndDuringTheWriteOfItsBeginningIsKept) {
  // Holds the transaction open after it has taken the beginning.
  absl::Notification taken, ended;
  ledger_->Begin(Row("a"));
  ASSERT_TRUE(writer_->Enqueue([&](storage::Session&) {
    taken.Notify();
    ended.WaitForNotification();
    return absl::OkStatus();
  }));
  std::thread flush([&] { EXPECT_TRUE(writer_->Flush(kLong)); });
  taken.WaitForNotification();
  ledger_->End(Row("a", RequestStatus::kOk));
  ended.Notify();
  flush.join();
  Flush();
  ASSERT_EQ(All().size(), 1u);
  EXPECT_EQ(All()[0].status, RequestStatus::kOk);
}

TEST_F(LedgerTest, AWriteThatRunsAgainWritesTheSame) {
  int runs = 0;
  ledger_->Begin(Row("a"));
  ASSERT_TRUE(writer_->Enqueue([&](storage::Session&) {
    ++runs;
    return MakeError(Reason::INTERNAL, "breaks the batch");
  }));
  ledger_->End(Row("b", RequestStatus::kOk));
  Flush();
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(All().size(), 2u);
  EXPECT_EQ(ledger_->lost_rows(), 0);
}

TEST_F(LedgerTest, RacingRequestsLeaveOneRowEach) {
  Start({absl::Milliseconds(1), 64, 1'000'000});
  std::vector<std::thread> threads;
  for (int t = 0; t < 64; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string id = absl::StrCat(t, ".", i);
        ledger_->Begin(Row(id));
        const bool written = i % 3 != 0 || writer_->Flush(kLong);
        EXPECT_TRUE(written);
        ledger_->End(Row(id, RequestStatus::kOk));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  Flush();
  std::set<std::string> ids;
  int64_t ok = 0;
  std::string token;
  do {
    auto page = ledger_->List({}, 500, token);
    ASSERT_TRUE(page.ok());
    for (const RequestRow& row : page->rows) {
      EXPECT_TRUE(ids.insert(row.row_id).second) << row.row_id;
      ok += row.status == RequestStatus::kOk;
    }
    token = page->next_page_token;
  } while (!token.empty());
  EXPECT_EQ(ids.size(), 64u * 20u);
  EXPECT_EQ(ok, 64 * 20);
}

TEST_F(LedgerTest, WhatAKilledProcessLeftRunningIsMarked) {
  ledger_->Begin(Row("ended"));
  ledger_->Begin(Row("killed"));
  ledger_->End(Row("ended", RequestStatus::kOk));
  Flush();  // and then it is gone, without a word
  auto reopened = *storage::OpenSqlite(folder_.File("test.sqlite"));
  storage::GroupWriter writer(*reopened, kByHand);
  Ledger next(*reopened, writer, {});
  const auto recovered =
      next.RecoverInterrupted(absl::FromUnixSeconds(1'700'000'100), absl::Minutes(10));
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_EQ(*recovered, 1);
  const auto page = next.List({}, 10, "");
  ASSERT_EQ(page->rows.size(), 2u);
  EXPECT_EQ(page->rows[0].row_id, "killed");
  EXPECT_EQ(page->rows[0].status, RequestStatus::kError);
  EXPECT_EQ(page->rows[0].error_reason, "INTERRUPTED");
  EXPECT_EQ(page->rows[1].status, RequestStatus::kOk);
}

TEST_F(LedgerTest, TheWriterMayOutliveTheLedger) {
  ledger_->End(Row("a", RequestStatus::kOk));
  ledger_.reset();
  Flush();
  ledger_ = std::make_unique<Ledger>(*database_, *writer_, Ledger::Options{});
  EXPECT_EQ(All().size(), 1u);
}

TEST_F(LedgerTest, ContentIsCutOnACharacterAndItsSizeKept) {
  Start(kByHand, {ContentPolicy::kOn, 7});
  RequestRow row = Row("a", RequestStatus::kOk);
  row.prompt = "日本語";  // 9 bytes
  row.response = "short";
  row.response_bytes = 5000;  // the caller kept less than was sent
  ledger_->End(row);
  Flush();
  EXPECT_EQ(All()[0].prompt, "日本");
  EXPECT_EQ(All()[0].prompt_bytes, 9);
  EXPECT_EQ(All()[0].response, "short");
  EXPECT_EQ(All()[0].response_bytes, 5000);
}

TEST_F(LedgerTest, ContentStaysOutWhereItIsNotLogged) {
  Start(kByHand, {ContentPolicy::kOff});
  RequestRow row = Row("a", RequestStatus::kOk);
  row.prompt = "secret";
  ledger_->End(row);
  Flush();
  EXPECT_EQ(All()[0].prompt, "");
  EXPECT_EQ(All()[0].prompt_bytes, 6);
}

TEST_F(LedgerTest, HashedContentTellsEqualTextsAndNoMore) {
  Start(kByHand, {ContentPolicy::kHashed, 7});
  RequestRow row = Row("a", RequestStatus::kOk);
  row.prompt = "abc";
  row.response = std::string(5000, 'x');
  ledger_->End(row);
  ledger_->End(Row("nothing", RequestStatus::kOk));
  Flush();
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(All()[1].prompt,
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(All()[1].prompt_bytes, 3);
  EXPECT_EQ(All()[1].response.size(), 71u);
  EXPECT_EQ(All()[1].response_bytes, 5000);
  EXPECT_EQ(All()[0].prompt, "");
}

TEST_F(LedgerTest, ADetailThatIsTooLongIsLeftOutNotCut) {
  RequestRow row = Row("a", RequestStatus::kOk);
  row.detail = std::string(64 << 10, ' ');
  ledger_->End(row);
  row = Row("b", RequestStatus::kOk);
  row.detail = std::string((64 << 10) + 1, ' ');
  ledger_->End(row);
  Flush();
  EXPECT_EQ(All()[0].detail, "");
  EXPECT_EQ(All()[1].detail.size(), size_t{64} << 10);
}

TEST_F(LedgerTest, ContentThatWaitsIsBoundedAndItsRowsAreKept) {
  Start(kByHand, {ContentPolicy::kOn, 64, 10});
  for (const char* id : {"a", "b"}) {
    RequestRow row = Row(id, RequestStatus::kOk);
    row.prompt = "12345678";
    ledger_->Begin(row);
    ledger_->End(row);
  }
  Flush();
  RequestRow after = Row("c", RequestStatus::kOk);  // what was written waits no more
  after.prompt = "12345678";
  ledger_->End(after);
  Flush();
  const auto rows = All();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].prompt, "12345678");
  EXPECT_EQ(rows[1].prompt, "");
  EXPECT_EQ(rows[1].prompt_bytes, 8);
  EXPECT_EQ(rows[2].prompt, "12345678");
}

TEST_F(LedgerTest, AFullQueueLosesTheEndAndCountsIt) {
  Start({kLong, 1'000'000, 1});
  ledger_->Begin(Row("a"));
  ledger_->Begin(Row("b"));  // refused; its end may find room
  EXPECT_EQ(ledger_->lost_rows(), 0);
  ledger_->End(Row("b", RequestStatus::kOk));
  EXPECT_EQ(ledger_->lost_rows(), 1);
  ledger_->End(Row("a", RequestStatus::kOk));  // is there already, needs no room
  EXPECT_EQ(ledger_->lost_rows(), 1);
  Flush();
  ASSERT_EQ(All().size(), 1u);
  EXPECT_EQ(All()[0].status, RequestStatus::kOk);
}

TEST_F(LedgerTest, NamesThatAClientGaveAreCut) {
  RequestRow row = Row("r", RequestStatus::kError);
  row.user_id = std::string(100'000, 'u');
  row.model = std::string(100'000, 'm');
  ledger_->End(row);
  Flush();
  ASSERT_EQ(All().size(), 1u);
  EXPECT_EQ(All()[0].user_id, std::string(256, 'u'));
  EXPECT_EQ(All()[0].model, std::string(256, 'm'));
}

}  // namespace
}  // namespace aibackend::usage
