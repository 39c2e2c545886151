// What every Database promises, whatever is behind it; today that is SQLite.
#include "server/storage/database.h"

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "SQLiteCpp/SQLiteCpp.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class DatabaseTest : public ::testing::Test {
 protected:
  DatabaseTest() : database_(Open({})) {
    Write("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size REAL)");
    Write("CREATE TABLE parts (thing INTEGER NOT NULL REFERENCES things (id))");
  }

  std::unique_ptr<Database> Open(const SqliteOptions& options) {
    auto database = OpenSqlite(folder_.File("test.sqlite"), options);
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }

  void Write(absl::string_view sql, std::vector<Value> parameters = {}) {
    const absl::Status status = database_->Write(
        [&](Session& session) { return session.Execute(sql, parameters).status(); });
    EXPECT_TRUE(status.ok()) << status;
  }

  static std::vector<std::string> Names(Session& session) {
    std::vector<std::string> names;
    const absl::Status status = session.Query("SELECT name FROM things ORDER BY id", {},
                                              [&](const Row& r) { names.push_back(r.Text(0)); });
    EXPECT_TRUE(status.ok()) << status;
    return names;
  }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const absl::Status status = database_->Read([&](Session& session) {
      names = Names(session);
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return names;
  }

  TempFolder folder_;
  std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, EveryKindOfValueComesBackAsItWent) {
  const std::string text("a\0b 日本", 9);
  Write("INSERT INTO things VALUES ($1, $2, $3)", {int64_t{1} << 40, text, 0.5});
  Write("INSERT INTO things VALUES ($2, $1, $3)", {std::string(), int64_t{-1}, nullptr});
  std::vector<int64_t> ids;
  std::vector<std::string> names;
  std::vector<bool> null_sizes;
  ASSERT_TRUE(database_
                  ->Read([&](Session& session) {
                    return session.Query("SELECT id, name, size FROM things ORDER BY id", {},
                                         [&](const Row& row) {
                                           ids.push_back(row.Int(0));
                                           names.push_back(row.Text(1));
                                           null_sizes.push_back(row.IsNull(2));
                                           EXPECT_EQ(row.Double(2), row.IsNull(2) ? 0 : 0.5);
                                         });
                  })
                  .ok());
  EXPECT_THAT(ids, ElementsAre(-1, int64_t{1} << 40));
  EXPECT_THAT(names, ElementsAre("", text));
  EXPECT_THAT(null_sizes, ElementsAre(true, false));
}

TEST_F(DatabaseTest, BytesThatAreNoTextComeBackAsTheyWent) {
  Write("CREATE TABLE blobs (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT");
  const std::string bytes("\xFF\0\x80 a\0", 6);
  Write("INSERT INTO blobs VALUES (1, $1)", {Blob{bytes}});
  Write("INSERT INTO blobs VALUES (2, $1)", {Blob{}});
  std::vector<std::string> found;
  std::vector<bool> same;
  ASSERT_TRUE(database_
                  ->Read([&](Session& session) {
                    return session.Query("SELECT bytes, bytes = $1 FROM blobs ORDER BY id",
                                         {Blob{bytes}}, [&](const Row& row) {
                                           EXPECT_FALSE(row.IsNull(0));
                                           found.emplace_back(row.Bytes(0));
                                           same.push_back(row.Int(1) != 0);
                                         });
                  })
                  .ok());
  EXPECT_THAT(found, ElementsAre(bytes, ""));
  EXPECT_THAT(same, ElementsAre(true, false));
}

TEST_F(DatabaseTest, AParameterMayStandTwiceInAStatement) {
  Write("INSERT INTO things VALUES ($1, $2, $1)", {int64_t{3}, std::string("three")});
  EXPECT_THAT(Names(), ElementsAre("three"));
}

