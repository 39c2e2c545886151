// Answers that come in pieces.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "edge_fixture.h"

namespace aibackend::gateway {
namespace {

using EdgeStreamsTest = EdgeTest;

TEST_F(EdgeStreamsTest, PiecesLeaveAsTheyAreWritten) {
  StartDeferred();
  RawClient client(port());
  client.Send(Get("/"));
  const auto exchange = box_.Take();
  ASSERT_NE(exchange, nullptr);
  exchange->Begin(200, {{"Content-Type", "text/event-stream"}});
  std::string seen;
  while (seen.find("\r\n\r\n") == std::string::npos) seen += client.ReadSome();
  EXPECT_NE(seen.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_TRUE(exchange->Write("data: one\n\n"));
  EXPECT_EQ(client.ReadSome(), "b\r\ndata: one\n\n\r\n");
  EXPECT_TRUE(exchange->Write("")) << "which must not end the answer";
  EXPECT_TRUE(exchange->Write("data: two\n\n"));
  EXPECT_EQ(client.ReadSome(), "b\r\ndata: two\n\n\r\n");
  exchange->End();
  EXPECT_EQ(client.ReadSome(), "0\r\n\r\n");
  client.Send(Get("/"));
  const auto next = box_.Take();
  ASSERT_NE(next, nullptr) << "the connection goes on";
  next->Respond(200, {}, "next");
  EXPECT_EQ(client.Read().body, "next");
}

TEST_F(EdgeStreamsTest, AStreamedAnswerToHeadHasNoBody) {
  Start([](std::shared_ptr<Exchange> exchange) {
    exchange->Begin(200, {});
    EXPECT_TRUE(exchange->Write("body"));
    exchange->End();
  });
  RawClient client(port());
  client.Send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n" + Get("/"));
  EXPECT_TRUE(client.Read(/*to_head=*/true).complete);
  EXPECT_EQ(client.Read().body, "body");
}

TEST_F(EdgeStreamsTest, Http10StreamsUntilTheConnectionEnds) {
  Start([](std::shared_ptr<Exchange> exchange) {
    exchange->Begin(200, {});
    exchange->Write("one ");
    exchange->Write("two");
    exchange->End();
  });
  RawClient client(port());
  client.Send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  RawAnswer answer = client.Read();
  EXPECT_EQ(answer.headers.count("transfer-encoding"), 0u);
  EXPECT_EQ(answer.headers["connection"], "close");
  EXPECT_EQ(answer.body, "one two");
  EXPECT_TRUE(answer.complete);
}

TEST_F(EdgeStreamsTest, AnAbortedAnswerCannotBeTakenForComplete) {
  Start([](std::shared_ptr<Exchange> exchange) {
    exchange->Begin(200, {});
    exchange->Write("half of it");
    if (exchange->request().path == "/abort") exchange->Abort();
    // Otherwise it is dropped, which aborts too.
  });
  for (const std::string path : {"/abort", "/drop"}) {
    for (const std::string version : {"HTTP/1.1", "HTTP/1.0"}) {
      RawClient client(port());
      client.Send("GET " + path + " " + version + "\r\nHost: test\r\n\r\n");
      std::string bytes;
      EXPECT_FALSE(client.ReadToEnd(&bytes)) << "a reset, not an end";
      EXPECT_EQ(bytes.find("0\r\n\r\n"), std::string::npos);
    }
  }
}

TEST_F(EdgeStreamsTest, AThousandStreamsAllFinish) {
  constexpr int kStreams = 1000;
  constexpr int kPieces = 20;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  StartDeferred();
  std::vector<std::unique_ptr<RawClient>> clients;
  std::vector<std::shared_ptr<Exchange>> exchanges;
  for (int i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(clients.back()->connected());
    clients.back()->Send(Get("/?n=" + std::to_string(i)));
  }
  for (int i = 0; i < kStreams; ++i) {
    exchanges.push_back(box_.Take());
    ASSERT_NE(exchanges.back(), nullptr);
    exchanges.back()->Begin(200, {});
  }
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int piece = 0; piece < kPieces; ++piece) {
        for (int i = w; i < kStreams; i += 4) {
          exchanges[i]->Write(exchanges[i]->request().get_param_value("n") + " ");
        }
      }
      for (int i = w; i < kStreams; i += 4) exchanges[i]->End();
    });
  }
  for (int i = 0; i < kStreams; ++i) {
    RawAnswer answer = clients[static_cast<size_t>(i)]->Read();
    EXPECT_TRUE(answer.complete);
    std::string expected;
    for (int piece = 0; piece < kPieces; ++piece) expected += std::to_string(i) + " ";
    EXPECT_EQ(answer.body, expected);
  }
  for (std::thread& writer : writers) writer.join();
}

