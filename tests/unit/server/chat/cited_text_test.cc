#include "server/chat/cited_text.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/chat/citation_check.h"

namespace aibackend::chat {
namespace {

models::Passage Make(const std::string& id, const std::string& text, size_t start) {
  models::Passage passage;
  passage.document_id = id;
  passage.chunk_id = id + "#0";
  passage.title = "The Handbook of " + id;
  passage.text = text;
  passage.start = start;
  return passage;
}

const models::Grounding& Given() {
  static const auto* const given = [] {
    auto* grounding = new models::Grounding();
    grounding->passages = {Make("turtles", "The turtle swims.  It “dives” deep, too.", 10),
                           Make("birds", "A bird flies over the sea [3].", 0),
                           Make("亀", "亀は海で泳ぐ動物です。🐢 かわいい。", 7)};
    return grounding;
  }();
  return *given;
}

struct Checked {
  std::string text;
  std::vector<models::Citation> citations;
  int dropped = 0;
};

Checked Check(absl::string_view text, const std::vector<size_t>& pieces = {}) {
  CitedText cited(Given().passages);
  Checked checked;
  size_t at = 0;
  for (const size_t bytes : pieces) {
    cited.Take(text.substr(at, bytes), &checked.text);
    at = std::min(at + bytes, text.size());
  }
  cited.Take(text.substr(at), &checked.text);
  cited.Flush(&checked.text);
  checked.citations = cited.Citations();
  checked.dropped = cited.dropped();
  return checked;
}

// "text | number:words of each citation, where it is not the whole passage | dropped".
std::string Told(absl::string_view text) {
  const Checked checked = Check(text);
  std::string told = absl::StrCat(checked.text, " |");
  for (const models::Citation& citation : checked.citations) {
    const models::Passage& passage = Given().passages.at(citation.number - 1);
    absl::StrAppend(&told, " ", citation.number);
    if (citation.text != passage.text) absl::StrAppend(&told, ":", citation.text);
  }
  return absl::StrCat(told, " | ", checked.dropped);
}

TEST(CitedText, MarksOfPassagesStayAndCite) {
  EXPECT_EQ(Told("It swims [1]. They fly [2][1]."), "It swims [1]. They fly [2][1]. | 1 2 | 0");
  EXPECT_EQ(Told("All [ 3, 1 ]"), "All [3][1] | 1 3 | 0");
  EXPECT_EQ(Told("swims[1]"), "swims[1] | 1 | 0");
  EXPECT_EQ(Told("no marks"), "no marks | | 0");
}

TEST(CitedText, NumbersThatWereNotGivenAreTakenOut) {
  EXPECT_EQ(Told("It swims [4]. So [0]!"), "It swims. So! | | 2");
  EXPECT_EQ(Told("It swims [9][1][8]."), "It swims[1]. | 1 | 2");
  EXPECT_EQ(Told("It swims [2, 9]."), "It swims [2]. | 2 | 1");
  EXPECT_EQ(Told("[99999999999999999999] a [9]b [7]"), " a b | | 3");
  EXPECT_EQ(Told("[[9]] [[1]]"), "[…] [[1]] | 1 | 1");
}

TEST(CitedText, AQuoteInAMarkNarrowsTheCitationToTheStoredBytes) {
  EXPECT_EQ(Told("Yes [1: \"The turtle swims\"]."), "Yes [1]. | 1:The turtle swims | 0");
  EXPECT_EQ(Told("Yes [1: “swims. It \"dives\" deep,”]."),
            "Yes [1]. | 1:swims.  It “dives” deep, | 0");
  EXPECT_EQ(Told("はい[3: 「海で泳ぐ動物です。🐢」]"), "はい[3] | 3:海で泳ぐ動物です。🐢 | 0");
  EXPECT_EQ(Told("Yes [2: \"over the sea [3]\"]."), "Yes [2]. | 2:over the sea [3] | 0");
  const Checked checked = Check("[1: 'swims']");
  ASSERT_EQ(checked.citations.size(), 1u);
  EXPECT_EQ(checked.citations[0].start, 21u);
  EXPECT_EQ(checked.citations[0].end, 26u);
}

TEST(CitedText, EachPlaceIsCitedOnceInOrder) {
  EXPECT_EQ(Told("[1: \"swims\"][1][1: \"turtle\"] [1: \"swims\"]"),
            "[1][1][1] [1] | 1 1:turtle 1:swims | 0");
}

TEST(CitedText, AnInventedQuoteGoesWithItsMark) {
  EXPECT_EQ(Told("Yes [1: \"The turtle flies\"]."), "Yes. | | 1");
  EXPECT_EQ(Told("Yes [2: \"The turtle swims\"]."), "Yes. | | 1");  // another passage's
  EXPECT_EQ(Told("Yes [9: \"The turtle swims\"]."), "Yes. | | 1");
  EXPECT_EQ(Told("Yes [1: \"\"] [1: \"…\"]."), "Yes. | | 2");
}

TEST(CitedText, ABrokenMarkLosesItsBeginning) {
  EXPECT_EQ(Told("Yes [1: \"The turtle flies\" ok] no [1]"),
            "Yes \"The turtle flies\" ok] no [1] | 1 | 1");
  EXPECT_EQ(Told("Yes [1: \"The turtle"), "Yes \"The turtle | | 1");
  const std::string huge(5000, 'x');
  EXPECT_EQ(Told(absl::StrCat("Yes [1: \"", huge, "\"].")),
            absl::StrCat("Yes \"", huge, "\"]. | | 1"));
}

TEST(CitedText, WordsInQuotationMarksBeforeAMarkMustBeThePassages) {
  EXPECT_EQ(Told("\"The turtle swims\" [1]."), "\"The turtle swims\" [1]. | 1 | 0");
  EXPECT_EQ(Told("\"The turtle swims.\" [2]."), "\"The turtle swims.\". | | 1");
  EXPECT_EQ(Told("“The turtle flies high,” [1] no"), "“The turtle flies high,” no | | 1");
  EXPECT_EQ(Told("*\"It never really flies\"*. [1][2]"), "*\"It never really flies\"*. | | 2");
  EXPECT_EQ(Told("「亀は空を飛ぶ動物です」[3]"), "「亀は空を飛ぶ動物です」 | | 1");
  EXPECT_EQ(Told("「亀は海で泳ぐ動物です」。[3]"), "「亀は海で泳ぐ動物です」。[3] | 3 | 0");
  EXPECT_EQ(Told("\"The turtle flies high [1].\""), "\"The turtle flies high.\" | | 1");
}

TEST(CitedText, ShortQuotesTitlesAndThoseFartherBackAreNoClaims) {
  EXPECT_EQ(Told("a \"flying turtle\" [1]"), "a \"flying turtle\" [1] | 1 | 0");
  EXPECT_EQ(Told("\"The Handbook of turtles\" [1]"), "\"The Handbook of turtles\" [1] | 1 | 0");
  EXPECT_EQ(Told("\"so it is said\" by us [1]"), "\"so it is said\" by us [1] | 1 | 0");
  EXPECT_EQ(Told("a 5\" disk and a tape [1]"), "a 5\" disk and a tape [1] | 1 | 0");
  EXPECT_EQ(Told("said \"it goes on\n\nand so on [1]"),
            "said \"it goes on\n\nand so on [1] | 1 | 0");
}

TEST(CitedText, CodeAndLinksAreLeftAsTheyAre) {
  for (const char* text :
       {"Use `a[9]` here", "``a ` [9]``", "```cpp\nint x = a[9];\n[1]\n```\n", "  ~~~\n[9]\n~~~",
        "See [9](https://example.com/) or [1](#one)", "```\nnever closed [9]", "- [x] done",
        "x in [0, 1]", "[a][b] []", "````\n```\n[9]\n````\n"}) {
    EXPECT_EQ(Told(text), absl::StrCat(text, " | | 0"));
  }
}

TEST(CitedText, WhatOnlyLooksLikeCodeOrALinkIsChecked) {
  EXPECT_EQ(Told("a ` b [9]"), "a ` b | | 1");
  EXPECT_EQ(Told("a `b\n[9]`"), "a `b\n` | | 1");
  EXPECT_EQ(Told("[9](see there)"), "(see there) | | 1");
  EXPECT_EQ(Told("```\nx\n```\n[9] [1]"), "```\nx\n```\n [1] | 1 | 1");
  EXPECT_EQ(Told("```a``` [9]"), "```a``` | | 1");
  EXPECT_EQ(Told(absl::StrCat("`", std::string(3000, 'x'), " [9]`")),
            absl::StrCat("`", std::string(3000, 'x'), "` | | 1"));
}

TEST(CitedText, WhatIsTakenOutLeavesNoMarkBehind) {
  EXPECT_EQ(Told("[9[8]]"), "[9…] | | 1");
  EXPECT_EQ(Told("[[8]9]"), "[…9] | | 1");
  EXPECT_EQ(Told("[1, [8] 9]"), "[1,… 9] | | 1");
  EXPECT_EQ(Told("[1:[8]\"swims\"]"), "[1:…\"swims\"] | | 1");
  EXPECT_EQ(Told("[9[8: \"flies\"]]"), "[9…] | | 1");
}

TEST(CitedText, AMarkInterruptedByAFlushIsNone) {
  CitedText cited(Given().passages);
  std::string out;
  cited.Take("It swims [9", &out);
  cited.Flush(&out);
  EXPECT_EQ(out, "It swims [9");
  cited.Take("] and [1]", &out);
  cited.Flush(&out);
  EXPECT_EQ(out, "It swims [9…] and [1]");
  EXPECT_EQ(cited.dropped(), 0);
  EXPECT_EQ(cited.Citations().size(), 1u);
}

TEST(CitedText, TextWithoutABracketIsGivenOutAtOnce) {
  CitedText cited(Given().passages);
  std::string out;
  cited.Take("The turtle", &out);
  EXPECT_EQ(out, "The turtle");
  cited.Take(" swims [", &out);
  EXPECT_EQ(out, "The turtle swims");
  cited.Take("1] and", &out);
  EXPECT_EQ(out, "The turtle swims [1] and");
}

TEST(CitedText, CitationsOfWordsAreBounded) {
  std::vector<models::Passage> passages = {Make("long", "", 0)};
  std::string answer;
  for (int i = 0; i < 1500; ++i) {
    absl::StrAppend(&passages[0].text, " w", i);
    absl::StrAppend(&answer, "[1: \"w", i, "\"]");
  }
  CitedText cited(passages);
  std::string out;
  cited.Take(answer, &out);
  cited.Flush(&out);
  EXPECT_EQ(cited.Citations().size(), 1001u);  // and the whole passage
  EXPECT_EQ(cited.dropped(), 0);
}

// Texts that are as likely as can be to be misread.
std::string RandomAnswer(std::mt19937& random) {
  static const std::vector<std::string> kParts = {"[",
                                                  "]",
                                                  "1",
                                                  "2",
                                                  "9",
                                                  "0",
                                                  ":",
                                                  ",",
                                                  " ",
                                                  "\n",
                                                  "`",
                                                  "```",
                                                  "~~~",
                                                  "\"",
                                                  "“",
                                                  "”",
                                                  "「",
                                                  "」",
                                                  "(",
                                                  ")",
                                                  "(https://x",
                                                  "The turtle swims",
                                                  "亀は海で泳ぐ",
                                                  "🐢",
                                                  "[1]",
                                                  "[2] ",
                                                  " [9]",
                                                  "[1: \"The turtle swims\"]",
                                                  "[1: \"The turtle flies\"]",
                                                  "\"A bird flies over\" [2]",
                                                  "\xE6",
                                                  "\x80",
                                                  "\xFF",
                                                  "word",
                                                  ".",
                                                  "\n\n",
                                                  "[1: \""};
  std::string text;
  const size_t parts = random() % 40;
  for (size_t i = 0; i < parts; ++i) text += kParts[random() % kParts.size()];
  if (random() % 50 == 0) text.insert(random() % (text.size() + 1), std::string(1100, 'y'));
  return text;
}

TEST(CitedText, AnyCutOfTheSameTextGivesTheSame) {
  std::mt19937 random(1);  // NOLINT(cert-msc*): the same texts each time
  for (int i = 0; i < 5'000; ++i) {
    const std::string text = RandomAnswer(random);
    const Checked whole = Check(text);
    std::vector<size_t> pieces;
    for (size_t at = 0; at < text.size(); at += pieces.back()) pieces.push_back(random() % 7);
    const Checked cut = Check(text, pieces);
    ASSERT_EQ(cut.text, whole.text) << text;
    ASSERT_EQ(cut.dropped, whole.dropped) << text;
    ASSERT_EQ(cut.citations.size(), whole.citations.size()) << text;
  }
}

TEST(CitedText, EveryCitationIsVerbatimAndEveryMarkLeftHasOne) {
  std::mt19937 random(2);  // NOLINT(cert-msc*): the same texts each time
  for (int i = 0; i < 5'000; ++i) {
    const std::string text = RandomAnswer(random);
    Checked checked = Check(text);
    EXPECT_EQ(DropUnverifiedCitations(Given(), checked.citations), 0);
    // What was given out, checked again, holds nothing to take out.
    const Checked again = Check(checked.text);
    ASSERT_EQ(again.dropped, 0) << text << "\n-> " << checked.text;
  }
}

// Without brackets there is nothing to take out.
TEST(CitedText, TextThatHoldsNoMarkIsNeverTouched) {
  std::mt19937 random(3);  // NOLINT(cert-msc*): the same texts each time
  for (int i = 0; i < 5'000; ++i) {
    const std::string text = absl::StrReplaceAll(RandomAnswer(random), {{"[", "("}});
    ASSERT_EQ(Check(text, {1, 2, 3, 4, 5}).text, text);
  }
}

}  // namespace
}  // namespace aibackend::chat
