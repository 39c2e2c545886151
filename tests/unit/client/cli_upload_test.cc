// aibackend upload
#include <atomic>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli_fixture.h"

namespace aibackend::client {
namespace {

using ::testing::HasSubstr;

using CliUploadTest = CliTest;

// The documents of a stream, put together; each is ADDED, in `response` too.
std::vector<v1::Document> ReadUpload(grpc::ServerReader<v1::UploadDocumentsRequest>& reader,
                                     v1::AddDocumentsResponse& response) {
  std::vector<v1::Document> documents;
  v1::UploadDocumentsRequest message;
  while (reader.Read(&message)) {
    if (message.has_document()) documents.push_back(message.document());
    if (documents.size() == 1)
      documents[0].set_collection(documents[0].collection() + message.collection());
    if (!message.content().empty()) documents.back().mutable_content()->append(message.content());
  }
  for (const auto& document : documents) {
    auto& added = *response.add_documents();
    added.set_id("id-" + document.source());
    added.set_chunks(2);
    added.set_status(v1::AddDocumentsResponse::Added::ADDED);
  }
  return documents;
}

TEST_F(CliUploadTest, UploadSendsFilesOfAnyKindInPiecesWithTheirNames) {
  std::string pdf = "%PDF-1.4\n";
  while (pdf.size() < (1 << 20)) pdf.append("\x00\xff bytes", 8);
  std::vector<v1::Document> seen;
  backend_.upload = [&](auto& reader, auto& response) {
    seen = ReadUpload(reader, response);
    return grpc::Status::OK;
  };
  const auto result =
      Run({"upload", File("a.md", "# A\n"), File("b.pdf", pdf), "--collection", "notes"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "ADDED  id-a.md  2 chunks  a.md\nADDED  id-b.pdf  2 chunks  b.pdf\n");
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].collection(), "notes");
  EXPECT_EQ(seen[0].content(), "# A\n");
  EXPECT_EQ(seen[1].content(), pdf);
  EXPECT_EQ(seen[1].source(), "b.pdf");
}

TEST_F(CliUploadTest, UploadSendsWhatComesThroughAPipe) {
  std::vector<v1::Document> seen;
  backend_.upload = [&](auto& reader, auto& response) {
    seen = ReadUpload(reader, response);
    return grpc::Status::OK;
  };
  const auto result = Run({"upload", "-"}, "from a pipe");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].content(), "from a pipe");
}

TEST_F(CliUploadTest, UploadRefusesByNameWhatItCanNotSendAndSendsNothing) {
  std::atomic<bool> called = false;
  backend_.upload = [&](auto&, auto&) {
    called = true;
    return grpc::Status::OK;
  };
  const std::string good = File("good.txt", "fine");
  const std::string large = File("large.bin", "");
  std::filesystem::resize_file(large, (32 << 20) + 1);
  for (const auto& [path, problem] : std::vector<std::pair<std::string, std::string>>{
           {File("empty.txt", ""), "empty.txt: is empty"},
           {large, "large.bin: is longer than 33554432 bytes"},
           {folder_.string(), ": is a folder"},
           {(folder_ / "missing.txt").string(), "missing.txt: No such file or directory"}}) {
    const auto result = Run({"upload", good, path});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr(problem));
  }
  EXPECT_FALSE(called);
}

TEST_F(CliUploadTest, AFileThatTheServerCanNotReadIsNamedAndTheExitCodeIsOne) {
  backend_.upload = [&](auto& reader, v1::AddDocumentsResponse& response) {
    ReadUpload(reader, response);
    auto& failed = *response.mutable_documents(1);
    failed.Clear();
    failed.set_status(v1::AddDocumentsResponse::Added::FAILED);
    failed.mutable_error()->set_reason("FIELD_INVALID");
    failed.mutable_error()->set_message("the PDF is damaged");
    return grpc::Status::OK;
  };
  const auto result =
      Run({"upload", File("a.txt", "a"), File("b.pdf", "%PDF"), File("c.txt", "c")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out,
            "ADDED  id-a.txt  2 chunks  a.txt\n"
            "FAILED  b.pdf: the PDF is damaged (FIELD_INVALID)\n"
            "ADDED  id-c.txt  2 chunks  c.txt\n");
}

TEST_F(CliUploadTest, AFileOfRecordsEndsAStreamSoThatEachDocumentHasItsFilesName) {
  std::atomic<int> streams = 0;
  backend_.upload = [&](auto& reader, v1::AddDocumentsResponse& response) {
    ++streams;
    const auto documents = ReadUpload(reader, response);
    if (documents.back().source() == "rows.csv") {
      auto& second = *response.add_documents();
      second = response.documents(response.documents_size() - 2);
    }
    return grpc::Status::OK;
  };
  const auto result =
      Run({"upload", File("a.txt", "a"), File("rows.csv", "text\n1\n2\n"), File("b.txt", "b")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(streams, 2);
  EXPECT_EQ(result.out,
            "ADDED  id-a.txt  2 chunks  a.txt\nADDED  id-rows.csv  2 chunks  rows.csv\n"
            "ADDED  id-rows.csv  2 chunks  rows.csv\nADDED  id-b.txt  2 chunks  b.txt\n");
}

TEST_F(CliUploadTest, AnUploadThatTheServerEndsIsOver) {
  backend_.upload = [&](auto&, auto&) {
    return ContractError(grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "bad name",
                         "collection");
  };
  const auto result = Run({"upload", File("a.txt", std::string(8 << 20, 'x'))});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("bad name (FIELD_INVALID, field collection"));
}

}  // namespace
}  // namespace aibackend::client
