#include "server/retrieval/index_snapshot.h"

#include <sys/stat.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "gmock/gmock.h"
#include "server/retrieval/snapshot_folder.h"
#include "tests/unit/server/retrieval/sample_texts.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::retrieval {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kDocuments = 60;
constexpr int kGeneration = 3;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void WriteAll(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// What a search gives, in a form that compares bit for bit.
using Answer = std::vector<std::tuple<std::string, size_t, double>>;

std::vector<Answer> AnswersOf(const CollectionIndex& index) {
  std::vector<Answer> answers;
  for (const Mode mode : {Mode::kHybrid, Mode::kLexical, Mode::kDense}) {
    for (int i = 0; i < 2 * kDocuments; i += 3) {
      SearchQuery query;
      const std::string text = SampleText(i);
      query.text = i % 2 == 0 ? absl::string_view(text) : absl::string_view(text).substr(0, 60);
      query.top_k = 20;
      query.mode = mode;
      const SearchResult found = *index.Search(query);
      Answer& answer = answers.emplace_back();
      answer.emplace_back("confidence", found.generation, found.confidence);
      for (const Hit& hit : found.hits) {
        answer.emplace_back(hit.document->id, hit.ordinal, hit.score);
      }
    }
  }
  return answers;
}

class IndexSnapshotTest : public testing::Test {
 protected:
  IndexSnapshotTest() : folder_(temp_.File("index")) {
    std::vector<Change> changes;
    for (int i = 0; i < kDocuments; ++i) {
      documents_[i + 1] = SampleDocument(i);
      changes.push_back({0, documents_[i + 1]});
    }
    index_.Apply(changes);
    EXPECT_TRUE(index_.Fit(kGeneration));
    EXPECT_TRUE(folder_.Prepare({}).ok());
    head_.id = {"default", "default"};
    head_.generation = kGeneration;
    head_.embedder = "fitted";
    head_.dimensions = index_.dimensions();
    head_.fitted_chunks = static_cast<int64_t>(index_.fitted_chunks());
  }

  // Of the database and the index.
  void Add(int i) {
    documents_[i + 1] = SampleDocument(i);
    index_.Apply({{0, documents_[i + 1]}});
  }
  void Remove(int i) {
    documents_.erase(i + 1);
    index_.Apply({{i + 1, nullptr}});
  }

  void Save() {
    auto draft = folder_.Write(head_, index_);
    ASSERT_TRUE(draft.ok()) << draft.status();
    ASSERT_TRUE(draft->Commit().ok());
  }

  absl::StatusOr<std::shared_ptr<CollectionIndex>> Load() const {
    return folder_.Read(head_, [this](int64_t seq) {
      const auto found = documents_.find(seq);
      return found == documents_.end() ? nullptr : found->second;
    });
  }

  std::string Problem() const { return std::string(Load().status().message()); }
  std::string path() const { return folder_.PathOf(head_.id); }

  TempFolder temp_;
  SnapshotFolder folder_;
  std::map<int64_t, DocumentPtr> documents_;  // the database, by seq
  CollectionIndex index_;
  SnapshotHead head_;
};

TEST_F(IndexSnapshotTest, WhatIsLoadedAnswersBitForBitAsWhatWasSaved) {
  Save();
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(AnswersOf(**loaded) == AnswersOf(index_));
  EXPECT_EQ((*loaded)->generation(), kGeneration);
  EXPECT_EQ((*loaded)->documents(), index_.documents());
  EXPECT_EQ((*loaded)->fitted_chunks(), index_.fitted_chunks());
  EXPECT_EQ((*loaded)->changes(), 0U);
}

TEST_F(IndexSnapshotTest, WhatCameAndWentAfterTheFitIsInIt) {
  for (int i = 0; i < 10; ++i) Remove(3 * i);
  for (int i = 0; i < 12; ++i) Add(kDocuments + i);
  Remove(kDocuments + 4);
  Save();
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(AnswersOf(**loaded) == AnswersOf(index_));
  EXPECT_EQ((*loaded)->slots(), index_.slots());
  EXPECT_EQ((*loaded)->chunks(), index_.chunks());
}

TEST_F(IndexSnapshotTest, WhatWentSinceIsLeftOutAsIfItHadBeenRemoved) {
  Save();
  for (int i = 1; i < 20; i += 2) Remove(i);
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(AnswersOf(**loaded) == AnswersOf(index_));
  EXPECT_FALSE((*loaded)->Holds(2));
  EXPECT_TRUE((*loaded)->Holds(1));
  EXPECT_GT((*loaded)->changes(), 0U);
}

TEST_F(IndexSnapshotTest, ALoadedIndexGoesOnAsTheOneThatWasSaved) {
  Save();
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const std::vector<Change> changes = {
      {5, nullptr}, {0, SampleDocument(kDocuments)}, {7, SampleDocument(kDocuments + 1)}};
  index_.Apply(changes);
  (*loaded)->Apply(changes);
  EXPECT_TRUE(AnswersOf(**loaded) == AnswersOf(index_));
}

TEST_F(IndexSnapshotTest, ADocumentThatIsNotTheSavedOneIsNotTakenForIt) {
  Save();
  auto other_text = std::make_shared<Document>(*documents_[1]);
  other_text->text[9] = 'X';
  auto other_title = std::make_shared<Document>(*documents_[2]);
  other_title->title = "Another";
  auto other_chunks = std::make_shared<Document>(*documents_[3]);
  other_chunks->chunks[0].end -= 1;
  documents_[1] = other_text;
  documents_[2] = other_title;
  documents_[3] = other_chunks;
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  for (int64_t seq = 1; seq <= 4; ++seq) EXPECT_EQ((*loaded)->Holds(seq), seq == 4);
}

TEST_F(IndexSnapshotTest, WhatWasRemovedLeavesNoVectorInTheFile) {
  const std::string text = SampleText(7);
  std::vector<float> vector(index_.dimensions());
  std::vector<const Bag*> bags;
  std::vector<Bag> all;
  for (const auto& [seq, document] : documents_) all.push_back(AnalyzeText(document->text).words);
  for (const Bag& bag : all) bags.push_back(&bag);
  ASSERT_TRUE(FittedSpace::Fit(bags)->Embed(AnalyzeText(text).words, vector.data()));
  const std::string bytes(reinterpret_cast<const char*>(vector.data()),
                          vector.size() * sizeof(float));
  Save();
  ASSERT_THAT(ReadAll(path()), HasSubstr(bytes));
  Remove(7);
  Save();
  EXPECT_THAT(ReadAll(path()), Not(HasSubstr(bytes)));
}

TEST_F(IndexSnapshotTest, AnotherGenerationOrAnothersSnapshotIsRefused) {
  Save();
  const SnapshotHead right = head_;
  head_.generation = kGeneration + 1;
  EXPECT_THAT(Problem(), HasSubstr("generation"));
  head_ = right;
  head_.embedder = "text-embedding-3-small";
  EXPECT_THAT(Problem(), HasSubstr("generation"));
  head_ = right;
  head_.embedder_key = "other";
  EXPECT_THAT(Problem(), HasSubstr("generation"));
  head_ = right;
  head_.fitted_chunks -= 1;
  EXPECT_THAT(Problem(), HasSubstr("generation"));
  head_ = right;
  head_.id.tenant = "other";
  EXPECT_TRUE(absl::IsNotFound(Load().status()));
  fs::copy_file(folder_.PathOf(right.id), path());
  EXPECT_THAT(Problem(), HasSubstr("generation"));
  head_ = right;
  EXPECT_TRUE(Load().ok());
}

TEST_F(IndexSnapshotTest, AnotherFormatOrMethodIsRefused) {
  Save();
  const std::string bytes = ReadAll(path());
  std::string other = bytes;
  other[7] = '2';
  WriteAll(path(), other);
  EXPECT_THAT(Problem(), HasSubstr("format"));
  other = bytes;
  other[other.find(IndexMethod())] = 'A';
  WriteAll(path(), other);
  EXPECT_THAT(Problem(), HasSubstr("another way"));
}

TEST_F(IndexSnapshotTest, TextsThatAreAnalysedInAnotherWayNowAreNoticed) {
  // As if the analyzer had changed and nobody had said so: the same content, other terms.
  auto strange = std::make_shared<Document>(*documents_[1]);
  strange->title = strange->text;
  CollectionIndex index;
  std::vector<Change> changes = {{0, strange}};
  for (int i = 1; i < kDocuments; ++i) changes.push_back({0, documents_[i + 1]});
  index.Apply(changes);
  ASSERT_TRUE(index.Fit(kGeneration));
  head_.dimensions = index.dimensions();
  strange->title.clear();
  auto draft = folder_.Write(head_, index);
  ASSERT_TRUE(draft.ok() && draft->Commit().ok());
  EXPECT_THAT(Problem(), HasSubstr("analysed"));
}

TEST_F(IndexSnapshotTest, AnyByteThatIsWrongIsNoticed) {
  Save();
  const std::string bytes = ReadAll(path());
  std::mt19937 random(1);
  for (int i = 0; i < 1500; ++i) {
    std::string damaged = bytes;
    const size_t at = random() % bytes.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 + random() % 255));
    WriteAll(path(), damaged);
    ASSERT_TRUE(absl::IsDataLoss(Load().status())) << "at " << at << " of " << bytes.size();
  }
}

