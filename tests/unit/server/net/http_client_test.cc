#include "server/net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "server/net/url.h"
#include "tests/unit/server/net/recorder.h"

namespace aibackend::net {
namespace {

using ::aibackend::testing::Chunk;
using ::aibackend::testing::ChunkedHeader;
using ::aibackend::testing::Connection;
using ::aibackend::testing::HttpResponse;
using ::aibackend::testing::ScriptedServer;
using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

TEST(HttpClient, AResponseArrivesWithItsStatusHeadersAndBody) {
  Exchange exchange(Answering(HttpResponse(418, "short and stout", "X-Tea: Earl Grey \r\n")));
  EXPECT_EQ(exchange.Run(), absl::OkStatus());
  EXPECT_EQ(exchange.recorder->status(), 418);
  EXPECT_EQ(exchange.recorder->body(), "short and stout");
  EXPECT_THAT(exchange.recorder->headers(), Contains(Pair("x-tea", "Earl Grey")));
  EXPECT_EQ(exchange.recorder->header_calls(), 1);
  EXPECT_NE(exchange.recorder->thread(), std::this_thread::get_id());
}

TEST(HttpClient, TheRequestIsSentAsGivenAndNothingIsAdded) {
  Exchange exchange(Answering(HttpResponse(200, "")));
  HttpRequest request = Post(exchange.server.url("/v1/x?y=1"), "the body");
  request.headers = {{"Authorization", "Bearer key"}, {"X-Empty", ""}};
  EXPECT_EQ(exchange.Run(std::move(request)), absl::OkStatus());
  const std::string seen = exchange.server.requests().at(0);
  EXPECT_THAT(seen, StartsWith("POST /v1/x?y=1 HTTP/1.1\r\n"));
  EXPECT_THAT(seen, HasSubstr("Authorization: Bearer key\r\n"));
  EXPECT_THAT(seen, HasSubstr("X-Empty:\r\n"));
  EXPECT_THAT(seen, EndsWith("\r\n\r\nthe body"));
  EXPECT_THAT(seen, Not(HasSubstr("Content-Type")));
  EXPECT_THAT(seen, Not(HasSubstr("Accept-Encoding")));
}

TEST(HttpClient, ALargeBodyIsSentWithoutAskingFirst) {
  Exchange exchange(Answering(HttpResponse(200, "")));
  const std::string body(3 * 1024 * 1024, 'b');
  EXPECT_EQ(exchange.Run(Post(exchange.server.url(), body)), absl::OkStatus());
  const std::string seen = exchange.server.requests().at(0);
  EXPECT_THAT(seen.substr(0, 300), Not(HasSubstr("100-continue")));
  EXPECT_EQ(seen.substr(seen.size() - body.size()), body);
}

TEST(HttpClient, OtherMethodsAreSentByName) {
  for (const std::string method : {"GET", "DELETE", "PUT"}) {
    Exchange exchange(Answering(HttpResponse(200, "ok")));
    HttpRequest request = Post(exchange.server.url(), "");
    request.method = method;
    EXPECT_EQ(exchange.Run(std::move(request)), absl::OkStatus());
    const std::string seen = exchange.server.requests().at(0);
    EXPECT_THAT(seen, StartsWith(method + " / HTTP/1.1\r\n"));
    EXPECT_EQ(exchange.recorder->body(), "ok");
  }
}

TEST(HttpClient, AHeaderThatHoldsALineBreakIsNeverSent) {
  Exchange exchange(Answering(HttpResponse(200, "")));
  HttpRequest request = Post(exchange.server.url());
  request.headers = {{"Authorization", "Bearer x\r\nX-Smuggled: 1"}};
  const absl::Status status = exchange.Run(std::move(request));
  EXPECT_EQ(ReasonOf(status), Reason::INTERNAL);
  EXPECT_EQ(exchange.server.connections(), 0);
}

TEST(HttpClient, InterimResponsesAndTrailersAreNotHeaders) {
  Exchange exchange(Answering(absl::StrCat("HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n",
                                           ChunkedHeader("text/plain"), Chunk("abc"),
                                           "0\r\nX-Trailer: 1\r\n\r\n")));
  EXPECT_EQ(exchange.Run(), absl::OkStatus());
  EXPECT_EQ(exchange.recorder->header_calls(), 1);
  EXPECT_EQ(exchange.recorder->status(), 200);
  EXPECT_EQ(exchange.recorder->body(), "abc");
  EXPECT_THAT(exchange.recorder->headers(), Not(Contains(Pair("x-hint", "1"))));
}

TEST(HttpClient, ARedirectIsAnAnswerAndIsNotFollowed) {
  Exchange exchange(Answering(HttpResponse(302, "", "Location: http://127.0.0.1:1/\r\n")));
  EXPECT_EQ(exchange.Run(), absl::OkStatus());
  EXPECT_EQ(exchange.recorder->status(), 302);
}

TEST(HttpClient, AProxyOfTheEnvironmentIsNotUsed) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  Exchange exchange(Answering(HttpResponse(200, "direct")));
  EXPECT_EQ(exchange.Run(), absl::OkStatus());
  unsetenv("http_proxy");
}

TEST(HttpClient, ABodyUntilTheConnectionClosesIsComplete) {
  Exchange exchange(Answering("HTTP/1.1 200 OK\r\n\r\nall of it"));
  EXPECT_EQ(exchange.Run(), absl::OkStatus());
  EXPECT_EQ(exchange.recorder->body(), "all of it");
}

TEST(HttpClient, CancelClosesTheConnectionAndEndsTheCallOnce) {
  absl::Notification closed;
  Exchange exchange([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/plain") + Chunk("abc"));
    if (connection.SeesEof()) closed.Notify();
  });
  auto call = exchange.client.Start(Post(exchange.server.url()), exchange.recorder);
  exchange.recorder->WaitBody("abc");
  call->Cancel();
  call->Cancel();
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(kPatience));
  EXPECT_EQ(ReasonOf(exchange.recorder->WaitDone()), Reason::CANCELLED);
  call->Cancel();
  EXPECT_EQ(exchange.recorder->done_calls(), 1);
}

