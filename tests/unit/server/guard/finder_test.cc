// What each finder takes for a match, and the patterns of texts that may become one.
#include "server/guard/finder.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "re2/re2.h"
#include "server/base/status.h"
#include "server/guard/partial_pattern.h"

namespace aibackend::guard {
namespace {

std::vector<std::string> AllIn(const Finder& finder, absl::string_view text) {
  std::vector<std::string> found;
  for (size_t from = 0; from < text.size();) {
    const auto place = finder.Find({text, from});
    if (!place) break;
    EXPECT_TRUE(place->is_match);
    found.emplace_back(text.substr(place->start, place->end - place->start));
    from = place->end;
  }
  return found;
}

using Texts = std::vector<std::string>;

std::unique_ptr<Finder> Regex(absl::string_view pattern) {
  auto finder = MakeRegexFinder(pattern);
  EXPECT_TRUE(finder.ok()) << finder.status();
  return *std::move(finder);
}

std::unique_ptr<Finder> Words(const std::vector<std::string>& words) {
  auto finder = MakeWordFinder(words);
  EXPECT_TRUE(finder.ok()) << finder.status();
  return *std::move(finder);
}

TEST(RegexFinderTest, MatchesAreLeftmostAndDoNotOverlap) {
  EXPECT_EQ(AllIn(*Regex(R"(a+b?)"), "xaab aaa b ab"), (Texts{"aab", "aaa", "ab"}));
  EXPECT_EQ(AllIn(*Regex(R"(^one|two$)"), "one one two two"), (Texts{"one", "two"}));
  EXPECT_EQ(AllIn(*Regex(R"(\bcat\b)"), "cat concat cat"), (Texts{"cat", "cat"}));
  EXPECT_EQ(AllIn(*Regex("(?i)größe"), "Die GRÖßE der größe"), (Texts{"GRÖßE", "größe"}));
}

TEST(RegexFinderTest, OfALongMatchTheFirstBytesAreTheMatch) {
  const std::string text = absl::StrCat("x", std::string(300, 'a'), "y");
  const auto found = AllIn(*Regex("a+"), text);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].size(), kMatchBytesMax);
  EXPECT_EQ(found[1].size(), 300 - kMatchBytesMax);
  EXPECT_TRUE(AllIn(*Regex("a{10,}y"), absl::StrCat("b", std::string(9, 'a'), "y")).empty());
  EXPECT_EQ(AllIn(*Regex("a+y"), text).size(), 1u);  // from where it is short enough
}

TEST(RegexFinderTest, WhatIsNoPatternIsRefused) {
  for (const char* pattern : {"(", "[a", "a**", R"(\p{Klingon})", "(?=x)", R"((a)\1)"}) {
    EXPECT_EQ(ReasonOf(MakeRegexFinder(pattern).status()), Reason::FIELD_INVALID) << pattern;
  }
  for (const char* pattern : {"a*", "", "(?:a|b?)", R"(a\Cb)"}) {
    EXPECT_EQ(ReasonOf(MakeRegexFinder(pattern).status()), Reason::FIELD_INVALID) << pattern;
  }
}

// What Find says of a place, tried at each byte in turn.
absl::optional<Place> FindPlainly(const RE2& pattern, const RE2& partial, const GrowingText& text) {
  const re2::StringPiece bytes(text.bytes.data(), text.bytes.size());
  re2::StringPiece match;
  for (size_t at = text.from; at < bytes.size(); ++at) {
    const bool may_grow = !text.is_all && bytes.size() - at <= kMatchBytesMax;
    if (may_grow && partial.Match(bytes, at, bytes.size(), RE2::ANCHOR_START, nullptr, 0)) {
      return Place{at, bytes.size(), false};
    }
    const size_t end = std::min(bytes.size(), at + kMatchBytesMax);
    if (pattern.Match(bytes, at, end, RE2::ANCHOR_START, &match, 1) && !match.empty()) {
      return Place{at, at + match.size()};
    }
  }
  return absl::nullopt;
}

