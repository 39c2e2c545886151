#include "server/extract/html.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/server/extract/sample_files.h"

namespace aibackend::extract {
namespace {

std::string TextOf(const std::string& html) {
  return OneDocument(html, "a.html").text;
}

std::string Repeat(const std::string& piece, size_t times) {
  std::string all;
  all.reserve(piece.size() * times);
  for (size_t i = 0; i < times; ++i) all += piece;
  return all;
}

TEST(Html, TitleAndVisibleTextAreRead) {
  const ExtractedDocument page = OneDocument(
      "<!doctype html><html><head><title> A &amp;\n B </title><style>p{}</style></head><body>"
      "<nav><a href=/>Home</a></nav><h2>Head<em>ing</em></h2><p>One\n  two<br>three &lt;4&gt; "
      "&copy;</p>"
      "<script>alert(1)</script><noscript>no</noscript><p hidden>gone<p style='Display : none'>gone"
      "<template>gone</template><p>Last</body></html>",
      "a.html");
  EXPECT_EQ(page.title, "A & B");
  EXPECT_EQ(page.text, "## Heading\n\nOne two\nthree <4> ©\n\nLast");
}

TEST(Html, ListsKeepTheirMarks) {
  EXPECT_EQ(TextOf("<p>Buy:<ul><li>milk<li>bread<ul><li>rye</ul></ul><ol><li>a<li>b</ol>"),
            "Buy:\n\n- milk\n- bread\n- rye\n\n1. a\n2. b");
}

TEST(Html, ARowOfATableIsALine) {
  EXPECT_EQ(
      TextOf("<p>T<table><tr><th>Name<th>Age<tr><td>Ann<td><p>41</p><tr><td><td></table>after"),
      "T\n\n| Name | Age |\n| Ann | 41 |\n\nafter");
}

TEST(Html, ATableThatLaysOutAPageIsNoRow) {
  EXPECT_EQ(
      TextOf("<table><tr><td><h1>Title</h1><p>One</p><p>Two</p></td><td>Side</td></tr></table>"),
      "# Title\n\nOne\n\nTwo\n\nSide");
}

TEST(Html, PreKeepsItsLines) {
  EXPECT_EQ(TextOf("<p>Code:<pre>if (x)\n  y;</pre>"), "Code:\n\nif (x)\n  y;");
}

TEST(Html, ThePageNamesItsCharset) {
  EXPECT_EQ(TextOf("<meta charset=\"iso-8859-7\"><p>\xE1\xE2\xE3"), "αβγ");
}

TEST(Html, BrokenMarkupIsReadAsBrowsersDo) {
  EXPECT_EQ(TextOf("<b>bold<p>para</b> x</div></table>&bogus; <"), "bold\n\npara x&bogus; <");
}

TEST(Html, DeepNestingCostsBoundedTime) {
  ExtractLimits limits;
  limits.cpu_max = absl::Milliseconds(200);
  const auto page = ExtractHtml(Repeat("<div>", 1'000'000), limits);
  EXPECT_EQ(ReasonOf(page.status()), Reason::REQUEST_TOO_LARGE);
}

TEST(Html, NestingThatIsReadInTimeIsFreedWithoutRecursion) {
  ExtractLimits limits;
  limits.cpu_max = absl::Minutes(2);
  const auto page = ExtractHtml(absl::StrCat(Repeat("<span>", 20'000), "deep"), limits);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->text, "deep");
}

TEST(Html, ElementsThatMultiplyCostBoundedMemory) {
  std::string html = "<p>";
  for (int i = 0; i < 3'000; ++i) absl::StrAppend(&html, "<b a", i, ">");
  html += Repeat("<p>x", 3'000);  // each paragraph opens all of them again
  ExtractLimits limits;
  limits.memory_bytes_max = 32 << 20;
  limits.cpu_max = absl::Minutes(2);
  const auto page = ExtractHtml(html, limits);
  EXPECT_EQ(ReasonOf(page.status()), Reason::REQUEST_TOO_LARGE);
  EXPECT_EQ(page.status().message(), "reading the HTML page takes too much memory");
}

TEST(Html, TextBeyondTheLimitIsRefused) {
  ExtractLimits limits;
  limits.text_bytes_max = 10;
  EXPECT_TRUE(ExtractHtml("<p>1234<p>5678", limits).ok());
  EXPECT_EQ(ReasonOf(ExtractHtml("<p>1234<p>56789", limits).status()), Reason::REQUEST_TOO_LARGE);
  EXPECT_EQ(ReasonOf(ExtractHtml("<table><tr><td>1234<td>5678</table>", limits).status()),
            Reason::REQUEST_TOO_LARGE);
}

}  // namespace
}  // namespace aibackend::extract