TEST(HttpClient, ACallThatHasEndedCannotBeCancelled) {
  Exchange exchange(Answering(HttpResponse(200, "ok")));
  auto call = exchange.client.Start(Post(exchange.server.url()), exchange.recorder);
  EXPECT_EQ(exchange.recorder->WaitDone(), absl::OkStatus());
  call->Cancel();
  EXPECT_EQ(exchange.recorder->done_calls(), 1);
}

// Cancels its own call from inside OnBody.
class SelfCancelling : public Recorder {
 public:
  void OnBody(absl::string_view data) override {
    call.Get()->Cancel();
    EXPECT_FALSE(is_done()) << "OnDone from inside Cancel()";
    Recorder::OnBody(data);
  }
  struct Slot {
    void Set(std::shared_ptr<HttpCall> c) {
      absl::MutexLock lock(&mutex);
      value = std::move(c);
    }
    std::shared_ptr<HttpCall> Get() {
      absl::MutexLock lock(&mutex);
      mutex.Await(absl::Condition(
          +[](std::shared_ptr<HttpCall>* c) { return *c != nullptr; }, &value));
      return value;
    }
    absl::Mutex mutex;
    std::shared_ptr<HttpCall> value;
  } call;
};

TEST(HttpClient, AHandlerMayCancelItsOwnCall) {
  ScriptedServer server([](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/plain") + Chunk("abc"));
    connection.SeesEof();
  });
  HttpClient client{HttpClient::Options()};
  auto handler = std::make_shared<SelfCancelling>();
  handler->call.Set(client.Start(Post(server.url()), handler));
  EXPECT_EQ(ReasonOf(handler->WaitDone()), Reason::CANCELLED);
}

TEST(HttpClient, TheDestructorCancelsWhatRuns) {
  ScriptedServer server([](Connection& connection) { connection.SeesEof(); });
  std::vector<std::shared_ptr<Recorder>> recorders;
  std::shared_ptr<HttpCall> call;
  {
    HttpClient client{HttpClient::Options()};
    for (int i = 0; i < 20; ++i) {
      recorders.push_back(std::make_shared<Recorder>());
      call = client.Start(Post(server.url()), recorders.back());
    }
  }
  for (const auto& recorder : recorders) {
    ASSERT_TRUE(recorder->is_done());
    EXPECT_EQ(ReasonOf(recorder->WaitDone()), Reason::CANCELLED);
  }
  call->Cancel();  // a call may outlive its client
}