// Long runs of what a pattern is made of, with something else here and there.
std::string RunsOf(absl::string_view letters, std::mt19937& random) {
  std::string text;
  for (size_t i = 1 + random() % 8; i > 0; --i) {
    const char letter = letters[random() % letters.size()];
    text += std::string(random() % 4 == 0 ? random() % 900 : random() % 6, letter);
    if (random() % 8 == 0) text += "é";
  }
  return text;
}

TEST(RegexFinderTest, ItFindsWhatATryAtEachByteWould) {
  for (const char* pattern : {R"([a-z.]+@(?:[a-z]+\.)+[a-z]{2,})", "a+b", "a.*b", "(?s)a.*?b",
                              R"(\ba+\b)", "a{200}", "a.{100}b", "ab$", R"(a+(?:@|\z))",
                              R"(\b(?:b.*)?)", "(?:a|ab)(?:@|b)", "[^b]{300}", "é|a{3}"}) {
    const std::unique_ptr<Finder> finder = Regex(pattern);
    const RE2 whole(pattern);
    const RE2 partial(PartialPattern(pattern));
    std::mt19937 random(7);
    for (int round = 0; round < 150; ++round) {
      const std::string bytes = RunsOf("aab@.\n ", random);
      const size_t from = random() % (bytes.size() + 1);
      const GrowingText text{bytes, from, /*is_all=*/random() % 2 == 0};
      const auto found = finder->Find(text);
      const auto plain = FindPlainly(whole, partial, text);
      ASSERT_EQ(found.has_value(), plain.has_value()) << pattern << " in " << bytes;
      if (!found) continue;
      EXPECT_EQ(found->start, plain->start) << pattern << " in " << bytes;
      EXPECT_EQ(found->end, plain->end) << pattern << " in " << bytes;
      EXPECT_EQ(found->is_match, plain->is_match) << pattern << " in " << bytes;
    }
  }
}

// Where on a text may be the beginning of a match.
std::string OpenEnd(absl::string_view pattern, absl::string_view text) {
  const RE2 partial(PartialPattern(pattern));
  EXPECT_TRUE(partial.ok()) << pattern;
  re2::StringPiece match;
  EXPECT_TRUE(
      partial.Match({text.data(), text.size()}, 0, text.size(), RE2::UNANCHORED, &match, 1));
  return std::string(match);
}

TEST(PartialPatternTest, ItMatchesWhatAMatchMayBeginWith) {
  EXPECT_EQ(OpenEnd("secret", "no sec"), "sec");
  EXPECT_EQ(OpenEnd("secret", "no secx"), "");
  EXPECT_EQ(OpenEnd("secret", "the secret"), "secret");  // an end like any other
  EXPECT_EQ(OpenEnd("a{2,5}b", "caaaaaaa"), "aaaaa");
  EXPECT_EQ(OpenEnd(R"(\bfoo\b)", "xfoo foo"), "foo");
  EXPECT_EQ(OpenEnd(R"((?i)sk-[A-Z0-9]{4})", "it is SK-ab"), "SK-ab");
  EXPECT_EQ(OpenEnd(R"([^]a]b)", "]b xab cb"), "cb");
  EXPECT_EQ(OpenEnd(R"([[:digit:]x]+y)", "a12x"), "12x");
  EXPECT_EQ(OpenEnd(R"([\]]\x{41}\x42\103\pL\p{Greek}z)", "a]ABCqα"), "]ABCqα");
  EXPECT_EQ(OpenEnd(R"(\Qa.b*\E+c)", "axb a.b**"), "a.b**");
  EXPECT_EQ(OpenEnd(R"((?P<n>x{)(?s:.)y|q{,3})", "x{\n"), "x{\n");
  EXPECT_EQ(OpenEnd(R"((?m)^ab$)", "ab\na"), "a");
  EXPECT_EQ(OpenEnd("größer", "ein grö"), "grö");
  EXPECT_EQ(OpenEnd("[[:]x{2}y", "a[xx"), "[xx");  // no name: two members
  EXPECT_EQ(OpenEnd("[[:]:x", "a[:"), "[:");
}

