#include "server/extract/charset.h"

#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/server/extract/sample_files.h"

namespace aibackend::extract {
namespace {

std::string TextOf(std::string bytes) {
  return OneDocument(std::move(bytes), "a.txt").text;
}

TEST(Charset, Utf8StaysAsItIs) {
  EXPECT_EQ(TextOf("Größe – 日本語 e\u0301\n"), "Größe – 日本語 e\u0301\n")
      << "not normalised either";
}

TEST(Charset, AByteOrderMarkIsNotText) {
  EXPECT_EQ(TextOf("\xEF\xBB\xBFhello"), "hello");
}

TEST(Charset, Utf16WithAMarkIsRead) {
  EXPECT_EQ(TextOf(std::string("\xFF\xFEh\0\xE9\0", 6)), "h\u00E9");
  EXPECT_EQ(TextOf(std::string("\xFE\xFF\0h\0\xE9", 6)), "h\u00E9");
}

TEST(Charset, ALoneSurrogateBecomesAReplacement) {
  EXPECT_EQ(TextOf(std::string("\xFF\xFEh\0\x00\xD8", 6)), "h\uFFFD");
}

TEST(Charset, Windows1252IsRead) {
  EXPECT_EQ(TextOf("He said \x93 na\xEFve caf\xE9 \x94 and left the house at once."),
            "He said “ naïve café ” and left the house at once.");
  EXPECT_EQ(TextOf("caf\xE9"), "café") << "a lead byte of UTF-8 alone at the end";
}

TEST(Charset, TheCharsetOfTheTypeIsBelieved) {
  const auto greek = Extract({"\xE1\xE2\xE3", "text/plain; charset=\"ISO-8859-7\"", "", ""}, {});
  ASSERT_TRUE(greek.ok());
  EXPECT_EQ(greek->documents[0].text, "αβγ");
}

TEST(Charset, AnUnknownCharsetIsPassedOver) {
  const auto text = Extract({"héllo", "text/plain; charset=x-nonsense", "", ""}, {});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->documents[0].text, "héllo");
}

TEST(Charset, TruncatedUtf8EndsInAReplacement) {
  EXPECT_EQ(TextOf("only ascii, then \xE6\x97"), "only ascii, then \uFFFD");
  EXPECT_EQ(TextOf("日本語日本語 \xE6"), "日本語日本語 \uFFFD");
}

TEST(Charset, LineEndsBecomeLfAndControlsGo) {
  EXPECT_EQ(TextOf("a\r\nb\rc\n\x01"
                   "d\te\r"),
            "a\nb\nc\nd\te\n");
  EXPECT_EQ(TextOf("page one\fpage two"), "page one\n\npage two");
}

TEST(Charset, BinaryIsRefused) {
  EXPECT_EQ(ReasonOfFile(std::string("a\0b", 3), "a.txt"), Reason::UNSUPPORTED_MEDIA_TYPE);
  EXPECT_EQ(ReasonOfFile("\x7F"
                         "ELF\x02\x01\x01",
                         "a.txt"),
            Reason::UNSUPPORTED_MEDIA_TYPE);
  EXPECT_EQ(ReasonOfFile(std::string("\xFF\xFE\0\0a\0\0\0", 8), "a.txt"),
            Reason::UNSUPPORTED_MEDIA_TYPE)
      << "UTF-32 is not";
}

}  // namespace
}  // namespace aibackend::extract
