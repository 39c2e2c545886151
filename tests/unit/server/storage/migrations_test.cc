#include "server/storage/migrations.h"

#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "server/base/status.h"
#include "server/storage/database.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MigrationsTest : public ::testing::Test {
 protected:
  MigrationsTest() {
    auto opened = SqliteConnection::Open(folder_.File("test.sqlite"),
                                         SqliteConnection::Role::kWriter, absl::Seconds(1));
    EXPECT_TRUE(opened.ok()) << opened.status();
    connection_ = *std::move(opened);
  }

  std::vector<std::string> Texts(absl::string_view sql) {
    std::vector<std::string> texts;
    const absl::Status status =
        connection_->Query(sql, {}, [&](const Row& row) { texts.push_back(row.Text(0)); });
    EXPECT_TRUE(status.ok()) << status;
    return texts;
  }

  TempFolder folder_;
  std::unique_ptr<SqliteConnection> connection_;
};

constexpr Migration kFirst = {1, "first",
                              "CREATE TABLE a (x INTEGER); CREATE TABLE b (y INTEGER);"};
constexpr Migration kSecond = {2, "second", "ALTER TABLE a ADD COLUMN z TEXT"};
constexpr Migration kBroken = {2, "broken",
                               "CREATE TABLE c (x INTEGER); CREATE TABLE a (x INTEGER)"};

TEST_F(MigrationsTest, EachIsAppliedOnceAndRecorded) {
  ASSERT_TRUE(Migrate(*connection_, {kFirst}).ok());
  ASSERT_TRUE(Migrate(*connection_, {kFirst, kSecond}).ok());
  ASSERT_TRUE(Migrate(*connection_, {kFirst, kSecond}).ok());
  EXPECT_THAT(Texts("SELECT name FROM schema_migrations ORDER BY version"),
              ElementsAre("first", "second"));
}

TEST_F(MigrationsTest, OneThatFailsIsNamedAndLeavesNothing) {
  const absl::Status status = Migrate(*connection_, {kFirst, kBroken});
  EXPECT_EQ(ReasonOf(status), Reason::INTERNAL);
  EXPECT_THAT(std::string(status.message()), HasSubstr("migration 2 (broken)"));
  EXPECT_THAT(Texts("SELECT name FROM sqlite_schema WHERE type = 'table'"), ElementsAre());
}

TEST_F(MigrationsTest, ANewerSchemaIsRefusedAndLeftAlone) {
  ASSERT_TRUE(Migrate(*connection_, {kFirst, kSecond}).ok());
  const absl::Status status = Migrate(*connection_, {kFirst});
  EXPECT_EQ(ReasonOf(status), Reason::INTERNAL);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 2"));
  EXPECT_THAT(Texts("SELECT name FROM schema_migrations ORDER BY version"),
              ElementsAre("first", "second"));
}

TEST_F(MigrationsTest, TheProgramRefusesANewerDatabaseByItsPath) {
  ASSERT_TRUE(OpenSqlite(folder_.File("test.sqlite")).ok());
  ASSERT_TRUE(
      connection_->Execute("INSERT INTO schema_migrations VALUES (9999, 'future', 0)", {}).ok());
  const auto database = OpenSqlite(folder_.File("test.sqlite"));
  ASSERT_FALSE(database.ok());
  EXPECT_THAT(std::string(database.status().message()), HasSubstr("test.sqlite"));
  EXPECT_THAT(std::string(database.status().message()), HasSubstr("9999"));
}

TEST_F(MigrationsTest, TheEmbeddedOnesCountUpFromOne) {
  int expected = 1;
  for (const Migration& migration : EmbeddedMigrations()) {
    EXPECT_EQ(migration.version, expected++);
  }
  EXPECT_GT(expected, 1);
}

