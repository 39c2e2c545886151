#include "server/storage/group_writer.h"

#include <atomic>
#include <thread>
#include <vector>

#include "SQLiteCpp/SQLiteCpp.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::storage {
namespace {

using ::testing::ElementsAre;

constexpr absl::Duration kLong = absl::Seconds(60);

// A database whose answers a test chooses.
class CountingDatabase final : public Database {
 public:
  explicit CountingDatabase(Database& real) : real_(real) {}
  absl::Status Read(absl::FunctionRef<absl::Status(Session&)> work) override {
    return real_.Read(work);
  }
  absl::Status Write(absl::FunctionRef<absl::Status(Session&)> work) override {
    ++transactions;
    if (away) {
      if (away_asked.fetch_add(1) == 0) asked_while_away.Notify();
      return MakeError(Reason::DATABASE_UNAVAILABLE, "away");
    }
    return real_.Write(work);
  }

  std::atomic<int> transactions{0};
  std::atomic<bool> away{false};
  std::atomic<int> away_asked{0};
  absl::Notification asked_while_away;

 private:
  Database& real_;
};

class GroupWriterTest : public ::testing::Test {
 protected:
  GroupWriterTest()
      : real_(*OpenSqlite(folder_.File("test.sqlite"), {2, absl::Milliseconds(10)})),
        database_(*real_) {
    EXPECT_TRUE(real_
                    ->Write([](Session& s) {
                      return s
                          .Execute("CREATE TABLE t (at INTEGER PRIMARY KEY, n INTEGER UNIQUE)", {})
                          .status();
                    })
                    .ok());
  }

  static GroupWriter::Write Insert(int64_t n) {
    return [n](Session& s) { return s.Execute("INSERT INTO t (n) VALUES ($1)", {n}).status(); };
  }

  std::vector<int64_t> InOrder() {
    std::vector<int64_t> values;
    EXPECT_TRUE(real_
                    ->Read([&](Session& s) {
                      return s.Query("SELECT n FROM t ORDER BY at", {},
                                     [&](const Row& row) { values.push_back(row.Int(0)); });
                    })
                    .ok());
    return values;
  }

  TempFolder folder_;
  std::unique_ptr<Database> real_;
  CountingDatabase database_;
};

TEST_F(GroupWriterTest, WritesAreAppliedInTheirOrderInOneTransaction) {
  GroupWriter writer(database_, {kLong, 1000, 1000});
  for (int64_t n : {5, 3, 9, 1}) ASSERT_TRUE(writer.Enqueue(Insert(n)));
  ASSERT_TRUE(writer.Flush(kLong));
  EXPECT_THAT(InOrder(), ElementsAre(5, 3, 9, 1));
  EXPECT_EQ(database_.transactions, 1);
}

TEST_F(GroupWriterTest, AFullBatchDoesntWaitForTheInterval) {
  absl::Notification done;
  GroupWriter writer(database_, {kLong, 3, 1000});
  ASSERT_TRUE(writer.Enqueue(Insert(1)));
  ASSERT_TRUE(writer.Enqueue(Insert(2)));
  ASSERT_TRUE(writer.Enqueue([&](Session&) {
    done.Notify();
    return absl::OkStatus();
  }));
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kLong / 2));
}

TEST_F(GroupWriterTest, TheIntervalCommitsWithoutAFlush) {
  absl::Notification done;
  GroupWriter writer(database_, {absl::Milliseconds(1), 1000, 1000});
  ASSERT_TRUE(writer.Enqueue([&](Session&) {
    done.Notify();
    return absl::OkStatus();
  }));
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kLong));
}