TEST_F(EdgeStreamsTest, AClientThatLeavesIsNoticedWhileNothingIsWritten) {
  StartDeferred();
  for (const bool begun : {false, true}) {
    RawClient client(port());
    client.Send(Get("/"));
    const auto exchange = box_.Take();
    ASSERT_NE(exchange, nullptr);
    Signal gone;
    exchange->WhenClientGone([&] { gone.Set(); });
    if (begun) exchange->Begin(200, {});
    EXPECT_FALSE(exchange->client_gone());
    client.Close();
    EXPECT_TRUE(gone.Wait());
    EXPECT_TRUE(exchange->client_gone());
    EXPECT_FALSE(exchange->Write("x"));
    Signal pending;
    exchange->WhenPendingAtMost(0, [&] { pending.Set(); });
    EXPECT_TRUE(pending.Wait()) << "so that a writer that waits finds out";
    exchange->Abort();
    EXPECT_EQ(gone.count(), 1);
  }
}

TEST_F(EdgeStreamsTest, NoCallbackRunsAfterTheAnswerIsComplete) {
  // The client leaves just as the answer ends: whichever is first, the callback's target, which
  // goes away right after, isn't touched (the sanitizers watch).
  StartDeferred();
  for (int i = 0; i < 300; ++i) {
    auto client = std::make_unique<RawClient>(port());
    client->Send(Get("/"));
    auto exchange = box_.Take();
    ASSERT_NE(exchange, nullptr);
    auto target = std::make_unique<int>(0);
    exchange->WhenClientGone([t = target.get()] { ++*t; });
    std::thread leaving([&] { client->Close(); });
    exchange->Respond(200, {}, "answer");
    target.reset();
    leaving.join();
  }
}

TEST_F(EdgeStreamsTest, CompletingWaitsForACallbackThatIsRunning) {
  StartDeferred();
  for (int i = 0; i < 20; ++i) {
    RawClient client(port());
    client.Send(Get("/"));
    const auto exchange = box_.Take();
    ASSERT_NE(exchange, nullptr);
    Signal running;
    Signal completing;
    std::atomic<bool> finished{false};
    exchange->WhenClientGone([&] {
      running.Set();
      EXPECT_TRUE(completing.Wait());
      for (int turn = 0; turn < 2000; ++turn) std::this_thread::yield();  // lets Respond() go first
      finished = true;
    });
    client.Close();
    ASSERT_TRUE(running.Wait());
    completing.Set();
    exchange->Respond(200, {}, "");
    EXPECT_TRUE(finished);
  }
}

TEST_F(EdgeStreamsTest, ACallbackMayEndOrDropItsExchange) {
  StartDeferred();
  for (const bool drop : {false, true}) {
    RawClient client(port());
    client.Send(Get("/"));
    auto exchange = box_.Take();
    ASSERT_NE(exchange, nullptr);
    Signal gone;
    Exchange* raw = exchange.get();
    raw->WhenClientGone([&gone, drop, exchange = std::move(exchange)]() mutable {
      if (drop) {
        exchange.reset();
      } else {
        exchange->Abort();
      }
      gone.Set();
    });
    client.Close();
    EXPECT_TRUE(gone.Wait());
  }
}

TEST_F(EdgeStreamsTest, ASlowReaderIsFeltAndThenServedToTheEnd) {
  constexpr size_t kPendingMax = 64 * 1024;
  constexpr size_t kTotal = 24 * 1024 * 1024;
  StartDeferred();
  RawClient client(port(), /*receive_buffer_bytes=*/16 * 1024);
  client.Send(Get("/"));
  const auto exchange = box_.Take();
  ASSERT_NE(exchange, nullptr);
  exchange->Begin(200, {});
  const std::string piece(16 * 1024, 'p');
  size_t written = 0;
  while (exchange->pending_bytes() <= kPendingMax && written < kTotal) {
    ASSERT_TRUE(exchange->Write(piece));
    written += piece.size();
  }
  ASSERT_LT(written, kTotal) << "nobody reads, so the pieces pile up here";
  // From here on the callbacks write, as much as the client takes.
  size_t most = 0;
  Signal done;
  std::function<void()> go_on = [&] {
    EXPECT_LE(exchange->pending_bytes(), kPendingMax);
    while (written < kTotal && exchange->pending_bytes() <= kPendingMax) {
      exchange->Write(piece);
      written += piece.size();
      most = std::max(most, exchange->pending_bytes());
    }
    if (written < kTotal) return exchange->WhenPendingAtMost(kPendingMax, go_on);
    exchange->End();
    done.Set();
  };
  exchange->WhenPendingAtMost(kPendingMax, go_on);
  RawAnswer answer = client.Read();
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body.size(), written);
  EXPECT_TRUE(done.Wait());
  EXPECT_LE(most, kPendingMax + piece.size() + 100);
}

