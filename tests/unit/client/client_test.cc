#include "client/client.h"

#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/fake_backend.h"

namespace aibackend::client {
namespace {

using ::testing::ElementsAre;

class ClientTest : public ::testing::Test {
 protected:
  absl::Notification test_over_;  // outlives the server, whose handler may start after the deadline
  FakeBackend backend_;
  std::unique_ptr<Client> client_ = Client::Connect(backend_.target());
};

TEST_F(ClientTest, AnErrorKeepsItsReasonFieldRequestAndRetryTime) {
  backend_.chat = [](auto&, const auto&, auto&) {
    return ContractError(grpc::StatusCode::INVALID_ARGUMENT, "TEMPERATURE_OUT_OF_RANGE",
                         "temperature must be 0 to 2", "temperature");
  };
  const auto response = client_->Chat({});
  ASSERT_FALSE(response.ok());
  const ClientError& error = response.error();
  EXPECT_EQ(error.code, "INVALID_ARGUMENT");
  EXPECT_EQ(error.reason, "TEMPERATURE_OUT_OF_RANGE");
  EXPECT_EQ(error.field, "temperature");
  EXPECT_EQ(error.message, "temperature must be 0 to 2");
  EXPECT_EQ(error.request_id, "req_1");
  EXPECT_EQ(error.retry_after, absl::Milliseconds(1500));
}

TEST_F(ClientTest, AnErrorWithoutReadableDetailsHasTheReasonNearestToItsCode) {
  backend_.chat = [](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", "\xff\xff not a status");
  };
  CallOptions options;
  options.request_id = "mine";
  const auto response = client_->Chat({}, options);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, "RESOURCE_EXHAUSTED");
  EXPECT_EQ(response.error().reason, "OVERLOADED");
  EXPECT_EQ(response.error().request_id, "mine");
  EXPECT_EQ(response.error().retry_after, std::nullopt);
}

TEST_F(ClientTest, AServerThatIsNotThereIsUnreachable) {
  const auto response = Client::Connect("unix:/nonexistent/socket")->ListModels({});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().reason, "SERVER_UNREACHABLE");
}

TEST_F(ClientTest, TheRequestIdAndTheDeadlineAreSent) {
  std::string id;
  absl::Time deadline;
  backend_.chat = [&](grpc::ServerContext& context, const auto&, auto&) {
    const auto found = context.client_metadata().find("x-request-id");
    if (found != context.client_metadata().end()) id.assign(found->second.data(), 6);
    deadline = absl::FromChrono(context.deadline());
    return grpc::Status::OK;
  };
  CallOptions options;
  options.request_id = "req-42";
  options.timeout = absl::Seconds(20);
  ASSERT_TRUE(client_->Chat({}, options).ok());
  EXPECT_EQ(id, "req-42");
  EXPECT_LE(deadline, absl::Now() + absl::Seconds(21));
}

TEST_F(ClientTest, ACallEndsAtItsDeadline) {
  backend_.chat = [&](auto&, const auto&, auto&) {
    test_over_.WaitForNotification();
    return grpc::Status::OK;
  };
  CallOptions options;
  options.timeout = absl::Milliseconds(50);
  const auto response = client_->Chat({}, options);
  test_over_.Notify();
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().reason, "DEADLINE_EXCEEDED");
}

TEST_F(ClientTest, AStreamGivesItsDeltasInOrderAndThenWhatItRestsOn) {
  backend_.chat_stream = [](auto&, const v1::ChatRequest& request, FakeBackend::Writer& writer) {
    writer.Write(Delta(request.prompt()));
    writer.Write(Delta(" world"));
    v1::ChatResponse done;
    done.set_finish_reason("stop");
    done.add_citations()->set_document_id("doc");
    writer.Write(Done(done));
    return grpc::Status::OK;
  };
  v1::ChatRequest request;
  request.set_prompt("hello");
  std::vector<std::string> deltas;
  const auto response =
      client_->ChatStream(request, [&](std::string_view delta) { deltas.emplace_back(delta); });
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_THAT(deltas, ElementsAre("hello", " world"));
  EXPECT_EQ(response->finish_reason(), "stop");
  EXPECT_EQ(response->citations(0).document_id(), "doc");
}

