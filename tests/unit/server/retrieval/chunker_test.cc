#include "server/retrieval/chunker.h"

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/text.h"
#include "server/retrieval/sentences.h"

namespace aibackend::retrieval {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Sentences(const std::string& text) {
  std::vector<std::string> found;
  for (const Sentence& s : SplitSentences(text)) {
    found.push_back(text.substr(s.start, s.end - s.start));
  }
  return found;
}

std::string Repeat(const std::string& text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) repeated += text;
  return repeated;
}

TEST(SentencesTest, EndAtFullStopsButNotAtAbbreviations) {
  EXPECT_THAT(Sentences("Dr. J. Smith paid 3.50 dollars. He left!  Why? "),
              ElementsAre("Dr. J. Smith paid 3.50 dollars.", "He left!", "Why?"));
}

TEST(SentencesTest, JapaneseEndsAtItsOwnStops) {
  EXPECT_THAT(Sentences("梅雨は雨季です。\u3000五月に始まる。"),
              ElementsAre("梅雨は雨季です。", "五月に始まる。"));
}

TEST(SentencesTest, AWrappedLineGoesOnAndAShortOneEnds) {
  EXPECT_THAT(Sentences("Refund policy\nRefunds are granted within thirty days after the\nday of "
                        "purchase.\n- first item\n- second item"),
              ElementsAre("Refund policy",
                          "Refunds are granted within thirty days after the\nday of purchase.",
                          "- first item", "- second item"));
}

TEST(ChunkerTest, AShortTextIsOneChunk) {
  EXPECT_THAT(CutIntoChunks("  One. Two.\n"), ElementsAre(Span{2, 11}));
}

TEST(ChunkerTest, ATextWithoutASentenceIsOneChunk) {
  EXPECT_THAT(CutIntoChunks(" \n "), ElementsAre(Span{0, 3}));
  EXPECT_THAT(CutIntoChunks(""), ElementsAre(Span{0, 0}));
}

TEST(ChunkerTest, AChunkEndsBeforeAHeadingWhereItCan) {
  const std::string section = Repeat("Some sentence of the section is here. ", 35);
  const std::string text = section + "\n\n# Second\n\n" + section;
  const auto chunks = CutIntoChunks(text);
  ASSERT_EQ(chunks.size(), 2U);
  EXPECT_EQ(text.substr(chunks[1].start, 8), "# Second");
}

TEST(ChunkerTest, AChunkInsideAParagraphRepeatsTheSentenceBefore) {
  std::string text;
  for (int i = 0; i < 80; ++i) absl::StrAppend(&text, "Sentence number ", i, " of a long story. ");
  const auto chunks = CutIntoChunks(text);
  ASSERT_GE(chunks.size(), 2U);
  for (size_t i = 1; i < chunks.size(); ++i) EXPECT_LT(chunks[i].start, chunks[i - 1].end);
}

TEST(ChunkerTest, AnEndlessSentenceIsCutBetweenCharacters) {
  const std::string text = Repeat("あ", 10'000);
  const auto chunks = CutIntoChunks(text);
  ASSERT_GT(chunks.size(), 3U);
  size_t covered = 0;
  for (const Span& chunk : chunks) {
    EXPECT_EQ(chunk.start, covered);
    EXPECT_EQ(chunk.start % 3, 0U);
    covered = chunk.end;
  }
  EXPECT_EQ(covered, text.size());
}

std::string RandomText(std::mt19937& random) {
  static const std::vector<std::string> parts = {
      "word", " ",      ". ",      "\n",  "\n\n",   "。", "東京",
      "é",    "😀",      "\r\n",    "# ",  "- item", "U.", "? ",
      "\t",   "\u3000", "Ünïcode", "...", "1.5",    "A",  std::string(1, '\0')};
  std::uniform_int_distribution<size_t> pick(0, parts.size() - 1);
  std::string text;
  const size_t size = std::uniform_int_distribution<size_t>(0, 4000)(random);
  for (size_t i = 0; i < size; ++i) text += parts[pick(random)];
  return text;
}

TEST(ChunkerTest, ChunksOfAnyTextAreInOrderWholeCharactersAndHoldEverySentence) {
  for (unsigned seed = 0; seed < 150; ++seed) {
    std::mt19937 random(seed);
    const std::string text = RandomText(random);
    const auto chunks = CutIntoChunks(text);
    ASSERT_FALSE(chunks.empty());
    for (size_t i = 0; i < chunks.size(); ++i) {
      ASSERT_LE(chunks[i].start, chunks[i].end);
      ASSERT_LE(chunks[i].end, text.size());
      const std::string chunk = text.substr(chunks[i].start, chunks[i].end - chunks[i].start);
      ASSERT_TRUE(IsValidUtf8(chunk)) << "seed " << seed;
      ASSERT_LE(CountCharacters(chunk), 2 * kChunkCharsMax) << "seed " << seed;
      if (i > 0) {
        ASSERT_GT(chunks[i].start, chunks[i - 1].start) << "seed " << seed;
        ASSERT_GT(chunks[i].end, chunks[i - 1].end) << "seed " << seed;
      }
    }
    for (const Sentence& s : SplitSentences(text)) {
      size_t covered = s.start;
      for (const Span& chunk : chunks) {
        if (chunk.start <= covered && chunk.end > covered) covered = chunk.end;
      }
      ASSERT_GE(covered, s.end) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace aibackend::retrieval