TEST(WordFinderTest, WholeWordsInAnyCaseAreFound) {
  const auto finder = Words({"Straße", "ass", "ΣΊΣΥΦΟΣ", "C++", "top secret"});
  EXPECT_EQ(AllIn(*finder, "Die STRASSE, die strasse, Straßen"), (Texts{"STRASSE", "strasse"}));
  EXPECT_EQ(AllIn(*finder, "class assess ASS! ass_ ass9"), Texts{"ASS"});
  EXPECT_EQ(AllIn(*finder, "ο Σίσυφος"), Texts{"Σίσυφος"});  // final sigma
  EXPECT_EQ(AllIn(*finder, "in c++ and C+"), Texts{"c++"});
  EXPECT_EQ(AllIn(*finder, "Top \n secret topsecret"), Texts{"Top \n secret"});
  EXPECT_EQ(AllIn(*finder, "ass\xCC\x81"), Texts{});  // a mark makes it another word
}

TEST(WordFinderTest, WhatDoesNotShowHidesNoWord) {
  const auto finder = Words({"secret", "top\u00ADmost"});
  for (const char* word : {"se\u200Bcret", "s\u00ADe\u00ADcret", "secr\u2060et", "se\uFEFFcret",
                           "se\u200C\u200Dcret", "topmost", "top\u200Bmost"}) {
    EXPECT_EQ(AllIn(*finder, absl::StrCat("my ", word, ", \u00AD")), Texts{word}) << word;
  }
  // Within a longer word, too, but for a space of no width.
  EXPECT_EQ(AllIn(*finder, "secret\u00ADly un\u2060secret"), Texts{});
  EXPECT_EQ(AllIn(*finder, "un\u200Bsecret\u200Bly"), Texts{"secret"});
  std::string many = "secret";
  for (int i = 0; i < 100; ++i) many += "\u2060";
  EXPECT_EQ(AllIn(*finder, many + "ly"), Texts{"secret"});
  EXPECT_FALSE(MakeWordFinder({"\u200B"}).ok());
}

TEST(WordFinderTest, TheLongestWordIsTaken) {
  const auto finder = Words({"new", "new york", "new york city"});
  EXPECT_EQ(AllIn(*finder, "new york citys, New York City"), (Texts{"new york", "New York City"}));
}

TEST(WordFinderTest, ScriptsWithoutSpacesHaveWordsAnywhere) {
  EXPECT_EQ(AllIn(*Words({"秘密"}), "これは秘密です"), Texts{"秘密"});
  EXPECT_EQ(AllIn(*Words({"ลับ"}), "ความลับของ"), Texts{"ลับ"});
  EXPECT_EQ(AllIn(*Words({"비밀"}), "비밀번호 비밀"), Texts{"비밀"});
}

TEST(WordFinderTest, WhatIsNoWordIsRefused) {
  EXPECT_FALSE(MakeWordFinder({}).ok());
  EXPECT_FALSE(MakeWordFinder({"a", " "}).ok());
  EXPECT_FALSE(MakeWordFinder({"\xFF"}).ok());
  EXPECT_FALSE(MakeWordFinder({std::string(200, 'a')}).ok());
}

TEST(EmailFinderTest, AddressesAreFoundWithoutWhatStandsAround) {
  const auto finder = MakeEmailFinder();
  EXPECT_EQ(AllIn(*finder, "Write to <jo.doe+x@mail.example.co.uk>, or a@b.io."),
            (Texts{"jo.doe+x@mail.example.co.uk", "a@b.io"}));
  EXPECT_EQ(AllIn(*finder, "連絡先はfoo@example.comです"), Texts{"foo@example.com"});
  EXPECT_EQ(AllIn(*finder, "müller@bücher.de"), Texts{"müller@bücher.de"});
  EXPECT_EQ(AllIn(*finder, "@handle, a@b, user@localhost, 3@4.5, a @ b.de"), Texts{});
}

