#include "server/tasks/sample_corpus.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/text.h"

namespace aibackend::tasks {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(SampleCorpusTest, HasAtLeastFiftyDocumentsWithIdsOfTheirOwn) {
  const auto documents = SampleCorpus();
  EXPECT_GE(documents.size(), 50u);
  std::set<std::string> ids;
  for (const auto& document : documents) {
    EXPECT_THAT(document.id, StartsWith("sample-"));
    EXPECT_TRUE(ids.insert(document.id).second) << document.id << " is there twice";
  }
}

TEST(SampleCorpusTest, EveryDocumentIsUtf8WithATitleAndParagraphs) {
  for (const auto& document : SampleCorpus()) {
    SCOPED_TRACE(document.id);
    EXPECT_TRUE(IsValidUtf8(ToAbsl(document.title)));
    EXPECT_TRUE(IsValidUtf8(ToAbsl(document.text)));
    EXPECT_FALSE(document.title.empty());
    EXPECT_THAT(document.title, Not(StartsWith("#")));
    EXPECT_THAT(document.text, Not(StartsWith("\n")));
    EXPECT_THAT(document.text, HasSubstr("\n\n"));
    EXPECT_THAT(document.text, Not(HasSubstr("\n#")));
    EXPECT_GE(document.text.size(), 600u);
    EXPECT_LE(document.text.size(), 2000u);
  }
}

TEST(SampleCorpusTest, TheTextIsTheFilesBodyWithoutTheTitleLine) {
  for (const auto& document : SampleCorpus()) {
    if (document.id != "sample-fastapi") continue;
    EXPECT_EQ(document.title, "FastAPI");
    EXPECT_THAT(document.text,
                StartsWith("FastAPI is a modern Python web framework for building APIs, based on "
                           "standard Python type hints."));
    return;
  }
  FAIL() << "sample-fastapi is not in the corpus";
}

TEST(SampleCorpusTest, SomeDocumentsAreJapanese) {
  int japanese = 0;
  for (const auto& document : SampleCorpus()) {
    if (document.text.find("。") != std::string::npos) ++japanese;
  }
  EXPECT_GE(japanese, 4);
}

}  // namespace
}  // namespace aibackend::tasks
