#include "server/rpc/usage_export_rpc.h"

#include "SQLiteCpp/SQLiteCpp.h"
#include "aibackend/v1/aibackend.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "server/rpc/service.h"
#include "tests/unit/server/rpc/core_fixture.h"

namespace aibackend::rpc {
namespace {

class UsageExportRpcTest : public CoreFixture {
 protected:
  UsageExportRpcTest() : CoreFixture(1, 10) {
    grpc::ServerBuilder builder;
    const std::string address = "unix:" + folder_.File("socket");
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::AiBackendAdmin::NewStub(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }
  ~UsageExportRpcTest() override { server_->Shutdown(); }

  grpc::Status Export(std::string& text) {
    grpc::ClientContext context;
    v1::ExportUsageRequest request;
    request.set_format("jsonl");
    const auto reader = stub_->ExportUsage(&context, request);
    v1::BodyPiece piece;
    while (reader->Read(&piece)) text += piece.data();
    return reader->Finish();
  }

  std::unique_ptr<grpc::Service> service_ = MakeAiBackendAdminService(core_);
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::AiBackendAdmin::Stub> stub_;
};

TEST_F(UsageExportRpcTest, RowsThatWaitForTheDatabaseAreInItOrItFails) {
  usage::RequestRow row;
  row.row_id = "waits";
  row.created_at = clock_.Now();
  row.endpoint = "Chat";
  row.status = usage::RequestStatus::kOk;
  std::string text;
  {
    SQLite::Database other(folder_.File("test.sqlite"), SQLite::OPEN_READWRITE, 60'000);
    other.exec("BEGIN IMMEDIATE");
    ledger_.End(row);
    EXPECT_EQ(Export(text).error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(text, "");
  }
  EXPECT_TRUE(Export(text).ok());
  EXPECT_NE(text.find("\"waits\""), std::string::npos) << text;
}

}  // namespace
}  // namespace aibackend::rpc
