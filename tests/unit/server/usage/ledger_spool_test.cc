// What becomes of rows while another process holds the database, and when this one is killed then.
#include "server/usage/ledger_spool.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "SQLiteCpp/SQLiteCpp.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "server/usage/ledger_sql.h"
#include "tests/unit/server/usage/failing_disk.h"
#include "tests/unit/server/usage/ledger_fixture.h"

namespace aibackend::usage {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// Tells a test how often a write was refused, so that it waits for that and not for a time.
class RefusalCount final : public storage::Database {
 public:
  explicit RefusalCount(storage::Database& real) : real_(real) {}
  absl::Status Read(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    return real_.Read(work);
  }
  absl::Status Write(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    const absl::Status status = real_.Write(work);
    absl::MutexLock lock(&mutex_);
    ++writes_;
    if (ReasonOf(status) == Reason::DATABASE_UNAVAILABLE) ++refused_;
    return status;
  }
  void WaitFor(int more) {
    absl::MutexLock lock(&mutex_);
    const int target = refused_ + more;
    const auto reached = [&] { return refused_ >= target; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&reached), kLong));
  }

  int writes() const {
    absl::MutexLock lock(&mutex_);
    return writes_;
  }
  void WaitForWrites(int count) const {
    absl::MutexLock lock(&mutex_);
    const auto reached = [&] { return writes_ >= count; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&reached), kLong));
  }

 private:
  storage::Database& real_;
  mutable absl::Mutex mutex_;
  int refused_ ABSL_GUARDED_BY(mutex_) = 0;
  int writes_ ABSL_GUARDED_BY(mutex_) = 0;
};

class LedgerSpoolTest : public ::testing::Test {
 protected:
  // A data folder, its database and its ledger, as one process has them.
  struct Process {
    Process(const std::string& f, storage::GroupWriter::Options writer_options,
            uint64_t spool_bytes_max)
        : folder(f),
          real(*storage::OpenSqlite(f + "/test.sqlite", {2, absl::Milliseconds(1)})),
          database(*real),
          writer(std::make_unique<storage::GroupWriter>(database, writer_options)),
          ledger(std::make_unique<Ledger>(database, *writer, Options(f, spool_bytes_max))) {}

    static Ledger::Options Options(const std::string& folder, uint64_t spool_bytes_max) {
      Ledger::Options options;
      options.spool_folder = folder + "/spool";
      options.spool_bytes_max = spool_bytes_max;
      options.spool_retry = absl::Milliseconds(1);
      options.settle_wait = absl::Milliseconds(1);
      return options;
    }

    // What was queued is written, and what the writer does after a batch is done too.
    void Flush() {
      for (int i = 0; i < 2; ++i) {
        while (!writer->Enqueue([](storage::Session&) { return absl::OkStatus(); })) {
          ASSERT_TRUE(writer->Flush(kLong));  // it was full
        }
        ASSERT_TRUE(writer->Flush(kLong));
      }
    }
    // Until the spool is drained.
    void FlushSpool() {
      do Flush();
      while (SpoolBytes() > 0);
    }
    uint64_t SpoolBytes() const {
      std::error_code none;
      const auto size = fs::file_size(folder + "/spool/ledger.spool", none);
      return none ? 0 : size;
    }
    // Rows as "id STATUS", sorted.
    std::vector<std::string> Rows() {
      std::vector<std::string> rows;
      UsageReader reader = ledger->Read({});
      for (auto batch = reader.Next(); batch.ok() && !batch->empty(); batch = reader.Next()) {
        for (const RequestRow& row : *batch) {
          rows.push_back(absl::StrCat(row.row_id, " ", RequestStatusName(row.status)));
        }
      }
      return rows;
    }
    void Start() {
      EXPECT_TRUE(ledger->ReplaySpool().ok());
      EXPECT_TRUE(ledger->RecoverInterrupted(absl::Now(), absl::Minutes(1)).ok());
    }

    const std::string folder;
    std::unique_ptr<storage::Database> real;
    RefusalCount database;
    std::unique_ptr<storage::GroupWriter> writer;
    std::unique_ptr<Ledger> ledger;
  };