TEST(CardFinderTest, NumbersThatPassLuhnAreFound) {
  const auto finder = MakeCardFinder();
  for (const char* card :
       {"4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005",
        "3782 822463 10005", "4222222222222", "6304000000000000", "4111\u00A01111\u20111111 1111",
        "4111\u20091111\u20071111\u202F1111", "4111\u22121111\u20121111-1111",
        "4111\u200B111\u00AD11111\u20601111", "4111\u200B \u200B1111 1111 1111",
        "４１１１１１１１１１１１１１１１", "４111 １111\u30001111 1111"}) {
    EXPECT_EQ(AllIn(*finder, absl::StrCat("pay ", card, ".")), Texts{card}) << card;
  }
  EXPECT_EQ(AllIn(*finder, "4111 1111 1111 1111 12/27"), Texts{"4111 1111 1111 1111"});
  EXPECT_EQ(AllIn(*finder, "12 4111 1111 1111 1111"), Texts{"4111 1111 1111 1111"});
}

TEST(CardFinderTest, OtherNumbersAreNot) {
  const auto finder = MakeCardFinder();
  for (const char* text :
       {"4111111111111112", "0000000000000000", "411111111111", "4111--1111--1111--1111",
        "41111111111111111111", "1700000000123", "4111.1111.1111.1111",
        "2\u200B4111111111111111111\u200B1", "4111 \u200B 1111 1111 1111"}) {
    EXPECT_EQ(AllIn(*finder, text), Texts{}) << text;
  }
}

TEST(PhoneFinderTest, NumbersAsPeopleWriteThemAreFound) {
  const auto finder = MakePhoneFinder();
  for (const char* phone : {"+49 30 1234567",
                            "+491701234567",
                            "+1 (555) 123-4567",
                            "+44 (0) 20 7946 0958",
                            "0049 30 1234567",
                            "(030) 1234-567",
                            "030 12345678",
                            "0171/1234567",
                            "06 12 34 56 78",
                            "01.23.45.67.89",
                            "03-1234-5678",
                            "090-1234-5678",
                            "020 7946 0958",
                            "555-123-4567",
                            "(555) 123-4567",
                            "1-800-555-0199",
                            "138 0013 8000",
                            "+49\u00A030\u20111234567",
                            "+49\u200B 30\u20091234\u2212567",
                            "＋４９ 30 1234567"}) {
    EXPECT_EQ(AllIn(*finder, absl::StrCat("call ", phone, ", please")), Texts{phone}) << phone;
  }
}

TEST(PhoneFinderTest, OtherNumbersAreNot) {
  const auto finder = MakePhoneFinder();
  for (const char* text :
       {"2024-01-31", "01.02.2024", "01/02/2024 10:30", "2024-01-31 10:15:30", "192.168.100.200",
        "1234567890", "0123456789", "123-456-7890-1234", "978-0-306-40615-7", "3.14159 26535",
        "DE89 3704 0044 0532 0130 00", "+12 345", "x555-123-4567", "1,000,000,000", "0.123 456 789",
        "order 12-3456-78"}) {
    EXPECT_EQ(AllIn(*finder, text), Texts{}) << text;
  }
}

TEST(SizeFinderTest, WhatIsBeyondIsFoundFromAWholeCharacterOn) {
  const auto finder = MakeSizeFinder(4);
  EXPECT_EQ(AllIn(*finder, "abcd"), Texts{});
  EXPECT_EQ(AllIn(*finder, "abcdef"), Texts{"ef"});
  EXPECT_EQ(AllIn(*finder, "abc€"), Texts{"€"});
}

}  // namespace
}  // namespace aibackend::guard