TEST_F(DatabaseTest, ExecuteSaysHowManyRowsItChanged) {
  ASSERT_TRUE(database_
                  ->Write([](Session& session) -> absl::Status {
                    for (int64_t i = 0; i < 3; ++i) {
                      AIB_RETURN_IF_ERROR(session
                                              .Execute("INSERT INTO things VALUES ($1, $2, NULL)",
                                                       {i, absl::StrCat("n", i)})
                                              .status());
                    }
                    auto changed =
                        session.Execute("UPDATE things SET size = 1 WHERE id > $1", {int64_t{0}});
                    EXPECT_EQ(*changed, 2);
                    changed = session.Execute("DELETE FROM things WHERE id = $1", {int64_t{77}});
                    EXPECT_EQ(*changed, 0);
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(DatabaseTest, AFailedWriteLeavesNothing) {
  const absl::Status status = database_->Write([](Session& session) -> absl::Status {
    AIB_RETURN_IF_ERROR(session.Execute("INSERT INTO things VALUES (1, 'a', NULL)", {}).status());
    return MakeError(Reason::FIELD_INVALID, "changed my mind");
  });
  EXPECT_EQ(ReasonOf(status), Reason::FIELD_INVALID);
  EXPECT_THAT(Names(), ElementsAre());
}

TEST_F(DatabaseTest, AnExceptionRollsBackAndBecomesAStatus) {
  const absl::Status status = database_->Write([](Session& session) -> absl::Status {
    EXPECT_TRUE(session.Execute("INSERT INTO things VALUES (1, 'a', NULL)", {}).ok());
    throw std::runtime_error("oops");
  });
  EXPECT_EQ(ReasonOf(status), Reason::INTERNAL);
  EXPECT_THAT(std::string(status.message()), HasSubstr("oops"));
  Write("INSERT INTO things VALUES (1, 'b', NULL)");
  EXPECT_THAT(Names(), ElementsAre("b"));
}

TEST_F(DatabaseTest, AConstraintsErrorIsADefectAndDoesntShowTheValues) {
  Write("INSERT INTO things VALUES (1, 'secret', NULL)");
  const absl::Status status = database_->Write([](Session& session) {
    return session
        .Execute("INSERT INTO things VALUES ($1, $2, NULL)", {int64_t{2}, std::string("secret")})
        .status();
  });
  EXPECT_EQ(ReasonOf(status), Reason::INTERNAL);
  EXPECT_THAT(std::string(status.message()), HasSubstr("things.name"));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
}

TEST_F(DatabaseTest, ForeignKeysAreChecked) {
  const absl::Status status = database_->Write([](Session& session) {
    return session.Execute("INSERT INTO parts VALUES (99)", {}).status();
  });
  EXPECT_EQ(ReasonOf(status), Reason::INTERNAL);
}

TEST_F(DatabaseTest, AParameterTheStatementDoesntHaveIsADefect) {
  const absl::Status status = database_->Read([](Session& session) {
    return session.Query("SELECT $1", {int64_t{1}, int64_t{2}}, [](const Row&) {});
  });
  EXPECT_EQ(ReasonOf(status), Reason::INTERNAL);
}

TEST_F(DatabaseTest, AReadCannotWrite) {
  const absl::Status status = database_->Read([](Session& session) {
    return session.Execute("INSERT INTO things VALUES (1, 'a', NULL)", {}).status();
  });
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(Names(), ElementsAre());
}

TEST_F(DatabaseTest, AReadSeesOneSnapshotWhileAWriteCommits) {
  Write("INSERT INTO things VALUES (1, 'before', NULL)");
  ASSERT_TRUE(
      database_
          ->Read([&](Session& session) {
            EXPECT_THAT(Names(session), ElementsAre("before"));
            std::thread([&] { Write("INSERT INTO things VALUES (2, 'meanwhile', NULL)"); }).join();
            EXPECT_THAT(Names(session), ElementsAre("before"));
            return absl::OkStatus();
          })
          .ok());
  EXPECT_THAT(Names(), ElementsAre("before", "meanwhile"));
}

TEST_F(DatabaseTest, AStatementMayRunInsideTheRowsOfTheSameStatement) {
  Write("INSERT INTO things VALUES (1, 'a', NULL), (2, 'b', NULL)");
  int pairs = 0;
  ASSERT_TRUE(database_
                  ->Read([&](Session& session) {
                    return session.Query("SELECT id FROM things", {}, [&](const Row&) {
                      const absl::Status inner =
                          session.Query("SELECT id FROM things", {}, [&](const Row&) { ++pairs; });
                      EXPECT_TRUE(inner.ok());
                    });
                  })
                  .ok());
  EXPECT_EQ(pairs, 4);
}

TEST_F(DatabaseTest, ReturningGivesRowsAndLeavesNoLockBehind) {
  int64_t id = 0;
  ASSERT_TRUE(database_
                  ->Write([&](Session& session) {
                    return session.Query("INSERT INTO things (name) VALUES ('a') RETURNING id", {},
                                         [&](const Row& row) { id = row.Int(0); });
                  })
                  .ok());
  EXPECT_EQ(id, 1);
  auto other = Open({1, absl::Milliseconds(1)});
  EXPECT_TRUE(other
                  ->Write([](Session& session) {
                    return session.Execute("DELETE FROM things", {}).status();
                  })
                  .ok());
}

TEST_F(DatabaseTest, MoreStatementsThanTheCacheHoldsWork) {
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 300; ++i) {
      int64_t value = -1;
      ASSERT_TRUE(database_
                      ->Read([&](Session& session) {
                        return session.Query(absl::StrCat("SELECT ", i), {},
                                             [&](const Row& row) { value = row.Int(0); });
                      })
                      .ok());
      ASSERT_EQ(value, i);
    }
  }
}

TEST_F(DatabaseTest, RacingWritersLoseNothing) {
  Write("INSERT INTO things VALUES (1, 'counter', 0)");
  auto other = Open({});  // as another process would
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      Database& database = t % 2 ? *database_ : *other;
      for (int i = 0; i < 25; ++i) {
        const absl::Status status = database.Write([](Session& session) {
          return session.Execute("UPDATE things SET size = size + 1 WHERE id = 1", {}).status();
        });
        EXPECT_TRUE(status.ok()) << status;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  double count = 0;
  ASSERT_TRUE(database_
                  ->Read([&](Session& session) {
                    return session.Query("SELECT size FROM things", {},
                                         [&](const Row& row) { count = row.Double(0); });
                  })
                  .ok());
  EXPECT_EQ(count, 200);
}

TEST_F(DatabaseTest, MoreReadersThanConnectionsWaitForAFreeOne) {
  auto database = Open({1, absl::Seconds(1)});
  absl::Notification inside, release;
  std::atomic<int> reads{0};
  std::thread first([&] {
    EXPECT_TRUE(database
                    ->Read([&](Session&) {
                      inside.Notify();
                      release.WaitForNotification();
                      EXPECT_EQ(reads, 0);
                      ++reads;
                      return absl::OkStatus();
                    })
                    .ok());
  });
  inside.WaitForNotification();
  std::thread second([&] {
    EXPECT_TRUE(database
                    ->Read([&](Session&) {
                      ++reads;
                      return absl::OkStatus();
                    })
                    .ok());
  });
  release.Notify();
  first.join();
  second.join();
  EXPECT_EQ(reads, 2);
}

TEST_F(DatabaseTest, AWriteLockThatStaysIsUnavailableAndPassesWithTheLock) {
  auto database = Open({1, absl::Milliseconds(5)});
  SQLite::Database blocker(folder_.File("test.sqlite"), SQLite::OPEN_READWRITE);
  blocker.exec("BEGIN IMMEDIATE");
  auto insert = [](Session& session) {
    return session.Execute("INSERT INTO things VALUES (1, 'a', NULL)", {}).status();
  };
  EXPECT_EQ(ReasonOf(database->Write(insert)), Reason::DATABASE_UNAVAILABLE);
  EXPECT_THAT(Names(), ElementsAre());  // readers don't care
  blocker.exec("ROLLBACK");
  EXPECT_TRUE(database->Write(insert).ok());
}

TEST_F(DatabaseTest, ManyWritersWaitTogetherForALockAndNotOneAfterTheOther) {
  constexpr absl::Duration kLockWait = absl::Milliseconds(200);
  auto database = Open({1, kLockWait});
  SQLite::Database blocker(folder_.File("test.sqlite"), SQLite::OPEN_READWRITE);
  blocker.exec("BEGIN IMMEDIATE");
  const absl::Time start = absl::Now();
  std::vector<std::thread> writers;
  for (int i = 0; i < 30; ++i) {
    writers.emplace_back([&] {
      const absl::Status status = database->Write(
          [](Session& session) { return session.Execute("DELETE FROM things").status(); });
      EXPECT_EQ(ReasonOf(status), Reason::DATABASE_UNAVAILABLE);
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_LT(absl::Now() - start, 15 * kLockWait);  // one after the other: 90
  blocker.exec("ROLLBACK");
  Write("DELETE FROM things");
}

TEST_F(DatabaseTest, AFullDiskIsUnavailable) {
  auto database = Open({});
  const absl::Status status = database->Write([](Session& session) -> absl::Status {
    AIB_RETURN_IF_ERROR(session.Query("PRAGMA max_page_count = 1", {}, [](const Row&) {}));
    return session.Execute("INSERT INTO things VALUES (1, $1, NULL)", {std::string(1 << 20, 'x')})
        .status();
  });
  EXPECT_EQ(ReasonOf(status), Reason::DATABASE_UNAVAILABLE) << status;
  EXPECT_TRUE(database
                  ->Write([](Session& session) {
                    return session.Execute("DELETE FROM things", {}).status();
                  })
                  .ok());
}

TEST(OpenSqlite, APathThatCannotBeOpenedIsUnavailableAndNamed) {
  const auto database = OpenSqlite("/proc/nowhere/test.sqlite");
  EXPECT_EQ(ReasonOf(database.status()), Reason::DATABASE_UNAVAILABLE);
  EXPECT_THAT(std::string(database.status().message()), HasSubstr("/proc/nowhere"));
}

}  // namespace
}  // namespace aibackend::storage