TEST_F(ClientTest, AStreamThatEndsWithoutDoneHasFailed) {
  backend_.chat_stream = [](auto&, const auto&, FakeBackend::Writer& writer) {
    writer.Write(Delta("half an ans"));
    return grpc::Status::OK;
  };
  const auto response = client_->ChatStream({}, [](std::string_view) {});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().reason, "INTERRUPTED");
}

TEST_F(ClientTest, ACancelledStreamEndsAndTheServerLearnsOfIt) {
  absl::Notification server_saw_it;
  backend_.chat_stream = [&](auto&, const auto&, FakeBackend::Writer& writer) {
    while (writer.Write(Delta("more "))) {
    }
    server_saw_it.Notify();
    return grpc::Status::CANCELLED;
  };
  Cancellation cancellation;
  CallOptions options;
  options.cancellation = &cancellation;
  absl::Notification first_delta;
  std::thread canceller([&] {
    first_delta.WaitForNotification();
    cancellation.Cancel();
  });
  const auto response = client_->ChatStream(
      {},
      [&](std::string_view) {
        if (!first_delta.HasBeenNotified()) first_delta.Notify();
      },
      options);
  canceller.join();
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().reason, "CANCELLED");
  EXPECT_TRUE(server_saw_it.WaitForNotificationWithTimeout(absl::Seconds(30)));
}

TEST_F(ClientTest, WhatIsCancelledBeforeTheCallNeverReachesTheServer) {
  bool called = false;
  backend_.chat = [&](auto&, const auto&, auto&) {
    called = true;
    return grpc::Status::OK;
  };
  Cancellation cancellation;
  cancellation.Cancel();
  CallOptions options;
  options.cancellation = &cancellation;
  const auto response = client_->Chat({}, options);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().reason, "CANCELLED");
  EXPECT_FALSE(called);
}

TEST_F(ClientTest, AnUploadSendsItsPiecesInOrderAndReturnsTheStatuses) {
  std::vector<std::string> seen;
  backend_.upload = [&](auto& reader, v1::AddDocumentsResponse& response) {
    v1::UploadDocumentsRequest message;
    while (reader.Read(&message)) seen.push_back(message.document().id() + message.content());
    response.add_documents()->set_id("a");
    return grpc::Status::OK;
  };
  int pieces = 0;
  const auto response = client_->UploadDocuments([&](v1::UploadDocumentsRequest& message) {
    if (pieces == 0) message.mutable_document()->set_id("a");
    if (pieces > 0) message.set_content(absl::StrCat("piece ", pieces));
    return ++pieces <= 3;
  });
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response->documents(0).id(), "a");
  EXPECT_THAT(seen, ElementsAre("a", "piece 1", "piece 2"));
}

TEST_F(ClientTest, AnUploadThatTheServerEndsAsksForNoMore) {
  backend_.upload = [](auto&, auto&) {
    return ContractError(grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "bad", "collection");
  };
  const auto response = client_->UploadDocuments([](v1::UploadDocumentsRequest& message) {
    message.set_content(std::string(64 << 10, 'x'));
    return true;  // for ever, if it were asked
  });
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().field, "collection");
}

TEST_F(ClientTest, AnUploadThatIsGivenUpDoesNotEndAsAWholeOne) {
  backend_.upload = [](auto& reader, auto&) {
    v1::UploadDocumentsRequest message;
    while (reader.Read(&message)) {
    }
    return grpc::Status::OK;
  };
  Cancellation cancellation;
  CallOptions options;
  options.cancellation = &cancellation;
  const auto response = client_->UploadDocuments(
      [&](v1::UploadDocumentsRequest&) {
        cancellation.Cancel();
        return false;
      },
      options);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().reason, "CANCELLED");
}

TEST_F(ClientTest, TheKeyOfTheCallGoesBeforeTheClients) {
  backend_.admin.get_quota = [](const auto&, auto&) { return grpc::Status::OK; };
  ASSERT_TRUE(client_->GetQuota({}).ok());
  EXPECT_EQ(backend_.admin.authorization(), "");

  const auto client = Client::Connect(backend_.target(), {/*api_key=*/"aib_client"});
  ASSERT_TRUE(client->GetQuota({}).ok());
  EXPECT_EQ(backend_.admin.authorization(), "Bearer aib_client");

  CallOptions options;
  options.api_key = "aib_call";
  ASSERT_TRUE(client->GetQuota({}, options).ok());
  EXPECT_EQ(backend_.admin.authorization(), "Bearer aib_call");
}

