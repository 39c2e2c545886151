#include "server/usage/row_spool.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/usage/ledger_sql.h"
#include "server/usage/spooled_row.h"
#include "tests/unit/server/usage/failing_disk.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::usage {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RowSpoolTest : public ::testing::Test {
 protected:
  std::string Folder() const { return folder_.File("spool"); }
  std::string File() const { return Folder() + "/ledger.spool"; }

  std::unique_ptr<RowSpool> Open(uint64_t bytes_max = 1 << 20) const {
    return std::make_unique<RowSpool>(RowSpool::Options{Folder(), bytes_max});
  }

  std::string Bytes() const { return Bytes(File()); }
  static std::string Bytes(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void SetBytes(const std::string& bytes) const {
    fs::create_directories(Folder());
    std::ofstream(File(), std::ios::binary) << bytes;
  }

  static std::vector<std::string> All(RowSpool& spool, int64_t* damaged = nullptr) {
    std::vector<std::string> records;
    RowSpool::Progress progress;
    int64_t passed = 0;
    while (!progress.at_end) {
      const auto next = spool.Read(progress.next, 2, 1 << 20,
                                   [&](absl::string_view record) { records.emplace_back(record); });
      EXPECT_TRUE(next.ok()) << next.status();
      if (!next.ok()) break;
      progress = *next;
      passed += progress.damaged;
    }
    if (damaged != nullptr) *damaged = passed;
    return records;
  }

  TempFolder folder_;
};

