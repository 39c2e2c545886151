// Sizes, counts and times.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "edge_fixture.h"

namespace aibackend::gateway {
namespace {

using EdgeLimitsTest = EdgeTest;

TEST_F(EdgeLimitsTest, AHeaderLineOfAHundredMegabytesIsRefusedAfterTheLimit) {
  StartEcho();
  RawClient client(port());
  client.Send("GET / HTTP/1.1\r\nHost: test\r\nX-Long: ");
  const std::string piece(1024 * 1024, 'a');
  for (int i = 0; i < 100 && client.Send(piece); ++i) {
  }
  EXPECT_EQ(client.Read().status, 431);
}

TEST_F(EdgeLimitsTest, HeadersUpToTheLimitAreServed) {
  options_.header_bytes_max = 2000;
  StartEcho();
  const std::string frame = Get("/", "X: \r\n");
  const std::string fitting = Get("/", "X: " + std::string(2000 - frame.size(), 'a') + "\r\n");
  RawClient client(port());
  client.Send(fitting);
  EXPECT_EQ(client.Read().status, 200);
  client.Send(Get("/", "X: " + std::string(2001 - frame.size(), 'a') + "\r\n"));
  EXPECT_EQ(client.Read().status, 431);
}

TEST_F(EdgeLimitsTest, TooManyHeadersAreRefused) {
  StartEcho();
  std::string headers;
  for (int i = 0; i < 99; ++i) headers += "X-" + std::to_string(i) + ": 1\r\n";
  RawClient client(port());
  client.Send(Get("/", headers));
  EXPECT_EQ(client.Read().status, 200);
  client.Send(Get("/", headers + "One-More: 1\r\n"));
  EXPECT_EQ(client.Read().status, 431);
}

TEST_F(EdgeLimitsTest, ABodyUpToTheLimitIsServedHoweverItIsFramed) {
  options_.body_bytes_max = 5000;
  StartEcho();
  const std::string fitting(5000, 'b');
  const std::string chunked = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
  RawClient client(port());
  client.Send(Post(fitting));
  EXPECT_EQ(client.Read().body, fitting);
  client.Send(chunked + "9c4\r\n" + fitting.substr(0, 2500) + "\r\n9c4\r\n" +
              fitting.substr(0, 2500) + "\r\n0\r\n\r\n");
  EXPECT_EQ(client.Read().body, fitting);
  client.Send(chunked + "9c4\r\n" + fitting.substr(0, 2500) + "\r\n9c5\r\n");
  EXPECT_EQ(client.Read().status, 413);
}

TEST_F(EdgeLimitsTest, AClientStillSendingABodyThatIsTooLargeSeesWhy) {
  options_.body_bytes_max = 1000;
  StartEcho();
  RawClient client(port());
  EXPECT_TRUE(client.Send(Post(std::string(8 * 1024 * 1024, 'b')))) << "it is read and dropped";
  EXPECT_EQ(client.Read().status, 413);
}

TEST_F(EdgeLimitsTest, AllBodiesTogetherAreBoundedUntilTheirAnswersEnd) {
  options_.bodies_bytes_max = 100'000;
  StartDeferred();
  const std::string large(150'000, 'b');
  RawClient first(port());
  first.Send(Post(large));
  auto held = box_.Take();
  ASSERT_NE(held, nullptr);
  RawClient second(port());
  second.Send(Post(large));
  const RawAnswer refused = second.Read();
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.at("connection"), "close");
  RawClient small(port());
  small.Send(Post(std::string(60'000, 's')));
  auto served = box_.Take();
  ASSERT_NE(served, nullptr) << "what is small has its way";
  served->Respond(200, {}, "");
  EXPECT_EQ(small.Read().status, 200);
  held->Respond(200, {}, "");
  held.reset();
  EXPECT_EQ(first.Read().status, 200);
  first.Send(Post(large));
  held = box_.Take();
  ASSERT_NE(held, nullptr);
  held->Respond(200, {}, "");
  EXPECT_EQ(first.Read().status, 200);
}

TEST_F(EdgeLimitsTest, ABodyThatIsTooLargeIsRefusedBeforeItIsAskedFor) {
  StartEcho();
  RawClient client(port());
  client.Send(
      "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n"
      "Content-Length: 999999999\r\n\r\n");
  EXPECT_EQ(client.Read().status, 413);
}

TEST_F(EdgeLimitsTest, ChunkExtensionsAreBoundedInSum) {
  StartEcho();
  RawClient client(port());
  client.Send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "1;" + std::string(200, 'e') + "\r\nx\r\n";
  std::string chunks;
  for (int i = 0; i < 1000; ++i) chunks += chunk;
  client.Send(chunks);
  EXPECT_EQ(client.Read().status, 400);
}

TEST_F(EdgeLimitsTest, ARequestThatDripsInIsCutOffAtItsDeadline) {
  options_.request_deadline = absl::Milliseconds(300);
  StartEcho();
  RawClient header(port());
  header.Send("GET / HTTP/1.1\r\nHost: te");
  EXPECT_EQ(header.Read().status, 408);
  // A byte now and then doesn't put the deadline off.
  RawClient body(port());
  body.Send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n");
  RawAnswer answer;
  std::thread reader([&] { answer = body.Read(); });
  for (int i = 0; i < 1000 && edge_->stats().refusals < 2; ++i) {
    RawClient pace(port());  // a round trip, for want of a clock to step
    body.Send("x");
    pace.Send(Get("/"));
    pace.Read();
  }
  reader.join();
  EXPECT_EQ(answer.status, 408);
  EXPECT_EQ(answer.headers["connection"], "close");
}

TEST_F(EdgeLimitsTest, AnIdleConnectionIsClosedWithoutAWord) {
  options_.idle_timeout = absl::Milliseconds(100);
  StartEcho();
  RawClient silent(port());
  std::string bytes;
  EXPECT_TRUE(silent.ReadToEnd(&bytes));
  EXPECT_EQ(bytes, "");
  RawClient served(port());
  served.Send(Get("/"));
  EXPECT_EQ(served.Read().status, 200);
  EXPECT_TRUE(served.ReadToEnd(&bytes));
  EXPECT_EQ(bytes, "");
}

TEST_F(EdgeLimitsTest, AnExchangeMayTakeLongerThanTheIdleTimeout) {
  options_.idle_timeout = absl::Milliseconds(50);
  StartDeferred();
  RawClient working(port());
  working.Send(Get("/"));
  const auto exchange = box_.Take();
  ASSERT_NE(exchange, nullptr);
  RawClient idle(port());
  std::string bytes;
  EXPECT_TRUE(idle.ReadToEnd(&bytes)) << "so the timeout has passed";
  exchange->Respond(200, {}, "late");
  EXPECT_EQ(working.Read().body, "late");
}

TEST_F(EdgeLimitsTest, OneConnectionTooManyIsToldSo) {
  options_.connections_max = 2;
  StartEcho();
  RawClient first(port());
  RawClient second(port());
  for (RawClient* client : {&first, &second}) {
    client->Send(Get("/"));
    EXPECT_EQ(client->Read().status, 200);
  }
  {
    RawClient third(port());
    third.Send(Get("/"));
    RawAnswer answer = third.Read();
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.headers["content-type"], "application/json");
  }
  first.Send(Get("/"));
  EXPECT_EQ(first.Read().status, 200) << "those within the limit are served on";
}

TEST_F(EdgeLimitsTest, WithoutADescriptorLeftAcceptingPausesAndGoesOn) {
  StartEcho();
  RawClient before(port());
  before.Send(Get("/"));
  EXPECT_EQ(before.Read().status, 200);
  // Take every descriptor but the one for a client's own end.
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit lowered{std::min<rlim_t>(limit.rlim_cur, 256), limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  std::vector<int> taken;
  for (int fd = dup(0); fd >= 0; fd = dup(0)) taken.push_back(fd);
  close(taken.back());
  taken.pop_back();
  RawClient waiting(port());
  ASSERT_TRUE(waiting.connected());
  waiting.Send(Get("/"));
  before.Send(Get("/"));
  EXPECT_EQ(before.Read().status, 200) << "the others are served meanwhile";
  for (const int fd : taken) close(fd);
  EXPECT_EQ(waiting.Read().status, 200);
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace aibackend::gateway
