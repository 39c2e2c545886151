#include "gateway/transcode/stream_call.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gateway/transcode/sse.h"
#include "tests/unit/gateway/transcode/call_fixture.h"

namespace aibackend::gateway {
namespace {

using Answer = FakeExchange::Answer;
using Ending = FakeExchange::Ending;
using Stream = FakeBackend::Stream;

constexpr char kPath[] = "/chat/stream";

class StreamCallTest : public CallTest {
 protected:
  StreamCallTest() {
    options_.heartbeat_interval = absl::Seconds(15);
    options_.now = [this] {
      absl::MutexLock lock(&clock_mutex_);
      return now_;
    };
  }
  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&clock_mutex_);
    now_ += duration;
  }
  void Serve(std::function<grpc::Status(grpc::ServerContext*, Stream*)> body) {
    backend_.on_stream = [body = std::move(body)](grpc::ServerContext* context,
                                                  const v1::ChatRequest&,
                                                  Stream* stream) { return body(context, stream); };
  }

 private:
  absl::Mutex clock_mutex_;
  absl::Time now_ ABSL_GUARDED_BY(clock_mutex_) = absl::UnixEpoch();
};

TEST_F(StreamCallTest, DeltasAreEventsAndDoneIsTheLast) {
  Serve([](grpc::ServerContext*, Stream* stream) {
    FakeBackend::SendDelta(stream, "Hel");
    FakeBackend::SendDelta(stream, "lo\n");
    FakeBackend::SendDone(stream);
    return grpc::Status::OK;
  });
  Start(kPath);
  const Answer answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.ending, Ending::kEnded);
  EXPECT_EQ(answer.Header("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(answer.Header("Cache-Control"), "no-cache");
  EXPECT_EQ(answer.Header("X-Accel-Buffering"), "no");
  const std::string start =
      "id: 1\ndata: {\"delta\":\"Hel\"}\n\nid: 2\ndata: {\"delta\":\"lo\\n\"}\n\nevent: "
      "done\ndata: ";
  ASSERT_EQ(answer.body.substr(0, start.size()), start);
  const auto done = nlohmann::json::parse(answer.body.substr(start.size()));
  EXPECT_EQ(done["finish_reason"], "stop");
  EXPECT_FALSE(done.contains("response"));
}

TEST_F(StreamCallTest, PlainTextIsTheDeltasAndNothingElse) {
  Serve([](grpc::ServerContext*, Stream* stream) {
    FakeBackend::SendDelta(stream, "Hel");
    FakeBackend::SendDelta(stream, "lo\n");
    FakeBackend::SendDone(stream);
    return grpc::Status::OK;
  });
  exchange_->sent.headers.emplace("Accept", "text/plain");
  Start(kPath);
  const Answer answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.ending, Ending::kEnded);
  EXPECT_EQ(answer.Header("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(answer.body, "Hello\n");
}

TEST_F(StreamCallTest, AnErrorBeforeAnythingWasSentIsAnHttpStatus) {
  Serve([](grpc::ServerContext*, Stream*) {
    return ErrorStatus(grpc::StatusCode::INVALID_ARGUMENT, "MESSAGES_EMPTY", "none", "messages");
  });
  Start(kPath);
  const Answer answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.ending, Ending::kResponded);
  EXPECT_EQ(nlohmann::json::parse(answer.body)["error"]["reason"], "MESSAGES_EMPTY");
}

TEST_F(StreamCallTest, AnErrorAfterATokenIsTheLastEvent) {
  Serve([](grpc::ServerContext*, Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    return ErrorStatus(grpc::StatusCode::UNAVAILABLE, "UPSTREAM_TRUNCATED", "cut");
  });
  Start(kPath);
  const Answer answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.ending, Ending::kEnded);
  const size_t event = answer.body.find("event: error\ndata: ");
  ASSERT_NE(event, std::string::npos) << answer.body;
  const auto error = nlohmann::json::parse(answer.body.substr(event + 19))["error"];
  EXPECT_EQ(error["reason"], "UPSTREAM_TRUNCATED");
  EXPECT_EQ(answer.body.find("event: done"), std::string::npos);
}

TEST_F(StreamCallTest, PlainTextThatFailsNeverLooksComplete) {
  Serve([](grpc::ServerContext*, Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    return ErrorStatus(grpc::StatusCode::UNAVAILABLE, "UPSTREAM_TRUNCATED", "cut");
  });
  exchange_->sent.headers.emplace("Accept", "text/plain");
  Start(kPath);
  const Answer answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.ending, Ending::kAborted);
  EXPECT_EQ(answer.body, "a");
}

TEST_F(StreamCallTest, AStreamThatEndsWithoutDoneIsAnError) {
  Serve([](grpc::ServerContext*, Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    return grpc::Status::OK;
  });
  Start(kPath);
  const Answer answer = exchange_->WaitForEnding();
  EXPECT_NE(answer.body.find("event: error"), std::string::npos);
  EXPECT_NE(answer.body.find("INTERRUPTED"), std::string::npos);
}

