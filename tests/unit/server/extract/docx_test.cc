#include "server/extract/docx.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/server/extract/sample_files.h"

namespace aibackend::extract {
namespace {

const char kNamespaces[] =
    "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"";

std::string TextOf(absl::string_view body) {
  return OneDocument(MakeDocx(body), "a.docx").text;
}

std::string Styled(absl::string_view properties, absl::string_view text) {
  return absl::StrCat("<w:p><w:pPr>", properties, "</w:pPr><w:r><w:t>", text, "</w:t></w:r></w:p>");
}

TEST(Docx, ParagraphsTabsAndBreaksAreRead) {
  EXPECT_EQ(TextOf(Paragraph("One &amp; <![CDATA[two]]>") +
                   "<w:p><w:pPr><w:tabs><w:tab w:val='left'/></w:tabs></w:pPr>"
                   "<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>"),
            "One & two\n\na\tb\nc");
}

TEST(Docx, HeadingsAreKnownByTheNameOfTheirStyle) {
  const std::string styles =
      absl::StrCat("<w:styles ", kNamespaces,
                   "><w:style w:styleId='berschrift2'><w:name w:val='heading 2'/></w:style>"
                   "<w:style w:styleId='Body'><w:name w:val='Body Text'/></w:style></w:styles>");
  const std::string docx = MakeDocx(Styled("<w:pStyle w:val='berschrift2'/>", "Head") +
                                        Styled("<w:pStyle w:val='Body'/>", "Text"),
                                    {{"word/styles.xml", styles}});
  EXPECT_EQ(OneDocument(docx, "a.docx").text, "## Head\n\nText");
}

TEST(Docx, ItemsStandClose) {
  const std::string item = "<w:numPr><w:numId w:val='1'/></w:numPr>";
  EXPECT_EQ(
      TextOf(Paragraph("Buy") + Styled(item, "milk") + Styled(item, "bread") + Paragraph("End")),
      "Buy\n\n- milk\n- bread\n\nEnd");
}

TEST(Docx, ARowOfATableIsALine) {
  const auto cell = [](const char* text) {
    return absl::StrCat("<w:tc>", Paragraph(text), "</w:tc>");
  };
  EXPECT_EQ(TextOf(Paragraph("T") + "<w:tbl><w:tr>" + cell("Name") + cell("Age") + "</w:tr><w:tr>" +
                   cell("Ann") + cell("41") + "</w:tr></w:tbl>" + Paragraph("after")),
            "T\n\n| Name | Age |\n| Ann | 41 |\n\nafter");
}

TEST(Docx, DeletedAndRepeatedTextIsLeftOut) {
  EXPECT_EQ(TextOf("<w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
                   "<w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom>"
                   "<w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>new</w:t></w:r></w:p>"),
            "new");
}

TEST(Docx, TitleAndFootnotesAreRead) {
  const std::string core =
      "<c:p xmlns:c='urn:c' xmlns:dc='urn:dc'><dc:creator>Bob</dc:creator><dc:title>My "
      "title</dc:title></c:p>";
  const std::string notes = absl::StrCat("<w:footnotes ", kNamespaces, "><w:footnote>",
                                         Paragraph("A note."), "</w:footnote></w:footnotes>");
  const ExtractedDocument document = OneDocument(
      MakeDocx(Paragraph("Body."), {{"docProps/core.xml", core}, {"word/footnotes.xml", notes}}),
      "a.docx");
  EXPECT_EQ(document.title, "My title");
  EXPECT_EQ(document.text, "Body.\n\nA note.");
}

TEST(Docx, AZipOfSomethingElseIsRefused) {
  EXPECT_EQ(ReasonOfFile(MakeZip({{"xl/workbook.xml", "<x/>"}}), "a.docx"),
            Reason::UNSUPPORTED_MEDIA_TYPE);
}

TEST(Docx, WhatIsDamagedIsRefused) {
  const std::string docx = MakeDocx(Paragraph("text"));
  EXPECT_EQ(ReasonOfFile("no zip at all", "a.docx"), Reason::FIELD_INVALID);
  EXPECT_EQ(ReasonOfFile(docx.substr(0, docx.size() / 2), "a.docx"), Reason::FIELD_INVALID);
  EXPECT_EQ(ReasonOfFile(MakeDocx("<w:p>"), "a.docx"), Reason::FIELD_INVALID);
}

TEST(Docx, AZipBombIsStoppedWhileItInflates) {
  const std::string bomb = MakeDocx(Paragraph(std::string(64 << 20, ' ')));
  ASSERT_LT(bomb.size(), 128u << 10);
  EXPECT_EQ(ReasonOfFile(bomb, "a.docx"), Reason::REQUEST_TOO_LARGE);
}

TEST(Docx, EntitiesAreNotExpanded) {
  std::string laughs = "<!DOCTYPE d [<!ENTITY a0 'ha'>";
  for (int i = 1; i < 30; ++i) {
    absl::StrAppend(&laughs, "<!ENTITY a", i, " '&a", i - 1, ";&a", i - 1, ";'>");
  }
  absl::StrAppend(&laughs, "]><w:document ", kNamespaces, ">", Paragraph("&a29;"), "</w:document>");
  EXPECT_EQ(ReasonOfFile(MakeZip({{"word/document.xml", laughs}}), "a.docx"),
            Reason::FIELD_INVALID);
}

TEST(Docx, DeepNestingIsRefused) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<w:tbl>";
  EXPECT_EQ(ReasonOfFile(MakeDocx(deep), "a.docx"), Reason::FIELD_INVALID);
}

TEST(Docx, TimeIsALimit) {
  ExtractLimits limits;
  limits.cpu_max = absl::ZeroDuration();
  const auto document = ExtractDocx(MakeDocx(Paragraph("text")), limits);
  EXPECT_EQ(ReasonOf(document.status()), Reason::REQUEST_TOO_LARGE);
}

}  // namespace
}  // namespace aibackend::extract