TEST_F(RowSpoolTest, WhatIsAppendedIsReadInItsOrderByTheNext) {
  {
    auto spool = Open();
    ASSERT_TRUE(spool->Append({"a", "bb"}).ok());
    ASSERT_TRUE(spool->Append({std::string(100'000, 'c')}).ok());
    ASSERT_TRUE(spool->Sync().ok());
  }
  auto spool = Open();
  EXPECT_THAT(All(*spool), ElementsAre("a", "bb", std::string(100'000, 'c')));
  ASSERT_TRUE(spool->Append({"d"}).ok());
  EXPECT_EQ(All(*spool).size(), 4u);
}

TEST_F(RowSpoolTest, NothingIsMadeBeforeItIsNeeded) {
  auto spool = Open();
  EXPECT_TRUE(spool->Sync().ok());
  EXPECT_TRUE(spool->Clear().ok());
  EXPECT_THAT(All(*spool), IsEmpty());
  EXPECT_FALSE(fs::exists(Folder()));
}

TEST_F(RowSpoolTest, OnlyItsOwnerReadsIt) {
  ASSERT_TRUE(Open()->Append({"a"}).ok());
  EXPECT_EQ(fs::status(Folder()).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(File()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(RowSpoolTest, ItIsEmptiedUnlessSomethingCameBehind) {
  auto spool = Open();
  ASSERT_TRUE(spool->Append({"a"}).ok());
  const auto read = spool->Read(0, 10, 100, [](absl::string_view) {});
  ASSERT_TRUE(spool->Append({"b"}).ok());
  EXPECT_FALSE(*spool->ClearIfEndsAt(read->next));
  EXPECT_THAT(All(*spool), ElementsAre("a", "b"));
  const auto rest = spool->Read(read->next, 10, 100, [](absl::string_view) {});
  EXPECT_TRUE(*spool->ClearIfEndsAt(rest->next));
  EXPECT_THAT(All(*spool), IsEmpty());
  EXPECT_EQ(Bytes(), "");
  ASSERT_TRUE(spool->Append({"c"}).ok());
  EXPECT_THAT(All(*spool), ElementsAre("c"));
}

TEST_F(RowSpoolTest, AFileThatEndsAnywhereGivesItsWholeRecordsAndTakesMore) {
  const std::vector<std::string> records = {"first", std::string(300, 's'), "third"};
  ASSERT_TRUE(Open()->Append(records).ok());
  const std::string whole = Bytes();
  for (size_t size = 0; size <= whole.size(); ++size) {
    SetBytes(whole.substr(0, size));
    // Where the records end: 8 bytes before all of them, and 8 before each.
    size_t count = 0;
    for (size_t end = 8; count < 3 && end + 8 + records[count].size() <= size; ++count) {
      end += 8 + records[count].size();
    }
    std::vector<std::string> expected(records.begin(),
                                      records.begin() + static_cast<std::ptrdiff_t>(count));
    auto spool = Open();
    ASSERT_THAT(All(*spool), ElementsAreArray(expected)) << size;
    ASSERT_TRUE(spool->Append({"more"}).ok()) << size;
    expected.push_back("more");
    spool = Open();
    ASSERT_THAT(All(*spool), ElementsAreArray(expected)) << size;
  }
  EXPECT_FALSE(fs::exists(File() + ".foreign"));
}

TEST_F(RowSpoolTest, WhatIsCutIsKeptAside) {
  ASSERT_TRUE(Open()->Append({"first", "second", "third"}).ok());
  const std::string whole = Bytes();
  const size_t second = 8 + 8 + 5;  // where its length stands
  std::string bytes = whole;
  bytes[second + 3] = '\x7f';
  SetBytes(bytes);
  EXPECT_THAT(All(*Open()), ElementsAre("first"));
  EXPECT_EQ(Bytes(), whole.substr(0, second));
  EXPECT_EQ(Bytes(File() + ".bad"), bytes.substr(second));
  EXPECT_EQ(fs::status(File() + ".bad").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);

  SetBytes(whole + "more");
  EXPECT_EQ(All(*Open()).size(), 3u);
  EXPECT_EQ(Bytes(File() + ".bad"), bytes.substr(second) + "more");
  SetBytes(whole + "last");
  EXPECT_EQ(All(*Open(/*bytes_max=*/30)).size(), 3u);
  EXPECT_EQ(Bytes(File() + ".bad"), "last");  // the bound holds for it too
}

TEST_F(RowSpoolTest, WhereWhatWouldBeCutCannotBeKeptNothingIsCut) {
  ASSERT_TRUE(Open()->Append({"first"}).ok());
  SetBytes(Bytes() + "more");
  const std::string bytes = Bytes();
  fs::create_directories(File() + ".bad");
  auto spool = Open();
  EXPECT_EQ(spool->Append({"a"}).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Bytes(), bytes);
  fs::remove(File() + ".bad");
  ASSERT_TRUE(spool->Append({"a"}).ok());
  EXPECT_THAT(All(*spool), ElementsAre("first", "a"));
}

TEST_F(RowSpoolTest, ADiskThatCannotBeReadIsNoEnd) {
  ASSERT_TRUE(Open()->Append({"first", "second"}).ok());
  const std::string whole = Bytes();
  auto spool = Open();
  disk_fails = true;
  const auto read = spool->Read(0, 10, 100, [](absl::string_view) {});
  const absl::Status appended = spool->Append({"third"});
  disk_fails = false;
  EXPECT_EQ(read.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("cannot read"));
  EXPECT_EQ(appended.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Bytes(), whole);
  EXPECT_FALSE(fs::exists(File() + ".bad"));
  ASSERT_TRUE(spool->Append({"third"}).ok());
  EXPECT_THAT(All(*spool), ElementsAre("first", "second", "third"));
}

TEST_F(RowSpoolTest, ADamagedRecordIsPassedOverAndCounted) {
  ASSERT_TRUE(Open()->Append({"first", "second", "third"}).ok());
  std::string bytes = Bytes();
  bytes[bytes.find("second")] = 'S';
  SetBytes(bytes);
  int64_t damaged = 0;
  EXPECT_THAT(All(*Open(), &damaged), ElementsAre("first", "third"));
  EXPECT_EQ(damaged, 1);
}

TEST_F(RowSpoolTest, NoDamageGivesARecordThatWasNotWritten) {
  const std::vector<std::string> records = {"first", "second", std::string(40, 't')};
  ASSERT_TRUE(Open()->Append(records).ok());
  const std::string whole = Bytes();
  std::mt19937 random(20'240'501);
  for (int round = 0; round < 500; ++round) {
    std::string bytes = whole;
    for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes) {
      bytes[8 + random() % (bytes.size() - 8)] = static_cast<char>(random());
    }
    SetBytes(bytes);
    auto spool = Open();
    for (const std::string& record : All(*spool)) {
      ASSERT_THAT(records, ::testing::Contains(record)) << round;
    }
    ASSERT_TRUE(spool->Append({"more"}).ok());
    ASSERT_EQ(All(*spool).back(), "more") << round;
  }
}

TEST_F(RowSpoolTest, AFileOfSomethingElseIsKeptAside) {
  SetBytes("SQLite format 3, or a letter");
  auto spool = Open();
  EXPECT_THAT(All(*spool), IsEmpty());
  ASSERT_TRUE(spool->Append({"a"}).ok());
  EXPECT_THAT(All(*spool), ElementsAre("a"));
  std::ifstream aside(File() + ".foreign");
  std::string text;
  std::getline(aside, text);
  EXPECT_EQ(text, "SQLite format 3, or a letter");
}

TEST_F(RowSpoolTest, BeyondItsBoundNothingIsAppended) {
  auto spool = Open(100);
  ASSERT_TRUE(spool->Append({std::string(40, 'a')}).ok());
  EXPECT_EQ(spool->Append({std::string(30, 'b'), std::string(30, 'c')}).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(All(*spool).size(), 1u);
  ASSERT_TRUE(spool->Append({std::string(20, 'd')}).ok());
  EXPECT_EQ(All(*spool).size(), 2u);
}

TEST_F(RowSpoolTest, APlaceThatIsNoFolderIsAnErrorNotACrash) {
  std::ofstream(Folder()) << "a file";
  auto spool = Open();
  EXPECT_EQ(spool->Append({"a"}).code(), absl::StatusCode::kUnavailable);
  fs::remove(Folder());
  EXPECT_TRUE(spool->Append({"a"}).ok());
}

TEST_F(RowSpoolTest, AFullDiskLeavesWhatIsThereAndTakesMoreOnceThereIsRoom) {
  auto spool = Open();
  ASSERT_TRUE(spool->Append({"a"}).ok());
  // A file of this process can't grow beyond 1000 bytes: a write is cut short, and the next fails.
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit tight = before;
  tight.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &tight);
  const absl::Status failed = spool->Append({"b", std::string(5000, 'c')});
  const absl::Status fits = spool->Append({"d"});
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(fits.ok()) << fits;
  ASSERT_TRUE(spool->Append({"e"}).ok());
  EXPECT_THAT(All(*spool), ElementsAre("a", "d", "e"));
}

TEST(SpooledRowTest, ARowComesBackAsItWasGiven) {
  RequestRow row;
  row.row_id = "id";
  row.prompt = std::string("a\0b", 3);
  row.cost = NanoUsd{-1};
  const auto parameters = UpsertParameters(row, ContentPolicy::kOn, 100);
  for (const bool alone : {false, true}) {
    const auto back = DecodeSpooledRow(EncodeSpooledRow(parameters, alone));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->alone, alone);
    EXPECT_EQ(back->parameters.size(), parameters.size());
    EXPECT_EQ(std::get<std::string>(back->parameters[kPromptAt]), row.prompt);
    EXPECT_EQ(EncodeSpooledRow(back->parameters, alone), EncodeSpooledRow(parameters, alone));
  }
}

TEST(SpooledRowTest, ARowOfAnOlderVersionIsFilledUpAndANewersRefused) {
  RequestRow row;
  row.row_id = "id";
  auto parameters = UpsertParameters(row, ContentPolicy::kOn, 100);
  const size_t count = parameters.size();
  parameters.resize(22);  // before there were tenants
  const auto older = DecodeSpooledRow(EncodeSpooledRow(parameters, false));
  ASSERT_TRUE(older.has_value());
  ASSERT_EQ(older->parameters.size(), count);
  EXPECT_EQ(std::get<std::string>(older->parameters[22]), "default");
  parameters = UpsertParameters(row, ContentPolicy::kOn, 100);
  parameters.emplace_back(int64_t{1});
  EXPECT_FALSE(DecodeSpooledRow(EncodeSpooledRow(parameters, false)).has_value());
}

TEST(SpooledRowTest, BytesOfSomethingElseAreRefused) {
  const std::string bytes =
      EncodeSpooledRow(UpsertParameters(RequestRow(), ContentPolicy::kOn, 1), false);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeSpooledRow(absl::string_view(bytes).substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(DecodeSpooledRow(bytes + "x").has_value());
  std::string other = bytes;
  other[2] = 1;  // the row's id a number
  EXPECT_FALSE(DecodeSpooledRow(other).has_value());
}

}  // namespace
}  // namespace aibackend::usage