TEST_F(ClientTest, WhatNoHeaderCanCarryIsRefusedBeforeItIsSent) {
  CallOptions key;
  key.api_key = "aib_\n";
  const auto with_key = client_->GetQuota({}, key);
  ASSERT_FALSE(with_key.ok());
  EXPECT_EQ(with_key.error().reason, "KEY_INVALID");
  CallOptions id;
  id.request_id = "é";
  const auto with_id = client_->Chat({}, id);
  ASSERT_FALSE(with_id.ok());
  EXPECT_EQ(with_id.error().reason, "FIELD_INVALID");
}

TEST_F(ClientTest, AnExportGivesItsPiecesInOrderAndItsContentType) {
  backend_.admin.export_usage = [](const v1::ExportUsageRequest& request,
                                   FakeAdmin::Writer& writer) {
    v1::BodyPiece piece;
    piece.set_content_type("text/" + request.format());
    writer.Write(piece);
    piece.Clear();
    for (const char* data : {"a,", "b\r\n"}) {
      piece.set_data(data);
      writer.Write(piece);
    }
    return grpc::Status::OK;
  };
  v1::ExportUsageRequest request;
  request.set_format("csv");
  std::string body;
  const auto type = client_->ExportUsage(request, [&](std::string_view piece) {
    body += piece;
    return true;
  });
  ASSERT_TRUE(type.ok()) << type.error().message;
  EXPECT_EQ(*type, "text/csv");
  EXPECT_EQ(body, "a,b\r\n");
}

TEST_F(ClientTest, AnExportThatBreaksIsAnErrorAfterItsPieces) {
  backend_.admin.export_usage = [](const auto&, FakeAdmin::Writer& writer) {
    v1::BodyPiece piece;
    piece.set_data("half");
    writer.Write(piece);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  };
  std::string body;
  const auto type = client_->ExportUsage({}, [&](std::string_view piece) {
    body += piece;
    return true;
  });
  ASSERT_FALSE(type.ok());
  EXPECT_EQ(type.error().reason, "SERVER_UNREACHABLE");
  EXPECT_EQ(body, "half");
}

TEST_F(ClientTest, AnExportThatItsReaderGivesUpEndsThere) {
  absl::Notification server_saw_it;
  backend_.admin.export_usage = [&](const auto&, FakeAdmin::Writer& writer) {
    v1::BodyPiece piece;
    piece.set_data("more");
    while (writer.Write(piece)) {
    }
    server_saw_it.Notify();
    return grpc::Status::CANCELLED;
  };
  int pieces = 0;
  const auto type = client_->ExportUsage({}, [&](std::string_view) { return ++pieces < 2; });
  ASSERT_FALSE(type.ok());
  EXPECT_EQ(type.error().reason, "CANCELLED");
  EXPECT_EQ(pieces, 2);
  EXPECT_TRUE(server_saw_it.WaitForNotificationWithTimeout(absl::Seconds(30)));
}

TEST_F(ClientTest, HealthTellsServingFromNotServingAndFromUnknown) {
  const auto serving = client_->Health();
  ASSERT_TRUE(serving.ok()) << serving.error().message;
  EXPECT_TRUE(*serving);

  backend_.SetServing(false);
  const auto draining = client_->Health();
  ASSERT_TRUE(draining.ok());
  EXPECT_FALSE(*draining);

  const auto unknown = client_->Health("no.such.Service");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, "NOT_FOUND");
}

TEST_F(ClientTest, AMessageBeyondGrpcsDefaultLimitArrives) {
  const std::string long_text(6 << 20, 'x');
  backend_.chat = [&](auto&, const auto&, v1::ChatResponse& response) {
    response.set_response(long_text);
    return grpc::Status::OK;
  };
  const auto response = client_->Chat({});
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response->response().size(), long_text.size());
}

}  // namespace
}  // namespace aibackend::client