TEST_F(MigrationsTest, RowsOfTheFirstSchemaAreStillThereUnderTheLatest) {
  const absl::Span<const Migration> all = EmbeddedMigrations();
  ASSERT_TRUE(Migrate(*connection_, all.first(1)).ok());
  ASSERT_TRUE(connection_
                  ->Execute("INSERT INTO requests VALUES ('row', 'req', 1, 'Chat', '', 'm', 'OK',"
                            " '', '', 0, 0, 3, 4, 0, 0, 5, 6, '')",
                            {})
                  .ok());
  ASSERT_TRUE(Migrate(*connection_, all).ok());
  EXPECT_THAT(Texts("SELECT row_id FROM requests WHERE prompt_tokens = 3 AND cached_tokens = 0"
                    " AND upstream_calls = 0 AND replay_of = ''"),
              ElementsAre("row"));
}

TEST_F(MigrationsTest,
       DocumentsOfTheSecondSchemaKeepTheirNumbersChunksAndGenerationsUnderTheThird) {
  const absl::Span<const Migration> all = EmbeddedMigrations();
  ASSERT_TRUE(Migrate(*connection_, all.first(2)).ok());
  const auto run = [&](const char* sql) {
    const absl::Status status = connection_->Execute(sql, {}).status();
    ASSERT_TRUE(status.ok()) << status;
  };
  for (const char* id : {"a", "b", "c"}) {
    const absl::Status status =
        connection_
            ->Execute(
                "INSERT INTO documents (collection, id, title, text, source, metadata, "
                "content_hash, chunk_count, created_at) "
                "VALUES ('kept', $1, 't', 'text', 's', '', 'h', 2, 7)",
                {std::string(id)})
            .status();
    ASSERT_TRUE(status.ok()) << status;
  }
  run("INSERT INTO chunks SELECT seq, 0, 0, 2 FROM documents");
  run("INSERT INTO chunks SELECT seq, 1, 2, 4 FROM documents");
  run("INSERT INTO index_generations (collection, generation, fitted_chunks, created_at) "
      "VALUES ('kept', 5, 300, 7)");
  run("DELETE FROM documents WHERE seq IN (1, 3)");  // the newest too: its number stays used
  ASSERT_TRUE(Migrate(*connection_, all.first(3)).ok());

  EXPECT_THAT(Texts("SELECT tenant || ' ' || collection || ' ' || seq || id FROM documents"),
              ElementsAre("default kept 2b"));
  EXPECT_THAT(Texts("SELECT document_seq || ':' || start_byte || '-' || end_byte FROM chunks"
                    " ORDER BY ordinal"),
              ElementsAre("2:0-2", "2:2-4"));
  EXPECT_THAT(Texts("SELECT tenant || ' ' || collection || ' ' || generation || ' ' || embedder"
                    " || ' ' || dimensions || ' ' || fitted_chunks FROM index_generations"),
              ElementsAre("default kept 5 fitted 256 300"));
  EXPECT_THAT(Texts("INSERT INTO documents (tenant, collection, id, title, text, source, metadata,"
                    " content_hash, chunk_count, created_at)"
                    " VALUES ('default', 'kept', 'd', '', '', '', '', '', 0, 7) RETURNING seq"),
              ElementsAre("4"));
  run("DELETE FROM documents WHERE id = 'b'");  // the chunks still belong to it
  EXPECT_THAT(Texts("SELECT document_seq FROM chunks"), ElementsAre());
}

TEST(TwoOpeners, ThreadsThatCreateOneFileAtOnceAllComeUp) {
  for (int round = 0; round < 5; ++round) {
    TempFolder folder;
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&] {
        const auto database = OpenSqlite(folder.File("test.sqlite"));
        EXPECT_TRUE(database.ok()) << database.status();
      });
    }
    for (auto& thread : threads) thread.join();
  }
}

TEST(TwoOpeners, ProcessesThatCreateOneFileAtOnceAllComeUp) {
  TempFolder folder;
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) _exit(OpenSqlite(folder.File("test.sqlite")).ok() ? 0 : 1);
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = -1;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
}

}  // namespace
}  // namespace aibackend::storage