TEST_F(IndexSnapshotTest, AFileThatEndsTooEarlyOrTooLateIsNoticed) {
  Save();
  const std::string bytes = ReadAll(path());
  std::mt19937 random(2);
  for (int i = 0; i < 1500; ++i) {
    const size_t end = i < 100 ? static_cast<size_t>(i) : random() % bytes.size();
    WriteAll(path(), bytes.substr(0, end));
    ASSERT_TRUE(absl::IsDataLoss(Load().status())) << "ends at " << end;
  }
  WriteAll(path(), bytes + '\0');
  EXPECT_THAT(Problem(), HasSubstr("follows"));
  WriteAll(path(), bytes);
  EXPECT_TRUE(Load().ok());
}

// Makes the checksums of a damaged file right, as far as its sections can be followed.
void Mend(std::string& bytes) {
  const auto put = [&](size_t at, auto value) { std::memcpy(&bytes[at], &value, sizeof value); };
  const auto crc_of = [&](uint32_t crc, size_t at, size_t size) {
    return static_cast<uint32_t>(
        crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()) + at, size));
  };
  uint32_t headers = 0;
  for (size_t at = 8; at + 16 <= bytes.size();) {
    uint64_t size = 0;
    std::memcpy(&size, &bytes[at + 8], sizeof size);
    if (size > bytes.size() - at - 16) return;
    if (at + 16 + size == bytes.size() && size == 12) {
      put(at + 16, static_cast<uint64_t>(at));
      put(at + 24, headers);
    }
    put(at + 4, crc_of(0, at + 16, size));
    headers = crc_of(headers, at, 16);
    at += 16 + size;
  }
}