  // Another process's write lock, as long as it lives.
  struct Lock {
    explicit Lock(const std::string& folder)
        : database(folder + "/test.sqlite", SQLite::OPEN_READWRITE, 60'000) {
      database.exec("BEGIN IMMEDIATE");
    }
    SQLite::Database database;
  };

  static constexpr storage::GroupWriter::Options kFast = {absl::Milliseconds(1), 512, 1'000'000,
                                                          absl::ZeroDuration()};

  std::unique_ptr<Process> Open(storage::GroupWriter::Options options = kFast,
                                uint64_t spool_bytes_max = 1 << 30) {
    fs::create_directories(folder_.File("data"));
    return std::make_unique<Process>(folder_.File("data"), options, spool_bytes_max);
  }

  // The folder as a kill now would leave it, and a process that starts on it.
  std::unique_ptr<Process> Killed(const Process& process) {
    const std::string copy = folder_.File(absl::StrCat("copy", ++copies_));
    fs::copy(process.folder, copy, fs::copy_options::recursive);
    auto next = std::make_unique<Process>(copy, kFast, 1 << 30);
    next->Start();
    return next;
  }

  static RequestRow Ok(const std::string& id) { return SampleRow(id, RequestStatus::kOk); }

  TempFolder folder_;
  int copies_ = 0;
};

TEST_F(LedgerSpoolTest, InTheNormalPathThereIsNoSpool) {
  auto process = Open();
  process->Start();
  process->ledger->Begin(SampleRow("a"));
  process->ledger->End(Ok("a"));
  process->Flush();
  EXPECT_FALSE(fs::exists(process->folder + "/spool"));
}

TEST_F(LedgerSpoolTest, RowsThatEndWhileTheDatabaseIsLockedAreSpooledAndLaterThereOnce) {
  auto process = Open();
  process->Start();
  process->ledger->Begin(SampleRow("before"));
  process->Flush();
  {
    Lock lock(process->folder);
    process->ledger->End(Ok("before"));
    process->ledger->Begin(SampleRow("a"));
    process->ledger->End(Ok("a"));
    process->ledger->Begin(SampleRow("runs"));
    process->database.WaitFor(2);  // the first wrote them all down, or else the second
    EXPECT_GT(process->SpoolBytes(), 0u);
    const uint64_t bytes = process->SpoolBytes();
    process->database.WaitFor(2);
    EXPECT_EQ(process->SpoolBytes(), bytes);  // what is there isn't written down again
    process->ledger->End(Ok("runs"));
    process->database.WaitFor(2);
    EXPECT_GT(process->SpoolBytes(), bytes);  // but a change is
  }
  process->FlushSpool();
  EXPECT_THAT(process->Rows(), UnorderedElementsAre("before OK", "a OK", "runs OK"));
  EXPECT_EQ(process->ledger->lost_rows(), 0);
}

TEST_F(LedgerSpoolTest, AKillWhileTheDatabaseIsLockedLosesNothingThatWasSpooled) {
  auto process = Open();
  process->Start();
  process->ledger->Begin(SampleRow("before"));
  process->Flush();
  std::unique_ptr<Process> next;
  {
    Lock lock(process->folder);
    process->ledger->End(Ok("before"));
    for (int i = 0; i < 1000; ++i) process->ledger->End(Ok(absl::StrCat("r", i)));
    process->ledger->Begin(SampleRow("runs"));
    process->database.WaitFor(2);
    next = Killed(*process);
  }
  const std::vector<std::string> rows = next->Rows();
  EXPECT_EQ(rows.size(), 1002u);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), "runs ERROR"), 1);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), "before OK"), 1);
  EXPECT_EQ(next->SpoolBytes(), 0u);
}

