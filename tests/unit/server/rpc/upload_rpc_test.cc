#include "server/rpc/upload_rpc.h"

#include <chrono>
#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "aibackend/v1/aibackend.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "server/rpc/service.h"
#include "tests/unit/server/rpc/core_fixture.h"

namespace aibackend::rpc {
namespace {

// The whole service on a socket: how a stream breaks is the transport's matter.
class UploadRpcTest : public CoreFixture {
 protected:
  UploadRpcTest() : CoreFixture(1, 10) {
    grpc::ServerBuilder builder;
    const std::string address = "unix:" + folder_.File("socket");
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ =
        v1::AiBackend::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }

  size_t Stored() { return documents_->List({}, 1000, "")->documents.size(); }

  static v1::UploadDocumentsRequest Document(const std::string& id) {
    v1::UploadDocumentsRequest message;
    message.mutable_document()->set_id(id);
    message.mutable_document()->set_source(id + ".txt");
    message.mutable_document()->set_content("The text of " + id);
    return message;
  }

  std::unique_ptr<grpc::Service> service_ = MakeAiBackendService(core_);
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::AiBackend::Stub> stub_;
};

TEST_F(UploadRpcTest, AStreamThatIsCancelledKeepsItsWholeDocumentsAndNoHalfOne) {
  constexpr int kStreams = 50;  // where each breaks is a race
  for (int i = 0; i < kStreams; ++i) {
    grpc::ClientContext context;
    v1::AddDocumentsResponse response;
    const auto writer = stub_->UploadDocuments(&context, &response);
    ASSERT_TRUE(writer->Write(Document("half")));
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  server_->Shutdown();
  EXPECT_EQ(Stored(), 0U);
  for (const auto& row : Rows()) {
    EXPECT_EQ(row.status, usage::RequestStatus::kCancelled);
    EXPECT_EQ(row.error_reason, "CANCELLED");
  }
}

// What grpc-js sends when its deadline passes, as far as it can be told from an upload that is
// done.
TEST_F(UploadRpcTest, AStreamThatEndsAtItsDeadlineLeavesNoHalfDocument) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(90));
  v1::AddDocumentsResponse response;
  const auto writer = stub_->UploadDocuments(&context, &response);
  writer->Write(Document("half"));
  writer->WritesDone();
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  server_->Shutdown();
  EXPECT_EQ(Stored(), 0U);
  for (const auto& row : Rows()) {
    EXPECT_EQ(row.status, usage::RequestStatus::kCancelled);
    EXPECT_EQ(row.error_reason, "DEADLINE_EXCEEDED");
  }
}

TEST_F(UploadRpcTest, AnUploadIsOneRowOfTheLedger) {
  grpc::ClientContext context;
  v1::AddDocumentsResponse response;
  const auto writer = stub_->UploadDocuments(&context, &response);
  for (int i = 0; i < 120; ++i) ASSERT_TRUE(writer->Write(Document(std::to_string(i))));
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  server_->Shutdown();
  EXPECT_EQ(response.documents_size(), 120);
  for (int i = 0; i < 120; ++i) EXPECT_EQ(response.documents(i).id(), std::to_string(i));
  EXPECT_EQ(Stored(), 120U);
  const auto rows = Rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].endpoint, "UploadDocuments");
  EXPECT_EQ(rows[0].status, usage::RequestStatus::kOk);
}

TEST_F(UploadRpcTest, AnUploadThatFindsNoPlaceInTheQueueIsRefused) {
  absl::Notification occupied;  // only then does the queue behind it stay as full as it is made
  ASSERT_TRUE(executor_.TrySubmit([&] {
    occupied.Notify();
    release_.WaitForNotification();
  }));
  occupied.WaitForNotification();
  while (executor_.TrySubmit([] {})) {
  }
  grpc::ClientContext context;
  v1::AddDocumentsResponse response;
  const auto writer = stub_->UploadDocuments(&context, &response);
  writer->Write(Document("a"));
  writer->WritesDone();
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  release_.Notify();
  server_->Shutdown();
  const auto rows = Rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].error_reason, "OVERLOADED");
}

}  // namespace
}  // namespace aibackend::rpc
