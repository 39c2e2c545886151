#include "server/extract/extract.h"

#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/server/extract/sample_files.h"

namespace aibackend::extract {
namespace {

std::string FormatOfFile(const std::string& type, const std::string& name, std::string bytes) {
  const auto extracted = Extract({std::move(bytes), type, name, ""}, {});
  return extracted.ok() ? extracted->format : ReasonName(ReasonOf(extracted.status()));
}

TEST(Extract, TheMediaTypeTellsTheFormat) {
  EXPECT_EQ(FormatOfFile("Text/HTML; charset=utf-8", "a.txt", "<p>x"), "html");
  EXPECT_EQ(FormatOfFile("text/markdown", "", "# x"), "markdown");
  EXPECT_EQ(FormatOfFile("application/x-ndjson", "", "{}\n[1]"), "jsonl");
}

TEST(Extract, AVagueTypeYieldsToTheName) {
  EXPECT_EQ(FormatOfFile("text/plain", "notes.MD", "# x"), "markdown");
  EXPECT_EQ(FormatOfFile("application/octet-stream", "a.csv", "a,b\n1,2"), "csv");
  EXPECT_EQ(FormatOfFile("application/vnd.ms-excel", "a.csv", "a,b\n1,2"), "csv");
  EXPECT_EQ(FormatOfFile("text/x-python", "a.py", "print(1)"), "text");
}

TEST(Extract, WhereNeitherTellsTheBytesDo) {
  EXPECT_EQ(FormatOfFile("", "", "  <!DOCTYPE html><p>x"), "html");
  EXPECT_EQ(FormatOfFile("", "README", "just words"), "text");
  EXPECT_EQ(FormatOfFile("", "notes", "files that start with %PDF- are PDFs"), "text");
  EXPECT_EQ(FormatOfFile("", "", MakeDocx(Paragraph("x"))), "docx");
  EXPECT_EQ(FormatOfFile("", "dir.html/README", "<p>not a page"), "text");
}

TEST(Extract, WhatCannotBeReadIsRefusedByName) {
  const auto png = Extract({"\x89PNG", "image/png", "a.png", "documents[2]"}, {});
  EXPECT_EQ(ReasonOf(png.status()), Reason::UNSUPPORTED_MEDIA_TYPE);
  EXPECT_EQ(FieldOf(png.status()), "documents[2]");
  EXPECT_THAT(std::string(png.status().message()), testing::HasSubstr("image/png"));
}

TEST(Extract, AMessageRepeatsNothingThatIsNoType) {
  const auto odd = Extract({"x", "image/\x1B[31m\n<b>", "", ""}, {});
  EXPECT_THAT(std::string(odd.status().message()), testing::HasSubstr("image/31mb can't"));
}

TEST(Extract, AFileWithoutTextIsRefused) {
  EXPECT_EQ(ReasonOfFile("", "a.txt"), Reason::FIELD_INVALID);
  EXPECT_EQ(ReasonOfFile(" \n\t\r\n", "a.txt"), Reason::FIELD_INVALID);
  EXPECT_EQ(ReasonOfFile("<html><script>x</script>", "a.html"), Reason::FIELD_INVALID);
  EXPECT_EQ(ReasonOfFile("{}", "a.json"), Reason::FIELD_INVALID);
}

TEST(Extract, BothSizesAreLimits) {
  ExtractLimits limits;
  limits.input_bytes_max = 10;
  limits.text_bytes_max = 5;
  EXPECT_TRUE(Extract({"12345", "", "a.txt", ""}, limits).ok());
  EXPECT_EQ(ReasonOf(Extract({"123456", "", "a.txt", ""}, limits).status()),
            Reason::REQUEST_TOO_LARGE);
  EXPECT_EQ(ReasonOf(Extract({"<p>       <p>", "", "a.html", ""}, limits).status()),
            Reason::REQUEST_TOO_LARGE);
}

TEST(Extract, ThreadsWorkSideBySide) {
  const std::vector<std::pair<std::string, std::string>> files = {
      {MakeDocx(Paragraph("same")), "a.docx"},
      {"<p>same", "a.html"},
      {"{\"text\":\"same\"}", "a.json"}};
  std::vector<std::thread> threads;
  std::vector<int> same(4);
  for (int& count : same) {
    threads.emplace_back([&files, &count] {
      for (int i = 0; i < 50; ++i) {
        for (const auto& [bytes, name] : files) count += OneDocument(bytes, name).text == "same";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(same, testing::Each(150));
}

}  // namespace
}  // namespace aibackend::extract