// Answers every request of a connection with its own body.
void Echo(Connection& connection) {
  for (;;) {
    const std::string request = connection.ReadRequest();
    if (request.empty()) return;
    connection.Send(HttpResponse(200, request.substr(request.find("\r\n\r\n") + 4)));
  }
}

TEST(HttpClient, AConnectionIsReused) {
  ScriptedServer server(Echo);
  HttpClient client{HttpClient::Options()};
  for (int i = 0; i < 10; ++i) {
    auto recorder = std::make_shared<Recorder>();
    client.Start(Post(server.url(), absl::StrCat("n", i)), recorder);
    EXPECT_EQ(recorder->WaitDone(), absl::OkStatus());
    EXPECT_EQ(recorder->body(), absl::StrCat("n", i));
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpClient, AKeptConnectionThatTheUpstreamClosedIsReplaced) {
  constexpr int kRequests = 10;
  std::atomic<int> closed{0};
  std::array<absl::Notification, kRequests> closings;
  ScriptedServer server([&](Connection& connection) {  // says keep-alive, and closes
    connection.ReadRequest();
    connection.Send(HttpResponse(200, "ok"));
    shutdown(connection.fd(), SHUT_RDWR);
    closings[static_cast<size_t>(closed++)].Notify();
  });
  HttpClient client{HttpClient::Options()};
  for (absl::Notification& closing : closings) {
    auto recorder = std::make_shared<Recorder>();
    client.Start(Post(server.url()), recorder);
    EXPECT_EQ(recorder->WaitDone(), absl::OkStatus());
    closing.WaitForNotification();  // a request that meets the close itself is lost, and says so
  }
  EXPECT_EQ(server.connections(), kRequests);
}

TEST(HttpClient, FiveHundredTransfersAtOnceEachGetTheirOwnAnswer) {
  constexpr int kTransfers = 500;
  // Nobody is answered before all have asked, so all are open at once.
  std::atomic<int> asked{0};
  absl::Notification all_asked;
  ScriptedServer server([&](Connection& connection) {
    const std::string request = connection.ReadRequest();
    if (request.empty()) return;
    if (++asked == kTransfers) all_asked.Notify();
    all_asked.WaitForNotification();
    connection.Send(HttpResponse(200, request.substr(request.find("\r\n\r\n") + 4)));
    Echo(connection);
  });
  HttpClient client{HttpClient::Options()};
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (int i = 0; i < kTransfers; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    client.Start(Post(server.url(), absl::StrCat("transfer ", i)), recorders.back());
  }
  for (int i = 0; i < kTransfers; ++i) {
    EXPECT_EQ(recorders[i]->WaitDone(), absl::OkStatus());
    EXPECT_EQ(recorders[i]->body(), absl::StrCat("transfer ", i));
  }
  EXPECT_EQ(server.connections(), kTransfers);
}

TEST(HttpClient, TransfersBeyondTheConnectionLimitWaitTheirTurn) {
  ScriptedServer server(Echo);
  HttpClient::Options options;
  options.connections_max = 2;
  HttpClient client(options);
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (int i = 0; i < 50; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    client.Start(Post(server.url(), absl::StrCat(i)), recorders.back());
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(recorders[i]->WaitDone(), absl::OkStatus());
    EXPECT_EQ(recorders[i]->body(), absl::StrCat(i));
  }
  EXPECT_LE(server.connections(), 2);
}

TEST(HttpClient, StartAndCancelMayRaceFromManyThreads) {
  ScriptedServer server(Echo);
  HttpClient client{HttpClient::Options()};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        auto recorder = std::make_shared<Recorder>();
        auto call = client.Start(Post(server.url(), "x"), recorder);
        if (i % 2 == 0) call->Cancel();
        const absl::Status status = recorder->WaitDone();
        EXPECT_TRUE(status.ok() || (i % 2 == 0 && ReasonOf(status) == Reason::CANCELLED)) << status;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(OriginOf, NamesSchemeHostAndPortOnly) {
  EXPECT_EQ(OriginOf("https://api.example.com/v1?key=1#x"), "https://api.example.com");
  EXPECT_EQ(OriginOf("http://user:pw@[::1]:8080/v1"), "http://[::1]:8080");
  EXPECT_EQ(OriginOf("http://host:1?key=a@b"), "http://host:1");
}

}  // namespace
}  // namespace aibackend::net
