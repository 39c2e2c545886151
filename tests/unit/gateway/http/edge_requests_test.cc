// What reaches a handler, and how whole answers leave.
#include <zlib.h>

#include <thread>

#include "edge_fixture.h"

namespace aibackend::gateway {
namespace {

using EdgeRequestsTest = EdgeTest;

TEST_F(EdgeRequestsTest, AHandlerSeesTheRequestAsItWasSent) {
  StartDeferred();
  RawClient client(port());
  client.Send(
      "PUT /a%20b/%E6%97%A5?token=YQ==&x=a=b=c&x=a=b=c&q=1+2%2B3?&flag HTTP/1.1\r\nHost: test\r\n"
      "X-Raw:  100%25 %41 \t\r\nX-Twice: 1\r\nx-twice: 2\r\nREMOTE_ADDR: spoofed\r\n"
      "Content-Length: 3\r\n\r\nabc");
  const auto exchange = box_.Take();
  ASSERT_NE(exchange, nullptr);
  const httplib::Request& request = exchange->request();
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.path, "/a b/\xE6\x97\xA5");
  EXPECT_EQ(request.target, "/a%20b/%E6%97%A5?token=YQ==&x=a=b=c&x=a=b=c&q=1+2%2B3?&flag");
  EXPECT_EQ(request.version, "HTTP/1.1");
  EXPECT_EQ(request.body, "abc");
  EXPECT_EQ(request.get_param_value("token"), "YQ==");
  EXPECT_EQ(request.get_param_value("x"), "a=b=c");
  EXPECT_EQ(request.get_param_value_count("x"), 2u);
  EXPECT_EQ(request.get_param_value("q"), "1 2+3?");
  EXPECT_TRUE(request.has_param("flag"));
  EXPECT_EQ(request.get_header_value("x-raw"), "100%25 %41");
  EXPECT_EQ(request.get_header_value_count("X-Twice"), 2u);
  EXPECT_EQ(request.headers.size(), 6u) << "nothing is added to what was sent";
  EXPECT_EQ(request.remote_addr, "127.0.0.1");
  EXPECT_GT(request.remote_port, 0);
  exchange->Respond(204, {}, "");
  EXPECT_EQ(client.Read().status, 204);
}

TEST_F(EdgeRequestsTest, EveryMethodReachesTheHandler) {
  Start([](std::shared_ptr<Exchange> exchange) {
    exchange->Respond(200, {{"X-Method", exchange->request().method}}, "body");
  });
  RawClient client(port());
  for (const std::string method :
       {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "x"}) {
    client.Send(method + " /anything HTTP/1.1\r\nHost: test\r\n\r\n");
    RawAnswer answer = client.Read(method == "HEAD");
    EXPECT_EQ(answer.status, 200) << method;
    EXPECT_EQ(answer.headers["x-method"], method);
    EXPECT_EQ(answer.headers["content-length"], "4");
    EXPECT_EQ(answer.body, method == "HEAD" ? "" : "body");
  }
  client.Send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(client.Read().status, 200);
}

TEST_F(EdgeRequestsTest, AnAbsoluteTargetIsServedByItsPath) {
  Start([](std::shared_ptr<Exchange> exchange) {
    exchange->Respond(200, {}, exchange->request().path + exchange->request().get_param_value("q"));
  });
  RawClient client(port());
  client.Send(Get("http://test/path?q=1") + Get("http://test?q=2"));
  EXPECT_EQ(client.Read().body, "/path1");
  EXPECT_EQ(client.Read().body, "/2");
}

TEST_F(EdgeRequestsTest, AHeaderOfAnAnswerCannotAddALine) {
  Start([](std::shared_ptr<Exchange> exchange) {
    exchange->Respond(200,
                      {{"X-Value", "a\r\nSet-Cookie: b"},
                       {"Bad Name", "x"},
                       {"Content-Length", "99"},
                       {"Connection", "upgrade"}},
                      "ok");
  });
  RawClient client(port());
  client.Send(Get("/"));
  RawAnswer answer = client.Read();
  EXPECT_EQ(answer.headers["x-value"], "a  Set-Cookie: b");
  EXPECT_EQ(answer.headers.count("set-cookie"), 0u);
  EXPECT_EQ(answer.headers["content-length"], "2");
  EXPECT_EQ(answer.headers.count("connection"), 0u);
  EXPECT_EQ(answer.head.find("Bad Name"), std::string::npos);
  EXPECT_EQ(answer.head.substr(0, 16), "HTTP/1.1 200 OK\n");
  EXPECT_EQ(answer.headers["date"].substr(answer.headers["date"].size() - 3), "GMT");
}

TEST_F(EdgeRequestsTest, AnAnswerIsNeverCompressedByTheEdge) {
  Start([](std::shared_ptr<Exchange> exchange) {
    exchange->Respond(200, {{"Content-Type", "application/json"}}, std::string(5000, 'x'));
  });
  RawClient client(port());
  client.Send(Get("/", "Accept-Encoding: gzip, deflate, br\r\n"));
  RawAnswer answer = client.Read();
  EXPECT_EQ(answer.headers.count("content-encoding"), 0u);
  EXPECT_EQ(answer.body, std::string(5000, 'x'));
}

TEST_F(EdgeRequestsTest, ARangeIsLeftToTheHandler) {
  StartEcho();
  RawClient client(port());
  client.Send(Post("0123456789", "Range: bytes=9999-99999\r\n"));
  EXPECT_EQ(client.Read().body, "0123456789");
}

TEST_F(EdgeRequestsTest, AConnectionServesRequestAfterRequest) {
  StartEcho();
  RawClient client(port());
  for (int i = 0; i < 50; ++i) {
    client.Send(Post("request " + std::to_string(i)));
    RawAnswer answer = client.Read();
    EXPECT_EQ(answer.body, "request " + std::to_string(i));
    EXPECT_EQ(answer.headers.count("connection"), 0u);
  }
  EXPECT_EQ(edge_->stats().connections_accepted, 1u);
  EXPECT_EQ(edge_->stats().requests, 50u);
}

TEST_F(EdgeRequestsTest, ConnectionCloseIsHonoured) {
  StartEcho();
  RawClient client(port());
  client.Send(Post("x", "Connection: foo, Close\r\n"));
  RawAnswer answer = client.Read();
  EXPECT_EQ(answer.headers["connection"], "close");
  std::string rest;
  EXPECT_TRUE(client.ReadToEnd(&rest));
  EXPECT_EQ(rest, "");
}

TEST_F(EdgeRequestsTest, Http10ClosesUnlessAskedToKeepAlive) {
  StartEcho();
  RawClient keeping(port());
  for (int i = 0; i < 2; ++i) {
    keeping.Send("POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx");
    RawAnswer answer = keeping.Read();
    EXPECT_EQ(answer.body, "x");
    EXPECT_EQ(answer.headers["connection"], "keep-alive");
  }
  RawClient closing(port());
  closing.Send("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx");
  std::string all;
  EXPECT_TRUE(closing.ReadToEnd(&all));
  EXPECT_NE(all.find("Connection: close\r\n"), std::string::npos);
}

TEST_F(EdgeRequestsTest, AClientThatWaitsFor100ContinueIsToldToGoOn) {
  StartEcho();
  RawClient client(port());
  client.Send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(client.Read().status, 100);
  client.Send("body");
  RawAnswer answer = client.Read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "body");
}