TEST_F(LedgerSpoolTest, AKillBetweenTheWritingAndTheEmptyingDoublesNothing) {
  auto process = Open();
  process->Start();
  std::string spool;
  {
    Lock lock(process->folder);
    process->ledger->End(Ok("a"));
    process->ledger->Begin(SampleRow("b"));
    process->database.WaitFor(2);
    std::ifstream in(process->folder + "/spool/ledger.spool", std::ios::binary);
    spool.assign(std::istreambuf_iterator<char>(in), {});
  }
  process->ledger->End(Ok("b"));
  process->FlushSpool();
  const std::string path = process->folder + "/spool/ledger.spool";
  process.reset();
  std::ofstream(path, std::ios::binary) << spool;
  auto next = Open();
  EXPECT_EQ(*next->ledger->ReplaySpool(), 2);
  EXPECT_EQ(*next->ledger->RecoverInterrupted(absl::Now(), absl::Minutes(1)), 0);
  EXPECT_THAT(next->Rows(), ElementsAre("a OK", "b OK"));
}

TEST_F(LedgerSpoolTest, AnEndThatTheWriterGaveUpOnAtAStopIsWrittenByTheNextStart) {
  auto process = Open(kByHand);
  process->Start();
  {
    Lock lock(process->folder);
    process->ledger->End(Ok("a"));
    const auto ledger = std::move(process->ledger);
    process->writer.reset();  // kByHand drains for five seconds; the lock outlives that
    EXPECT_EQ(ledger->lost_rows(), 0);
  }
  process.reset();
  auto next = Open();
  next->Start();
  EXPECT_THAT(next->Rows(), ElementsAre("a OK"));
}

TEST_F(LedgerSpoolTest, ARowThatFindsTheQueueFullIsSpooledAloneAndWrittenLater) {
  auto process = Open({kLong, 1'000'000, 1});
  process->Start();
  process->ledger->Begin(SampleRow("queued"));
  process->ledger->Begin(SampleRow("alone"));
  process->ledger->End(Ok("alone"));
  process->ledger->End(Ok("queued"));  // changes in place
  process->ledger->Begin(SampleRow("runs"));
  EXPECT_EQ(process->ledger->lost_rows(), 0);
  EXPECT_THAT(Killed(*process)->Rows(), UnorderedElementsAre("alone OK", "runs ERROR"));
  ASSERT_TRUE(process->writer->Flush(kLong));
  process->FlushSpool();
  EXPECT_THAT(process->Rows(), UnorderedElementsAre("queued OK", "alone OK", "runs RUNNING"));
  process->ledger->End(Ok("runs"));
  process->Flush();
  EXPECT_EQ(process->SpoolBytes(), 0u);  // there is room in the queue again
  EXPECT_EQ(process->Rows().size(), 3u);
}

TEST_F(LedgerSpoolTest, ASpoolThatCannotBeReadIsReadAgainThoughNothingElseIsWritten) {
  auto process = Open({kLong, 1'000'000, 1});
  process->Start();
  process->ledger->End(Ok("queued"));
  process->ledger->End(Ok("alone"));
  disk_fails = true;
  const int writes = process->database.writes();
  ASSERT_TRUE(process->writer->Flush(kLong));
  while (disk_failures < 2) std::this_thread::yield();
  EXPECT_EQ(process->database.writes(), writes + 1);
  disk_fails = false;
  process->database.WaitForWrites(writes + 2);
  EXPECT_THAT(process->Rows(), UnorderedElementsAre("queued OK", "alone OK"));
}

TEST_F(LedgerSpoolTest, MoreThanAStepOfRowsAloneIsDrainedInOrder) {
  auto process = Open({kLong, 1'000'000, 1});
  process->Start();
  process->ledger->End(Ok("queued"));
  constexpr int kRows = 5000;
  for (int i = 0; i < kRows; ++i) {
    RequestRow row = SampleRow(absl::StrCat("r", i));
    process->ledger->Begin(row);
    row.reserved_tokens = 7;
    process->ledger->Begin(row);
  }
  ASSERT_TRUE(process->writer->Flush(kLong));
  process->FlushSpool();
  EXPECT_EQ(process->Rows().size(), kRows + 1u);
  int64_t reserved = 0;
  ASSERT_TRUE(process->database
                  .Read([&](storage::Session& session) {
                    return session.Query("SELECT SUM(reserved_tokens) FROM requests", {},
                                         [&](const storage::Row& row) { reserved = row.Int(0); });
                  })
                  .ok());
  EXPECT_EQ(reserved, 7 * kRows);
}

