#include "server/extract/records.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/server/extract/sample_files.h"

namespace aibackend::extract {
namespace {

std::string Repeat(const std::string& piece, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += piece;
  return all;
}

std::string MessageOf(const std::string& bytes, const std::string& name) {
  return std::string(ExtractFile(bytes, name).status().message());
}

TEST(Csv, RowsBecomeParagraphsOfNamedValues) {
  EXPECT_EQ(OneDocument("Name,Age,\nAnn,41,x\n\"Bob \"\"B\"\", jr\",,\n", "a.csv").text,
            "Name: Ann\nAge: 41\ncolumn 3: x\n\nName: Bob \"B\", jr\n");
}

TEST(Csv, TheDelimiterIsToldFromTheHeader) {
  EXPECT_EQ(OneDocument("a;b\r\n1,5;2\r\n", "a.csv").text, "a: 1,5\nb: 2\n");
  EXPECT_EQ(OneDocument("a\tb\n1\t2", "a.tsv").text, "a: 1\nb: 2\n");
}

TEST(Csv, AColumnOfTextsMakesADocumentOfEachRow) {
  const auto table =
      ExtractFile("ID,Title,Text,lang\n7,One,\"first\nline\",en\n8,,second,\n", "a.csv");
  ASSERT_TRUE(table.ok()) << table.status();
  ASSERT_EQ(table->documents.size(), 2u);
  EXPECT_EQ(table->documents[0].id, "7");
  EXPECT_EQ(table->documents[0].title, "One");
  EXPECT_EQ(table->documents[0].text, "first\nline");
  EXPECT_EQ(table->documents[0].metadata, "{\"lang\":\"en\"}");
  EXPECT_EQ(table->documents[1].text, "second");
  EXPECT_EQ(table->documents[1].metadata, "");
}

TEST(Csv, WhatIsNoTableIsRefusedWithItsRow) {
  EXPECT_EQ(MessageOf("a,b\n1,2\n1,2,3\n", "a.csv"), "row 2 of the CSV has 3 fields, its header 2");
  EXPECT_EQ(MessageOf("a,b\n1,\"2\n", "a.csv"), "the CSV ends within a quoted field");
  EXPECT_EQ(MessageOf("a,b\n", "a.csv"), "the CSV holds no rows below its header");
  EXPECT_EQ(MessageOf("id,text\n1,\n", "a.csv"), "row 1 of the CSV has no text");
}

TEST(Csv, AQuoteWithinAFieldStandsForItself) {
  EXPECT_EQ(OneDocument("a,b\n5\" pipe,x\n", "a.csv").text, "a: 5\" pipe\nb: x\n");
}

TEST(Csv, AMillionCellsAreReadOrRefused) {
  EXPECT_EQ(ReasonOfFile(Repeat("x,", 1'000'000), "a.csv"), Reason::REQUEST_TOO_LARGE);
  EXPECT_EQ(ReasonOfFile("a\n" + Repeat("x,", 1'000'000), "a.csv"), Reason::FIELD_INVALID);
  EXPECT_TRUE(ExtractFile("a,b\n" + Repeat("x,y\n", 500'000), "a.csv").ok());
}

TEST(Csv, LongHeadersOnManyRowsAreRefused) {
  const std::string table = absl::StrCat(std::string(1 << 20, 'h'), "\n", Repeat("x\n", 1000));
  EXPECT_EQ(ReasonOfFile(table, "a.csv"), Reason::REQUEST_TOO_LARGE);
  EXPECT_EQ(
      ReasonOfFile(absl::StrCat("text,", std::string(1 << 20, 'h'), "\n", Repeat("x,y\n", 1000)),
                   "a.csv"),
      Reason::REQUEST_TOO_LARGE);
}

TEST(Csv, DocumentsAndTimeAreLimits) {
  ExtractLimits limits;
  limits.documents_max = 2;
  EXPECT_TRUE(ExtractCsv("text\na\nb\n", limits).ok());
  EXPECT_EQ(ReasonOf(ExtractCsv("text\na\nb\nc\n", limits).status()), Reason::REQUEST_TOO_LARGE);
  limits.cpu_max = absl::ZeroDuration();
  EXPECT_EQ(ReasonOf(ExtractCsv("text\na\n", limits).status()), Reason::REQUEST_TOO_LARGE);
}

TEST(Json, ARecordIsADocument) {
  const ExtractedDocument document = OneDocument(
      R"({"id":12,"title":"T","text":"Hi \u00e9","source":"http://x","metadata":{"a":[1]},"b\"":true})",
      "a.json");
  EXPECT_EQ(document.id, "12");
  EXPECT_EQ(document.title, "T");
  EXPECT_EQ(document.text, "Hi é");
  EXPECT_EQ(document.source, "http://x");
  EXPECT_EQ(document.metadata, R"({"a":[1],"b\"":true})");
}

TEST(Json, RecordsComeInAnArrayOrAsDocuments) {
  for (const char* json :
       {R"([{"text":"a"},{"text":"b"}])", R"({"documents":[{"text":"a"},{"text":"b"}]})"}) {
    const auto extracted = ExtractFile(json, "a.json");
    ASSERT_TRUE(extracted.ok()) << extracted.status();
    ASSERT_EQ(extracted->documents.size(), 2u);
    EXPECT_EQ(extracted->documents[1].text, "b");
  }
}

TEST(Json, AnyOtherBecomesNamedValues) {
  EXPECT_EQ(OneDocument(R"({"a":{"b":[1,null,"x",""]},"c":true})", "a.json").text,
            "a.b[0]: 1\na.b[2]: x\nc: true\n");
  EXPECT_EQ(OneDocument(R"([{"a":1},{"a":2}])", "a.json").text, "[0].a: 1\n\n[1].a: 2\n");
  EXPECT_EQ(OneDocument(R"("just text")", "a.json").text, "just text\n");
}

TEST(Json, WhatIsWrongIsSaid) {
  EXPECT_EQ(MessageOf("{\"a\":", "a.json"), "the file is not well-formed JSON");
  EXPECT_EQ(MessageOf(R"({"text":5})", "a.json"), "the record: text must be a string");
  EXPECT_EQ(MessageOf(R"([{"text":"a"},{"text":" "}])", "a.json"), "record 2: the text is empty");
  EXPECT_EQ(MessageOf(R"([{"text":"a"},3])", "a.json"), "record 2: there is no text");
}

TEST(Json, NulsAndSurrogatesNeverReachTheText) {
  EXPECT_EQ(OneDocument(R"({"text":"a\u0000b","id":"x\u0000","title":"\u0001t"})", "a.json").text,
            "ab");
  const auto lone = ExtractFile(R"({"text":"a\ud800b"})", "a.json");
  EXPECT_EQ(ReasonOf(lone.status()), Reason::FIELD_INVALID);
}

TEST(Json, DeepNestingIsRefused) {
  EXPECT_EQ(MessageOf(Repeat("[", 500'000) + Repeat("]", 500'000), "a.json"),
            "the file nests deeper than 128 levels");
  EXPECT_EQ(ReasonOfFile(Repeat("{\"a\":", 1'000'000), "a.json"), Reason::FIELD_INVALID);
  EXPECT_EQ(ReasonOfFile(Repeat("[", 100) + "1" + Repeat("]", 100), "a.json"),
            Reason::REASON_UNSPECIFIED);
}

TEST(Json, LongPathsToManyValuesAreBounded) {
  const std::string key(1 << 20, 'k');
  EXPECT_EQ(ReasonOfFile(absl::StrCat("{\"", key, "\":[", Repeat("1,", 100'000), "1]}"), "a.json"),
            Reason::REQUEST_TOO_LARGE);
  EXPECT_EQ(
      ReasonOfFile(absl::StrCat("{\"", key, "\":[", Repeat("null,", 1'000'000), "1]}"), "a.json"),
      Reason::REASON_UNSPECIFIED)
      << "a path is not copied for values that are not written";
}

TEST(Jsonl, EachLineIsADocument) {
  const auto extracted =
      ExtractFile("{\"text\":\"a\"}\r\n\n {\"id\":\"2\",\"text\":\"b\"}", "a.jsonl");
  ASSERT_TRUE(extracted.ok()) << extracted.status();
  ASSERT_EQ(extracted->documents.size(), 2u);
  EXPECT_EQ(extracted->documents[1].id, "2");
}

TEST(Jsonl, LinesWithoutTextAreOneDocument) {
  EXPECT_EQ(OneDocument("{\"a\":1}\n{\"a\":2}\n", "a.ndjson").text, "a: 1\n\na: 2\n");
}

TEST(Jsonl, AWrongLineIsNamed) {
  EXPECT_EQ(MessageOf("{\"text\":\"a\"}\n{\"text\":", "a.jsonl"), "line 2 is not well-formed JSON");
  EXPECT_EQ(MessageOf("{\"text\":\"a\"}\n{\"b\":1}", "a.jsonl"), "line 2: there is no text");
}

}  // namespace
}  // namespace aibackend::extract