TEST_F(StreamCallTest, AnErrorAfterDoneTakesTheDoneBack) {
  Serve([](grpc::ServerContext*, Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    FakeBackend::SendDone(stream);
    return ErrorStatus(grpc::StatusCode::INTERNAL, "INTERNAL", "the ledger");
  });
  Start(kPath);
  const Answer answer = exchange_->WaitForEnding();
  EXPECT_NE(answer.body.find("event: error"), std::string::npos);
  EXPECT_EQ(answer.body.find("event: done"), std::string::npos);
}

TEST_F(StreamCallTest, AHeartbeatGoesOutWhileNothingFlowsFromBeforeTheFirstToken) {
  absl::Notification go_on;
  Serve([&](grpc::ServerContext*, Stream* stream) {
    go_on.WaitForNotification();
    return ErrorStatus(grpc::StatusCode::UNAVAILABLE, "UPSTREAM_TIMEOUT", "slow");
  });
  Start(kPath);
  Advance(absl::Seconds(15));
  EXPECT_EQ(exchange_->FireTimer(), absl::Seconds(15));
  EXPECT_EQ(exchange_->answer().status, 200);
  EXPECT_EQ(exchange_->answer().body, kSseHeartbeat);
  Advance(absl::Seconds(15));
  exchange_->FireTimer();
  EXPECT_EQ(exchange_->answer().body, std::string(kSseHeartbeat) + kSseHeartbeat);
  go_on.Notify();
  const Answer answer = exchange_->WaitForEnding();  // a 200 already, so that the error is an event
  EXPECT_EQ(answer.ending, Ending::kEnded);
  EXPECT_NE(answer.body.find("UPSTREAM_TIMEOUT"), std::string::npos);
}

TEST_F(StreamCallTest, AHeartbeatIsNotDueWhereTokensFlow) {
  absl::Notification go_on;
  Serve([&](grpc::ServerContext*, Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    go_on.WaitForNotification();
    FakeBackend::SendDone(stream);
    return grpc::Status::OK;
  });
  Advance(absl::Seconds(100));
  Start(kPath);
  ASSERT_TRUE(exchange_->WaitFor([](const Answer& answer) { return !answer.body.empty(); }));
  Advance(absl::Seconds(5));
  exchange_->FireTimer();
  EXPECT_EQ(exchange_->answer().body.find(kSseHeartbeat), std::string::npos);
  Advance(absl::Seconds(10));  // 15 after the token
  EXPECT_EQ(exchange_->FireTimer(), absl::Seconds(10));
  EXPECT_NE(exchange_->answer().body.find(kSseHeartbeat), std::string::npos);
  go_on.Notify();
  exchange_->WaitForEnding();
  const std::string body = exchange_->answer().body;
  exchange_->FireTimer();  // one that comes late changes nothing
  EXPECT_EQ(exchange_->answer().body, body);
}

TEST_F(StreamCallTest, AClientThatLeavesCancelsTheStream) {
  absl::Notification cancelled;
  Serve([&](grpc::ServerContext* context, Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    if (WaitUntilCancelled(context)) cancelled.Notify();
    return grpc::Status::CANCELLED;
  });
  Start(kPath);
  ASSERT_TRUE(exchange_->WaitFor([](const Answer& answer) { return !answer.body.empty(); }));
  exchange_->Leave();
  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(10)));
  exchange_->WaitForEnding();
}

TEST_F(StreamCallTest, ASlowReaderPausesTheReadsAndThenGetsAll) {
  constexpr int kDeltas = 400;
  const std::string delta(4096, 'x');
  Serve([&](grpc::ServerContext*, Stream* stream) {
    for (int i = 0; i < kDeltas; ++i) FakeBackend::SendDelta(stream, delta);
    FakeBackend::SendDone(stream);
    return grpc::Status::OK;
  });
  exchange_->TakeNothing();
  Start(kPath);
  ASSERT_TRUE(exchange_->WaitForPause());
  EXPECT_GT(exchange_->pending_bytes(), kPendingBytesMax);
  EXPECT_LT(exchange_->pending_bytes(), kPendingBytesMax + 2 * delta.size());
  exchange_->TakeAll();
  const Answer answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.ending, Ending::kEnded);
  EXPECT_GT(answer.body.size(), kDeltas * delta.size());
  EXPECT_NE(answer.body.find("event: done"), std::string::npos);
}

TEST_F(StreamCallTest, ASlowReaderThatLeavesEndsTheCall) {
  Serve([&](grpc::ServerContext* context, Stream* stream) {
    while (FakeBackend::SendDelta(stream, std::string(4096, 'x'))) {
    }
    return context->IsCancelled() ? grpc::Status::CANCELLED : grpc::Status::OK;
  });
  exchange_->TakeNothing();
  Start(kPath);
  ASSERT_TRUE(exchange_->WaitForPause());
  exchange_->Leave();
  EXPECT_NE(exchange_->WaitForEnding().ending, Ending::kOpen);
}

}  // namespace
}  // namespace aibackend::gateway