TEST_F(EdgeRequestsTest, AClientThatDoesNotWaitIsNotSent100) {
  StartEcho();
  RawClient client(port());
  client.Send(Post("body", "Expect: 100-continue\r\n"));
  EXPECT_EQ(client.Read().status, 200);
}

TEST_F(EdgeRequestsTest, ABodyMayComeInChunksOfAnySize) {
  StartEcho();
  RawClient client(port());
  const std::string request =
      "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "5\r\nhello\r\n1;name=\"value\"\r\n \r\n00A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n";
  client.Send(request);
  EXPECT_EQ(client.Read().body, "hello 0123456789");
  for (const char byte : request) client.Send(std::string_view(&byte, 1));
  EXPECT_EQ(client.Read().body, "hello 0123456789");
}

std::string Compress(const std::string& data, int window_bits) {
  z_stream z{};
  deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, data.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  z.avail_in = static_cast<uInt>(data.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

TEST_F(EdgeRequestsTest, ACompressedBodyArrivesInflated) {
  Start([](std::shared_ptr<Exchange> exchange) {
    EXPECT_FALSE(exchange->request().has_header("Content-Encoding"));
    exchange->Respond(200, {}, exchange->request().body);
  });
  std::string text;
  for (int i = 0; i < 20000; ++i) text += std::to_string(i);
  RawClient client(port());
  client.Send(Post(Compress(text, MAX_WBITS + 16), "Content-Encoding: gzip\r\n"));
  EXPECT_EQ(client.Read().body, text);
  client.Send(Post(Compress(text, MAX_WBITS), "Content-Encoding: deflate\r\n"));
  EXPECT_EQ(client.Read().body, text);
  client.Send(Post(Compress(text, -MAX_WBITS), "Content-Encoding: deflate\r\n"));
  EXPECT_EQ(client.Read().body, text);
}

TEST_F(EdgeRequestsTest, ACompressedBodyThatIsCutOrFollowedByMoreIsRefused) {
  StartEcho();
  const std::string whole = Compress("some text to compress", MAX_WBITS + 16);
  for (const std::string& body :
       {whole.substr(0, whole.size() - 3), whole + "more", std::string("no")}) {
    RawClient client(port());
    client.Send(Post(body, "Content-Encoding: gzip\r\n"));
    EXPECT_EQ(client.Read().status, 400);
  }
}

TEST_F(EdgeRequestsTest, AGzipBombIsStoppedAtTheLimit) {
  options_.body_bytes_max = 1024 * 1024;
  StartEcho();
  RawClient client(port());
  const std::string bomb = Compress(std::string(300 * 1024 * 1024, '\0'), MAX_WBITS + 16);
  ASSERT_LT(bomb.size(), options_.body_bytes_max);
  client.Send(Post(bomb, "Content-Encoding: gzip\r\n"));
  RawAnswer answer = client.Read();
  EXPECT_EQ(answer.status, 413);
  EXPECT_NE(answer.body.find("once inflated"), std::string::npos) << answer.body;
}

std::string Multipart(const std::string& content) {
  return "--B0undary\r\nContent-Disposition: form-data; name=\"collection\"\r\n\r\ndocs\r\n"
         "--B0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n"
         "Content-Type: text/plain\r\n\r\n" +
         content + "\r\n--B0undary--\r\n";
}

TEST_F(EdgeRequestsTest, MultipartFilesAreTakenApart) {
  StartDeferred();
  std::string content;
  for (int i = 0; i < 50000; ++i) content += static_cast<char>(i * 7);
  for (const char* type : {"multipart/form-data; boundary=B0undary",
                           "Multipart/Form-Data; charset=utf-8; boundary=\"B0undary\""}) {
    RawClient client(port());
    client.Send(Post(Multipart(content), std::string("Content-Type: ") + type + "\r\n"));
    const auto exchange = box_.Take();
    ASSERT_NE(exchange, nullptr);
    const httplib::Request& request = exchange->request();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/echo");
    ASSERT_EQ(request.files.size(), 2u);
    EXPECT_EQ(request.get_file_value("collection").content, "docs");
    EXPECT_EQ(request.get_file_value("file").filename, "a.txt");
    EXPECT_EQ(request.get_file_value("file").content_type, "text/plain");
    EXPECT_EQ(request.get_file_value("file").content, content);
    exchange->Respond(200, {}, "");
    EXPECT_EQ(client.Read().status, 200);
  }
}

TEST_F(EdgeRequestsTest, MultipartNeedsNoLineEndBehindItsLastBoundary) {
  StartDeferred();
  std::string body = Multipart("hello");
  body.resize(body.size() - 2);
  RawClient client(port());
  client.Send(Post(body, "Content-Type: multipart/form-data; boundary=B0undary\r\n"));
  const auto exchange = box_.Take();
  ASSERT_NE(exchange, nullptr);
  EXPECT_EQ(exchange->request().get_file_value("file").content, "hello");
  exchange->Respond(200, {}, "");
  EXPECT_EQ(client.Read().status, 200);
}

TEST_F(EdgeRequestsTest, MalformedMultipartIsRefused) {
  StartEcho();
  const std::string form = "Content-Type: multipart/form-data; boundary=B0undary\r\n";
  const std::string long_header =
      "--B0undary\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; "
      "name=\"" +
      std::string(4000, 'a') + "\"\r\n\r\nx\r\n--B0undary--\r\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {Multipart("x"), "Content-Type: multipart/form-data\r\n"},
      {Multipart("x"), "Content-Type: multipart/form-data; boundary=\"a;b\"\r\n"},
      {"not multipart at all", form},
      {"--B0undary\r\nContent-Disposition: form-data; name=\"a\"\r\n", form},
      {long_header, form},
  };
  for (const auto& [body, header] : cases) {
    RawClient client(port());
    client.Send(Post(body, header));
    RawAnswer answer = client.Read();
    EXPECT_EQ(answer.status, 400) << body.substr(0, 100);
    EXPECT_EQ(answer.headers["content-type"], "application/json");
  }
}

TEST_F(EdgeRequestsTest, PipelinedRequestsAreAnsweredInOrder) {
  StartEcho();
  RawClient client(port());
  std::string requests;
  for (int i = 0; i < 200; ++i) requests += Post(std::to_string(i));
  client.Send(requests);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(client.Read().body, std::to_string(i));
}

TEST_F(EdgeRequestsTest, PipelinedRequestsAnsweredFromOtherThreadsKeepTheirOrder) {
  constexpr int kClients = 8;
  constexpr int kRequests = 40;
  StartDeferred();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.push_back(std::make_unique<RawClient>(port()));
    std::string requests;
    for (int i = 0; i < kRequests; ++i) requests += Post(std::to_string(i));
    clients.back()->Send(requests);
  }
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([this] {
      for (int i = 0; i < kClients * kRequests / 4; ++i) {
        const auto exchange = box_.Take();
        if (exchange == nullptr) return;
        exchange->Respond(200, {}, exchange->request().body);
      }
    });
  }
  for (const auto& client : clients) {
    for (int i = 0; i < kRequests; ++i) EXPECT_EQ(client->Read().body, std::to_string(i));
  }
  for (std::thread& worker : workers) worker.join();
}

