#include "client/cli/test_collection.h"

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class TestCollectionTest : public ::testing::Test {
 protected:
  std::string File(const std::string& content) const {
    const std::string path = folder_.File("lines");
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  // What is wrong with a file of this content, after the folder's name.
  template <class Read>
  std::string Problem(const Read& read, const std::string& content) const {
    const std::string message(read(File(content)).status().message());
    const size_t at = message.find("lines:");
    return at == std::string::npos ? message : message.substr(at);
  }

  const TempFolder folder_;
};

TEST_F(TestCollectionTest, DocumentsAreReadWithTheirFields) {
  const auto documents = ReadDocuments(
      File("{\"id\": \"a\", \"title\": \"T\", \"text\": \"\xC3\xA9\\n\", \"other\": [1]}\n\n"
           "{\"_id\": 7, \"text\": \"\"}\r\n"));
  ASSERT_TRUE(documents.ok()) << documents.status();
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ((*documents)[0].id, "a");
  EXPECT_EQ((*documents)[0].title, "T");
  EXPECT_EQ((*documents)[0].text, "\xC3\xA9\n");
  EXPECT_EQ((*documents)[1].id, "7");
  EXPECT_EQ((*documents)[1].title, "");
}

TEST_F(TestCollectionTest, AMalformedLineIsNamedByFileAndNumber) {
  const std::string good = "{\"id\": \"a\", \"text\": \"x\"}\n\n";
  EXPECT_THAT(Problem(ReadDocuments, good + "{\"id\": "), HasSubstr("lines:3: is not a JSON obj"));
  EXPECT_THAT(Problem(ReadDocuments, good + "[1]"), HasSubstr("lines:3: is not a JSON object"));
  EXPECT_EQ(Problem(ReadDocuments, good + "{\"id\": \"b\"}"), "lines:3: \"text\" must be a string");
  EXPECT_EQ(Problem(ReadDocuments, good + "{\"id\": \"b\", \"text\": 1}"),
            "lines:3: \"text\" must be a string");
  EXPECT_EQ(Problem(ReadDocuments, good + "{\"id\": \"b\", \"text\": \"x\", \"title\": null}"),
            "lines:3: \"title\" must be a string");
  EXPECT_EQ(Problem(ReadDocuments, good + "{\"text\": \"x\"}"),
            "lines:3: \"id\" must be a string or an integer");
  EXPECT_EQ(Problem(ReadDocuments, good + "{\"id\": 1.5, \"text\": \"x\"}"),
            "lines:3: \"id\" must be a string or an integer");
  EXPECT_EQ(Problem(ReadDocuments, good + "{\"id\": \"\", \"text\": \"x\"}"),
            "lines:3: \"id\" is empty");
  EXPECT_EQ(Problem(ReadDocuments, good + good), "lines:3: the id \"a\" stands in line 1 too");
  EXPECT_EQ(Problem(ReadQueries, "{\"id\": \"q\", \"text\": \"\"}"), "lines:1: \"text\" is empty");
}

TEST_F(TestCollectionTest, FilesThatCannotBeReadSaySo) {
  EXPECT_THAT(std::string(ReadQrels("/nonexistent/qrels").status().message()),
              EndsWith("/nonexistent/qrels: No such file or directory"));
  EXPECT_THAT(Problem(ReadQrels, ""), EndsWith("is empty"));
  EXPECT_THAT(Problem(ReadQueries, "{\"id\": \"\xFF\"}"), EndsWith("is not UTF-8 text"));
}

TEST_F(TestCollectionTest, JudgementsAreReadInEachOfTheirFormats) {
  for (const char* content : {"q1\td1\t2\nq 2\td2\t-1\n", "q1 0 d1 2\r\nq2 0 d2 -1\r\n",
                              "query-id\tcorpus-id\tscore\nq1\td1\t2\nq 2\td2\t-1"}) {
    const auto qrels = ReadQrels(File(content));
    ASSERT_TRUE(qrels.ok()) << qrels.status();
    ASSERT_EQ(qrels->size(), 2u);
    EXPECT_EQ((*qrels)[0].query, "q1");
    EXPECT_EQ((*qrels)[0].document, "d1");
    EXPECT_EQ((*qrels)[0].relevance, 2);
    EXPECT_EQ((*qrels)[1].document, "d2");
    EXPECT_EQ((*qrels)[1].relevance, -1);
  }
}

TEST_F(TestCollectionTest, AMalformedJudgementIsNamedByFileAndNumber) {
  EXPECT_THAT(Problem(ReadQrels, "q d 1\nq d\n"), HasSubstr("lines:2: has 2 columns"));
  EXPECT_THAT(Problem(ReadQrels, "q 0 d 1 run\n"), HasSubstr("lines:1: has 5 columns"));
  EXPECT_EQ(Problem(ReadQrels, "q d 1\nquery d score\n"),
            "lines:2: the relevance \"score\" is not a number");
  EXPECT_EQ(Problem(ReadQrels, "q d nan\n"), "lines:1: the relevance \"nan\" is not a number");
}

}  // namespace
}  // namespace aibackend::cli
