#include "server/retrieval/chunker.h"

#include <algorithm>
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

// Headings, paragraphs and lists of sentences of many lengths in several scripts.
std::string RandomProse(std::mt19937& random) {
  static const std::vector<std::vector<std::string>> scripts = {
      {"Refunds ", "are ", "granted ", "within ", "thirty ", "days "},
      {"Größe ", "über ", "naïve ", "Straße ", "façade "},
      {"книга ", "дом ", "Москва ", "рынок "},
      {"梅雨", "東京都", "値段", "と"},
      {"😀 ", "e\u0301 ", "🇯🇵 "}};
  const auto pick = [&](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random);
  };
  std::string text;
  const size_t blocks = 3 + pick(30);
  for (size_t block = 0; block < blocks; ++block) {
    if (pick(4) == 0) absl::StrAppend(&text, "## Part ", block, "\n");
    if (pick(4) == 0) absl::StrAppend(&text, "- ");
    const auto& words = scripts[pick(scripts.size())];
    const size_t sentences = 1 + pick(20);
    for (size_t i = 0; i < sentences; ++i) {
      const size_t length = 1 + pick(pick(10) == 0 ? 600 : 40);
      text += "A";
      for (size_t word = 0; word < length; ++word) text += words[pick(words.size())];
      text += words[0] == "梅雨" ? "。" : ". ";
    }
    text += pick(3) == 0 ? "\n" : "\n\n";
  }
  return text;
}

int RankOf(const Sentence& sentence) {
  return sentence.is_heading ? 2 : sentence.starts_paragraph ? 1 : 0;
}

// What a text's chunks must be, seen from its sentences alone.
class BorderCheck {
 public:
  explicit BorderCheck(const std::string& text)
      : text_(text), sentences_(SplitSentences(text)), chunks_(CutIntoChunks(text)) {}

  void Run() const {
    for (size_t i = 0; i < chunks_.size(); ++i) {
      EXPECT_TRUE(IsStart(chunks_[i].start) || IsInLongSentence(chunks_[i].start)) << i;
      EXPECT_TRUE(IsEnd(chunks_[i].end) || IsInLongSentence(chunks_[i].end)) << i;
      if (i > 0 && chunks_[i].start < chunks_[i - 1].end) {
        EXPECT_LE(Chars(chunks_[i].start, chunks_[i - 1].end), kChunkOverlapCharsMax) << i;
      }
      if (i + 1 < chunks_.size()) CheckBorder(chunks_[i]);
    }
  }

 private:
  size_t Chars(size_t start, size_t end) const {
    return CountCharacters(absl::string_view(text_).substr(start, end - start));
  }
  bool IsStart(size_t position) const {
    return std::any_of(sentences_.begin(), sentences_.end(),
                       [&](const Sentence& s) { return s.start == position; });
  }
  bool IsEnd(size_t position) const {
    return std::any_of(sentences_.begin(), sentences_.end(),
                       [&](const Sentence& s) { return s.end == position; });
  }
  bool IsInLongSentence(size_t position) const {
    return std::any_of(sentences_.begin(), sentences_.end(), [&](const Sentence& s) {
      return s.start < position && position < s.end && Chars(s.start, s.end) > kChunkCharsTarget;
    });
  }

  // No better border lies in the chunk's last quarter, and what a heading is of is not cut off it.
  void CheckBorder(const Span& chunk) const {
    int taken = 0;
    for (const Sentence& s : sentences_) {
      if (s.start < chunk.end) continue;
      if (IsEnd(chunk.end)) taken = RankOf(s);
      break;
    }
    size_t chars = 0;
    bool after_heading = false;
    bool has_text = false;
    for (const Sentence& s : sentences_) {
      if (s.end <= chunk.start) continue;
      if (s.start >= chunk.end) break;
      const bool is_in_reach = s.start > chunk.start && chars >= kChunkCharsTarget * 3 / 4;
      if (is_in_reach && !after_heading) EXPECT_LE(RankOf(s), taken) << "at " << s.start;
      chars += Chars(std::max(s.start, chunk.start), std::min(s.end, chunk.end));
      after_heading = s.is_heading;
      has_text = has_text || !s.is_heading;
    }
    if (has_text) EXPECT_FALSE(after_heading) << "the chunk before " << chunk.end;
  }

  const std::string& text_;
  const std::vector<Sentence> sentences_;
  const std::vector<Span> chunks_;
};

TEST(ChunkerTest, BordersAreTheBestWithinReachAndOverlapsAreShort) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const std::string text = seed % 4 == 0 ? RandomText(random) : RandomProse(random);
    BorderCheck(text).Run();
    if (HasFailure()) return;
  }
}

TEST(ChunkerTest, AHeadingStaysWithWhatFollowsIt) {
  const std::string text = Repeat("A short beginning. ", 35) + "\n\n# Heading\n\n" +
                           Repeat("word ", 500) + "ends. " +
                           Repeat("Another sentence follows it here. ", 60);
  const auto chunks = CutIntoChunks(text);
  ASSERT_GE(chunks.size(), 2U);
  EXPECT_EQ(text.substr(chunks[1].start, 9), "# Heading");
}

}  // namespace
}  // namespace aibackend::retrieval