TEST_F(EdgeRequestsTest, TheNextRequestWaitsForTheAnswerBeforeIt) {
  StartDeferred();
  RawClient client(port());
  client.Send(Post("first") + Post("second"));
  const auto first = box_.Take();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->request().body, "first");
  EXPECT_EQ(box_.size(), 0u);
  EXPECT_EQ(edge_->stats().requests, 1u);
  first->Respond(200, {}, "1");
  const auto second = box_.Take();
  ASSERT_NE(second, nullptr);
  second->Respond(200, {}, "2");
  EXPECT_EQ(client.Read().body, "1");
  EXPECT_EQ(client.Read().body, "2");
}

TEST_F(EdgeRequestsTest, AHalfClosedClientStillGetsAnswersThatAreReady) {
  StartEcho();
  RawClient client(port());
  client.Send(Post("one") + Post("two"));
  client.HalfClose();
  EXPECT_EQ(client.Read().body, "one");
  EXPECT_EQ(client.Read().body, "two");
}

TEST_F(EdgeRequestsTest, AnAnswerOfManyMegabytesArrivesWhole) {
  const std::string large(20 * 1024 * 1024, 'z');
  Start([&](std::shared_ptr<Exchange> exchange) { exchange->Respond(200, {}, large); });
  RawClient client(port());
  client.Send(Get("/") + Get("/"));
  EXPECT_EQ(client.Read().body, large);
  EXPECT_EQ(client.Read().body, large);
}

TEST_F(EdgeRequestsTest, ADroppedExchangeAnswers500InTheServicesShape) {
  Start([](std::shared_ptr<Exchange> exchange) {
    if (exchange->request().path == "/throw") throw std::runtime_error("handler");
  });
  RawClient client(port());
  client.Send(Get("/drop") + Get("/throw"));
  for (int i = 0; i < 2; ++i) {
    RawAnswer answer = client.Read();
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.headers["content-type"], "application/json");
  }
}

TEST_F(EdgeRequestsTest, ASecondAnswerToOneRequestIsIgnored) {
  Start([](std::shared_ptr<Exchange> exchange) {
    exchange->Respond(200, {}, "first");
    exchange->Respond(200, {}, "second");
    exchange->Begin(200, {});
    EXPECT_FALSE(exchange->Write("third"));
    exchange->Abort();
  });
  RawClient client(port());
  client.Send(Get("/") + Get("/"));
  EXPECT_EQ(client.Read().body, "first");
  EXPECT_EQ(client.Read().body, "first");
}

}  // namespace
}  // namespace aibackend::gateway