TEST_F(GroupWriterTest, AfterAFullCommitItWaitsForLonger) {
  GroupWriter::Options options;
  options.interval = absl::ZeroDuration();
  options.busy_interval = kLong;
  options.busy_from = 3;
  GroupWriter writer(database_, options);
  absl::Notification committed;
  const GroupWriter::Hooks hooks = {{}, [&] { committed.Notify(); }};
  // What is queued together while the writer holds nothing back may be taken in parts: one
  // transaction that waits for the lock lets the three gather behind it.
  absl::Notification go;
  ASSERT_TRUE(writer.Enqueue([&](Session&) {
    go.WaitForNotification();
    return absl::OkStatus();
  }));
  while (database_.transactions == 0) std::this_thread::yield();
  for (int n = 0; n < 3; ++n) ASSERT_TRUE(writer.Enqueue(Insert(n)));
  go.Notify();
  ASSERT_TRUE(writer.Flush(kLong));
  ASSERT_THAT(InOrder(), ElementsAre(0, 1, 2));

  writer.SetHooks(hooks);
  ASSERT_TRUE(writer.Enqueue(Insert(3)));
  EXPECT_FALSE(committed.WaitForNotificationWithTimeout(absl::Milliseconds(50)));
  EXPECT_EQ(writer.waiting(), 1);
  ASSERT_TRUE(writer.Flush(kLong));
  EXPECT_THAT(InOrder(), ElementsAre(0, 1, 2, 3));
}

TEST_F(GroupWriterTest, AWriteThatFailsIsDroppedAlone) {
  std::atomic<int> dropped{0};
  GroupWriter writer(database_, {kLong, 1000, 1000});
  ASSERT_TRUE(writer.Enqueue(Insert(1)));
  ASSERT_TRUE(writer.Enqueue(Insert(1), [&](const absl::Status& status) {
    EXPECT_EQ(ReasonOf(status), Reason::INTERNAL);
    ++dropped;
  }));
  ASSERT_TRUE(writer.Enqueue(Insert(2)));
  ASSERT_TRUE(writer.Flush(kLong));
  EXPECT_THAT(InOrder(), ElementsAre(1, 2));
  EXPECT_EQ(dropped, 1);
}

TEST_F(GroupWriterTest, WritesWaitOutALockOfAnotherProcess) {
  SQLite::Database blocker(folder_.File("test.sqlite"), SQLite::OPEN_READWRITE);
  blocker.exec("BEGIN IMMEDIATE");
  GroupWriter writer(database_, {absl::Milliseconds(1), 1000, 1000});
  for (int64_t n = 1; n <= 3; ++n) ASSERT_TRUE(writer.Enqueue(Insert(n)));
  EXPECT_FALSE(writer.Flush(absl::Milliseconds(100)));
  EXPECT_THAT(InOrder(), ElementsAre());
  blocker.exec("ROLLBACK");
  ASSERT_TRUE(writer.Flush(kLong));
  EXPECT_THAT(InOrder(), ElementsAre(1, 2, 3));
}

TEST_F(GroupWriterTest, AFullQueueRefusesAndTakesAgainWhenThereIsRoom) {
  database_.away = true;
  GroupWriter writer(database_, {absl::ZeroDuration(), 1, 2});
  ASSERT_TRUE(writer.Enqueue(Insert(1)));
  database_.asked_while_away.WaitForNotification();  // it is in the batch, and still counts
  ASSERT_TRUE(writer.Enqueue(Insert(2)));
  EXPECT_FALSE(writer.Enqueue(Insert(3)));
  database_.away = false;
  ASSERT_TRUE(writer.Flush(kLong));
  EXPECT_TRUE(writer.Enqueue(Insert(4)));
  ASSERT_TRUE(writer.Flush(kLong));
  EXPECT_THAT(InOrder(), ElementsAre(1, 2, 4));
}

TEST_F(GroupWriterTest, TheDestructorCommitsWhatIsQueued) {
  {
    GroupWriter writer(database_, {kLong, 1000, 1000});
    for (int64_t n = 1; n <= 3; ++n) ASSERT_TRUE(writer.Enqueue(Insert(n)));
  }
  EXPECT_THAT(InOrder(), ElementsAre(1, 2, 3));
}

