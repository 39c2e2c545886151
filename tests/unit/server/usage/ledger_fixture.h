// A ledger on a file of its own, and rows for it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/usage/ledger.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::usage {

constexpr absl::Duration kLong = absl::Seconds(60);
// Nothing is written until a test says so.
constexpr storage::GroupWriter::Options kByHand = {kLong, 1'000'000, 1'000'000};

inline RequestRow SampleRow(const std::string& id, RequestStatus status = RequestStatus::kRunning) {
  RequestRow row;
  row.row_id = id;
  row.request_id = RequestId("req-" + id);
  row.created_at = absl::FromUnixMicros(1'700'000'000'000'001);
  row.endpoint = "Chat";
  row.user_id = "user";
  row.model = "model";
  row.status = status;
  return row;
}

class LedgerFixture : public ::testing::Test {
 protected:
  LedgerFixture() : database_(*storage::OpenSqlite(folder_.File("test.sqlite"))) { Start(kByHand); }

  void Start(storage::GroupWriter::Options writer, Ledger::Options options = {}) {
    ledger_.reset();
    writer_.reset();
    writer_ = std::make_unique<storage::GroupWriter>(*database_, writer);
    ledger_ = std::make_unique<Ledger>(*database_, *writer_, std::move(options));
  }

  static RequestRow Row(const std::string& id, RequestStatus status = RequestStatus::kRunning) {
    return SampleRow(id, status);
  }

  void Flush() { ASSERT_TRUE(writer_->Flush(kLong)); }

  void Execute(const std::string& sql) {
    const absl::Status status =
        database_->Write([&](storage::Session& session) { return session.Execute(sql).status(); });
    ASSERT_TRUE(status.ok()) << status;
  }

  // The number that a statement gives.
  int64_t Number(const std::string& sql) {
    int64_t number = -1;
    EXPECT_TRUE(database_
                    ->Read([&](storage::Session& session) {
                      return session.Query(sql, {},
                                           [&](const storage::Row& row) { number = row.Int(0); });
                    })
                    .ok());
    return number;
  }

  std::vector<RequestRow> All() {
    auto page = ledger_->List({}, 1000, "");
    EXPECT_TRUE(page.ok()) << page.status();
    EXPECT_TRUE(page->next_page_token.empty());
    return page->rows;
  }

  TempFolder folder_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<storage::GroupWriter> writer_;
  std::unique_ptr<Ledger> ledger_;
};

}  // namespace aibackend::usage