TEST_F(IndexSnapshotTest, NothingWithRightChecksumsCrashesALoadOrASearch) {
  Remove(11);
  Save();
  const std::string bytes = ReadAll(path());
  std::string whole = bytes;
  Mend(whole);
  ASSERT_EQ(whole, bytes);
  std::mt19937 random(3);
  int loaded = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = bytes;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      const size_t at = random() % (damaged.size() - 8);
      switch (random() % 4) {
        case 0:
          damaged[at] = static_cast<char>(random());
          break;
        case 1:
          std::memset(&damaged[at], 0xff, 1 + random() % 8);
          break;
        case 2:
          std::memset(&damaged[at], 0, 1 + random() % 8);
          break;
        default:
          damaged.erase(at, 1 + random() % 4);
      }
    }
    Mend(damaged);
    WriteAll(path(), damaged);
    const auto index = Load();
    if (!index.ok()) continue;
    ++loaded;
    SearchQuery query;
    query.text = "glacier lake patient fever opera";
    query.top_k = 100;
    for (const Mode mode : {Mode::kHybrid, Mode::kLexical, Mode::kDense}) {
      query.mode = mode;
      const SearchResult found = *(*index)->Search(query);
      for (const Hit& hit : found.hits) ASSERT_NE(hit.document, nullptr);
    }
    (*index)->Apply({{20, nullptr}, {0, SampleDocument(kDocuments)}});
  }
  EXPECT_GT(loaded, 100);  // else the checks behind the checksums were not tried
}

TEST_F(IndexSnapshotTest, ADraftThatWasNotPutInPlaceChangesNothing) {
  Save();
  const std::string bytes = ReadAll(path());
  Remove(1);
  {
    const auto draft = folder_.Write(head_, index_);
    ASSERT_TRUE(draft.ok());
    EXPECT_EQ(ReadAll(path()), bytes);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(temp_.File("index")), {}), 1);
}

TEST_F(IndexSnapshotTest, AStartRemovesWhatACrashLeftAndWhatNobodyOwns) {
  Save();
  const std::string left = temp_.File("index/abcdef.snapshot.new");
  const std::string gone = folder_.PathOf({"gone", "default"});
  const std::string foreign = temp_.File("index/notes.txt");
  for (const std::string& file : {left, gone, foreign}) WriteAll(file, "x");
  ASSERT_TRUE(folder_.Prepare({head_.id}).ok());
  EXPECT_FALSE(fs::exists(left));
  EXPECT_FALSE(fs::exists(gone));
  EXPECT_TRUE(fs::exists(foreign));
  EXPECT_TRUE(Load().ok());
}

TEST_F(IndexSnapshotTest, OnlyTheOwnerMayRead) {
  Save();
  EXPECT_EQ(fs::status(path()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(temp_.File("index")).permissions(), fs::perms::owner_all);
}

TEST_F(IndexSnapshotTest, NoNameLeavesTheFolder) {
  std::vector<std::string> paths;
  for (const char* name : {".", "..", "../../etc", "a", "A"}) {
    for (const char* tenant : {"", "..", "a/b", "default"}) {
      const std::string path = folder_.PathOf({name, tenant});
      EXPECT_EQ(fs::path(path).parent_path(), temp_.File("index"));
      paths.push_back(path);
    }
  }
  std::sort(paths.begin(), paths.end());
  EXPECT_EQ(std::unique(paths.begin(), paths.end()), paths.end());
}

TEST_F(IndexSnapshotTest, WhatIsNoPlainFileIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  EXPECT_THAT(Problem(), HasSubstr("plain file"));
  fs::remove(path());
  Save();
  fs::rename(path(), temp_.File("elsewhere"));
  fs::create_symlink(temp_.File("elsewhere"), path());
  EXPECT_FALSE(Load().ok());
}

TEST_F(IndexSnapshotTest, AFolderThatCannotBeWrittenIsAnError) {
  fs::remove_all(temp_.File("index"));
  EXPECT_FALSE(folder_.Write(head_, index_).ok());
  WriteAll(temp_.File("index"), "a file in its place");
  EXPECT_FALSE(folder_.Prepare({}).ok());
}

}  // namespace
}  // namespace aibackend::retrieval