TEST_F(GroupWriterTest, TheDestructorGivesUpOnADatabaseThatStaysAwayAndSaysWhatWasLost) {
  database_.away = true;
  std::atomic<int> dropped{0};
  const absl::Time start = absl::Now();
  {
    GroupWriter writer(database_, {absl::ZeroDuration(), 2, 1000, absl::Milliseconds(200)});
    for (int64_t n = 1; n <= 5; ++n) {
      ASSERT_TRUE(writer.Enqueue(Insert(n), [&](const absl::Status&) { ++dropped; }));
    }
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  EXPECT_EQ(dropped, 5);
}

TEST_F(GroupWriterTest, ManyThreadsQueueWithoutALoss) {
  GroupWriter writer(database_, {absl::Milliseconds(1), 64, 100'000});
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < 200; ++i) EXPECT_TRUE(writer.Enqueue(Insert(t * 1000 + i)));
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(writer.Flush(kLong));
  EXPECT_EQ(InOrder().size(), 1600u);
}

TEST_F(GroupWriterTest, HooksTellThatTheDatabaseIsAwayAndThatABatchIsDone) {
  std::atomic<int> unavailable{0};
  std::atomic<int> done{0};
  absl::Notification told;
  GroupWriter writer(database_, {absl::Milliseconds(1), 1000, 1000});
  writer.SetHooks({[&] {
                     EXPECT_EQ(done, 0);
                     if (++unavailable == 2) told.Notify();
                   },
                   [&] { ++done; }});
  database_.away = true;
  ASSERT_TRUE(writer.Enqueue(Insert(1)));
  ASSERT_TRUE(told.WaitForNotificationWithTimeout(kLong));
  database_.away = false;
  ASSERT_TRUE(writer.Flush(kLong));
  ASSERT_TRUE(writer.Enqueue(Insert(2)));
  ASSERT_TRUE(writer.Flush(kLong));  // the first batch's hook came before the second was taken
  EXPECT_GE(done, 1);
  EXPECT_GE(unavailable, 2);
}

TEST_F(GroupWriterTest, AHookMayQueueWhatComesNext) {
  int more = 3;
  {
    GroupWriter writer(database_, {absl::Milliseconds(1), 1000, 1000});
    writer.SetHooks({{}, [&] {
                       if (more > 0) EXPECT_TRUE(writer.Enqueue(Insert(10 + more--)));
                     }});
    ASSERT_TRUE(writer.Enqueue(Insert(1)));
  }
  EXPECT_THAT(InOrder(), ElementsAre(1, 13, 12, 11));
}

TEST_F(GroupWriterTest, AHookMayAskToBeCalledAgainThoughNothingIsWritten) {
  int calls = 0;
  absl::Notification again;
  GroupWriter writer(database_, {absl::Milliseconds(1), 1000, 1000});
  writer.SetHooks({{}, [&] {
                     if (++calls < 3) writer.CallDoneAfter(absl::Milliseconds(1));
                     if (calls == 3) again.Notify();
                   }});
  writer.CallDoneAfter(absl::ZeroDuration());
  ASSERT_TRUE(again.WaitForNotificationWithTimeout(kLong));
  EXPECT_EQ(database_.transactions, 0);
  writer.CallDoneAfter(kLong);  // doesn't hold up a stop
}

TEST_F(GroupWriterTest, BeforeItGivesUpAtAStopItTellsAndIsDoneWithNothing) {
  int unavailable = 0;
  int done = 0;
  int dropped = 0;
  {
    GroupWriter writer(database_, {kLong, 1000, 1000, absl::ZeroDuration()});
    writer.SetHooks({[&] { ++unavailable; }, [&] { ++done; }});
    database_.away = true;
    ASSERT_TRUE(writer.Enqueue(Insert(1), [&](const absl::Status&) {
      EXPECT_EQ(unavailable, 1);
      ++dropped;
    }));
  }
  EXPECT_EQ(unavailable, 1);
  EXPECT_EQ(dropped, 1);
  EXPECT_EQ(done, 0);
}

}  // namespace
}  // namespace aibackend::storage
