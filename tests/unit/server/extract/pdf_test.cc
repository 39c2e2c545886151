#include "server/extract/pdf.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/server/extract/sample_files.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::extract {
namespace {

class Pdf : public testing::Test {
 protected:
  void SetUp() override {
    if (access(kPdfToTextPath, X_OK) != 0) {
      GTEST_SKIP() << "PDFs ARE NOT TESTED: pdftotext is missing; scripts/setup installs it";
    }
  }
};

TEST_F(Pdf, ItsTextIsRead) {
  const auto pdf = ExtractFile(MakePdf({"Hello from a PDF.", "Second line."}), "a.pdf");
  ASSERT_TRUE(pdf.ok()) << pdf.status();
  EXPECT_EQ(pdf->format, "pdf");
  EXPECT_THAT(pdf->documents[0].text, testing::StartsWith("Hello from a PDF.\nSecond line.\n"));
}

TEST_F(Pdf, WhatIsDamagedIsRefusedInOurWords) {
  const auto garbage = ExtractFile("%PDF-1.4 and then nothing of the kind", "");
  EXPECT_EQ(ReasonOf(garbage.status()), Reason::FIELD_INVALID);
  EXPECT_EQ(garbage.status().message(), "the PDF can't be read: it is damaged, or no PDF");
}

TEST_F(Pdf, AnEncryptedOneIsSaidToBe) {
  const std::string key(32, 'A');
  const std::string encrypted = absl::StrReplaceAll(
      MakePdf({"secret"}),
      {{"/Root 1 0 R",
        "/Root 1 0 R /ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (" + key +
            ") /U (" + key + ") >>"}});
  EXPECT_EQ(ExtractFile(encrypted, "a.pdf").status().message(),
            "the PDF can't be read: it is encrypted, and needs a password");
}

TEST_F(Pdf, PagesWithoutTextAreRefused) {
  EXPECT_EQ(ReasonOfFile(MakePdf({}), "a.pdf"), Reason::FIELD_INVALID);
}

TEST_F(Pdf, TextBeyondTheLimitIsRefused) {
  ExtractLimits limits;
  limits.text_bytes_max = 10;
  EXPECT_EQ(ReasonOf(ExtractPdf(MakePdf({"Hello from a PDF."}), kPdfToTextPath, limits).status()),
            Reason::REQUEST_TOO_LARGE);
}

// A program in place of pdftotext. It reads its input first, which comes when its limits are set.
std::string Script(const TempFolder& folder, const std::string& rest) {
  const std::string path = folder.File("tool");
  std::ofstream(path) << "#!/bin/sh\ncat >/dev/null\n" << rest << "\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

TEST(PdfByAnotherProgram, TimeIsALimit) {
  const TempFolder folder;
  ExtractLimits limits;
  limits.wall_max = absl::Milliseconds(50);
  const auto pdf = ExtractPdf(MakePdf({"x"}), Script(folder, "exec sleep 600"), limits);
  EXPECT_EQ(ReasonOf(pdf.status()), Reason::REQUEST_TOO_LARGE);
}

TEST(PdfByAnotherProgram, TooLittleMemoryIsSaidWithoutTheToolsWords) {
  const TempFolder folder;
  ExtractLimits limits;
  limits.memory_bytes_max = 1 << 20;
  const auto pdf = ExtractPdf(MakePdf({"x"}), Script(folder, "exec sleep 0"), limits);
  EXPECT_EQ(ReasonOf(pdf.status()), Reason::FIELD_INVALID);
  EXPECT_THAT(std::string(pdf.status().message()), testing::StartsWith("the PDF can't be read"));
}

TEST(PdfWithoutItsProgram, IsRefused) {
  const auto pdf = ExtractPdf(MakePdf({"x"}), "/nowhere/pdftotext", {});
  EXPECT_EQ(ReasonOf(pdf.status()), Reason::UNSUPPORTED_MEDIA_TYPE);
  EXPECT_THAT(std::string(pdf.status().message()), testing::Not(testing::HasSubstr("/")));
}

}  // namespace
}  // namespace aibackend::extract
