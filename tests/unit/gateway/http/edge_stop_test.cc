// Starting and stopping.
#include <thread>

#include "edge_fixture.h"

namespace aibackend::gateway {
namespace {

using EdgeStopTest = EdgeTest;

TEST_F(EdgeStopTest, APortThatIsTakenIsAnError) {
  StartEcho();
  EdgeOptions options;
  options.port = port();
  EXPECT_FALSE(Edge::Start(options, [](std::shared_ptr<Exchange>) {}).ok());
  options.port = 0;
  options.host = "no.such.host.invalid";
  EXPECT_FALSE(Edge::Start(options, [](std::shared_ptr<Exchange>) {}).ok());
}

TEST_F(EdgeStopTest, WithoutARefusalAnswerTheMessageIsPlainText) {
  EdgeOptions options;
  options.port = 0;
  auto edge = Edge::Start(options, [](std::shared_ptr<Exchange>) {});
  ASSERT_TRUE(edge.ok());
  RawClient client((*edge)->port());
  client.Send("nonsense\r\n\r\n");
  RawAnswer answer = client.Read();
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.headers["content-type"], "text/plain; charset=utf-8");
}

TEST_F(EdgeStopTest, IdleConnectionsEndAndNewOnesAreNotTaken) {
  StartEcho();
  RawClient idle(port());
  idle.Send(Get("/"));
  EXPECT_EQ(idle.Read().status, 200);
  const int old_port = port();
  edge_->Stop(absl::Seconds(60));
  std::string bytes;
  EXPECT_TRUE(idle.ReadToEnd(&bytes));
  EXPECT_EQ(bytes, "");
  EXPECT_EQ(edge_->stats().connections_open, 0u);
  EXPECT_FALSE(RawClient(old_port).connected());
}

TEST_F(EdgeStopTest, RunningExchangesAreLetEnd) {
  StartDeferred();
  RawClient whole(port());
  RawClient stream(port());
  whole.Send(Get("/whole"));
  const auto unary = box_.Take();
  stream.Send(Get("/stream"));
  const auto streaming = box_.Take();
  ASSERT_TRUE(unary != nullptr && streaming != nullptr);
  streaming->Begin(200, {});
  RawClient idle(port());
  idle.Send(Get("/"));
  box_.Take()->Respond(200, {}, "");
  EXPECT_EQ(idle.Read().status, 200);
  std::thread stopping([this] { edge_->Stop(absl::Seconds(60)); });
  std::string bytes;
  EXPECT_TRUE(idle.ReadToEnd(&bytes)) << "so stopping has begun";
  streaming->Write("still here");
  streaming->End();
  unary->Respond(200, {}, "answer");
  RawAnswer streamed = stream.Read();
  EXPECT_TRUE(streamed.complete);
  EXPECT_EQ(streamed.body, "still here");
  RawAnswer answer = whole.Read();
  EXPECT_EQ(answer.body, "answer");
  EXPECT_EQ(answer.headers["connection"], "close");
  stream.Close();
  whole.Close();
  stopping.join();
}

TEST_F(EdgeStopTest, WhatOutlastsTheGraceIsAborted) {
  StartDeferred();
  RawClient client(port());
  client.Send(Get("/"));
  const auto exchange = box_.Take();
  ASSERT_NE(exchange, nullptr);
  Signal gone;
  exchange->WhenClientGone([&] { gone.Set(); });
  exchange->Begin(200, {});
  exchange->Write("half");
  edge_->Stop(absl::Milliseconds(50));
  EXPECT_EQ(gone.count(), 1) << "told before Stop() returned";
  EXPECT_FALSE(client.Read().complete);
  edge_.reset();
  // The exchange outlives the edge, and does nothing.
  EXPECT_FALSE(exchange->Write("more"));
  exchange->End();
}

TEST_F(EdgeStopTest, StoppingTwiceAndUnderLoadIsFine) {
  StartEcho();
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([port = port()] {
      for (;;) {
        RawClient client(port);
        if (!client.connected()) return;
        client.Send(Post("x"));
        const RawAnswer answer = client.Read();
        if (answer.complete) {
          EXPECT_EQ(answer.body, "x");
        }
      }
    });
  }
  RawClient probe(port());
  for (int i = 0; i < 50; ++i) {
    probe.Send(Get("/"));
    probe.Read();
  }
  std::thread other([this] { edge_->Stop(absl::Seconds(5)); });
  edge_->Stop(absl::Seconds(5));
  other.join();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(edge_->stats().connections_open, 0u);
}

}  // namespace
}  // namespace aibackend::gateway