TEST_F(LedgerSpoolTest, WhatWaitsInTheSpoolAloneIsAnErrorToWhoAsksForSums) {
  auto process = Open({kLong, 1'000'000, 1});
  process->Start();
  process->ledger->End(Ok("queued"));
  process->ledger->End(Ok("alone"));
  {
    Lock lock(process->folder);
    EXPECT_EQ(ReasonOf(process->ledger->SpentSince({}).status()), Reason::DATABASE_UNAVAILABLE);
  }
  ASSERT_TRUE(process->writer->Flush(kLong));
  process->FlushSpool();
  EXPECT_TRUE(process->ledger->SpentSince({}).ok());
}

TEST_F(LedgerSpoolTest, BeyondTheSpoolsBoundARowAloneIsLostAndCounted) {
  auto process = Open({kLong, 1'000'000, 1}, 1000);
  process->Start();
  process->ledger->End(Ok("queued"));
  for (int i = 0; i < 20; ++i) process->ledger->End(Ok(absl::StrCat("r", i)));
  const int64_t lost = process->ledger->lost_rows();
  EXPECT_GT(lost, 10);
  EXPECT_LT(lost, 20);
  ASSERT_TRUE(process->writer->Flush(kLong));
  process->FlushSpool();
  EXPECT_EQ(static_cast<int64_t>(process->Rows().size()), 21 - lost);
}

TEST_F(LedgerSpoolTest, WithoutRoomForASpoolRowsWaitInMemory) {
  auto process = Open();
  process->Start();
  std::ofstream(process->folder + "/spool") << "a file where the folder would be";
  {
    Lock lock(process->folder);
    for (int i = 0; i < 100; ++i) process->ledger->End(Ok(absl::StrCat("r", i)));
    process->database.WaitFor(3);
  }
  process->Flush();
  EXPECT_EQ(process->Rows().size(), 100u);
  EXPECT_EQ(process->ledger->lost_rows(), 0);
}

TEST_F(LedgerSpoolTest, ARowThatTheDatabaseRefusesKeepsNoOtherFromBeingWritten) {
  const std::string folder = folder_.File("data");
  fs::create_directories(folder);
  {
    RowSpool spool({folder + "/spool", 1 << 20});
    std::vector<std::string> records;
    for (const char* id : {"a", "refused", "b"}) {
      auto parameters = UpsertParameters(Ok(id), ContentPolicy::kOn, 100);
      if (id == std::string("refused")) parameters[6] = std::string("NO STATUS");
      records.push_back(EncodeSpooledRow(parameters, false));
    }
    records.emplace_back("no row");
    ASSERT_TRUE(spool.Append(records).ok());
  }
  auto process = Open();
  EXPECT_EQ(*process->ledger->ReplaySpool(), 2);
  EXPECT_EQ(process->ledger->lost_rows(), 2);
  EXPECT_THAT(process->Rows(), ElementsAre("a OK", "b OK"));
  EXPECT_EQ(process->SpoolBytes(), 0u);
}

TEST_F(LedgerSpoolTest, AStartWhileTheDatabaseIsLockedKeepsTheSpool) {
  auto process = Open(kByHand);
  process->Start();
  process->ledger->End(Ok("a"));
  {
    RowSpool spool({process->folder + "/spool", 1 << 20});
    ASSERT_TRUE(spool
                    .Append({EncodeSpooledRow(UpsertParameters(Ok("left"), ContentPolicy::kOn, 100),
                                              false)})
                    .ok());
  }
  auto next = std::make_unique<Process>(process->folder, kFast, 1 << 20);
  {
    Lock lock(process->folder);
    EXPECT_EQ(ReasonOf(next->ledger->ReplaySpool().status()), Reason::DATABASE_UNAVAILABLE);
  }
  EXPECT_EQ(*next->ledger->ReplaySpool(), 1);
  EXPECT_THAT(next->Rows(), ElementsAre("left OK"));
}

}  // namespace
}  // namespace aibackend::usage