TEST_F(EdgeStreamsTest, AClientThatStopsReadingIsGivenUp) {
  options_.stall_timeout = absl::Milliseconds(200);
  StartDeferred();
  RawClient client(port(), /*receive_buffer_bytes=*/16 * 1024);
  client.Send(Get("/"));
  const auto exchange = box_.Take();
  ASSERT_NE(exchange, nullptr);
  Signal gone;
  exchange->WhenClientGone([&] { gone.Set(); });
  exchange->Begin(200, {});
  exchange->Write(std::string(32 * 1024 * 1024, 'p'));
  EXPECT_GT(exchange->pending_bytes(), 0u);
  EXPECT_TRUE(gone.Wait());
  EXPECT_EQ(exchange->pending_bytes(), 0u);
  std::string bytes;
  EXPECT_FALSE(client.ReadToEnd(&bytes));
}

TEST_F(EdgeStreamsTest, TimersRunUntilTheAnswerIsComplete) {
  StartDeferred();
  RawClient client(port());
  client.Send(Get("/"));
  const auto exchange = box_.Take();
  ASSERT_NE(exchange, nullptr);
  exchange->Begin(200, {});
  Signal beats;
  std::function<void()> beat = [&] {
    exchange->Write(": beat\n\n");
    beats.Set();
    exchange->After(absl::Milliseconds(1), beat);
  };
  exchange->After(absl::Milliseconds(1), beat);
  EXPECT_TRUE(beats.Wait(3));
  exchange->End();
  const int count = beats.count();
  Signal later;
  client.Send(Get("/"));
  const auto next = box_.Take();
  ASSERT_NE(next, nullptr);
  next->After(absl::Milliseconds(600), [&] { later.Set(); });
  EXPECT_TRUE(later.Wait());
  EXPECT_EQ(beats.count(), count) << "none after the end";
  next->Respond(200, {}, "");
}

TEST_F(EdgeStreamsTest, WhatACallbackHoldsIsLetGoWhenTheAnswerIsComplete) {
  StartDeferred();
  RawClient client(port());
  client.Send(Get("/"));
  const auto exchange = box_.Take();
  ASSERT_NE(exchange, nullptr);
  auto held = std::make_shared<int>(0);
  exchange->WhenClientGone([held] {});
  exchange->After(absl::Hours(1), [held] {});
  exchange->Begin(200, {});
  EXPECT_EQ(held.use_count(), 3);
  exchange->End();
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(EdgeStreamsTest, ManyThreadsAndClientsThatComeAndGo) {
  std::atomic<int> gone{0};
  Start([&](std::shared_ptr<Exchange> exchange) {
    exchange->WhenClientGone([&] { ++gone; });
    box_.Put(std::move(exchange));
  });
  constexpr int kClients = 8;
  constexpr int kRounds = 30;
  std::vector<std::thread> threads;
  for (int w = 0; w < 4; ++w) {
    threads.emplace_back([this] {
      for (int i = 0; i < kClients * kRounds / 4; ++i) {
        const auto exchange = box_.Take();
        if (exchange == nullptr) return;
        exchange->Begin(200, {});
        for (int piece = 0; piece < 20; ++piece) exchange->Write("some text");
        if (i % 7 == 0) {
          exchange->Abort();
        } else {
          exchange->End();
        }
      }
    });
  }
  for (int c = 0; c < kClients; ++c) {
    threads.emplace_back([this, c] {
      for (int round = 0; round < kRounds; ++round) {
        RawClient client(port());
        client.Send(Get("/"));
        if ((c + round) % 3 == 0) continue;  // leaves without reading
        const RawAnswer answer = client.Read();
        if (answer.complete) {
          EXPECT_EQ(answer.body.size(), 180u);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  edge_->Stop(absl::ZeroDuration());
  EXPECT_EQ(edge_->stats().connections_open, 0u);
  EXPECT_LE(gone, kClients * kRounds);
}

}  // namespace
}  // namespace aibackend::gateway
