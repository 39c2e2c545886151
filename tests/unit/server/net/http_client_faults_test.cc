#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "server/net/http_client.h"
#include "tests/unit/server/net/recorder.h"

namespace aibackend::net {
namespace {

using ::aibackend::testing::Chunk;
using ::aibackend::testing::ChunkedHeader;
using ::aibackend::testing::Connection;
using ::aibackend::testing::ScriptedServer;
using ::aibackend::testing::UnansweredPort;
using ::testing::AnyOf;
using ::testing::HasSubstr;

Reason::Reason ReasonAfter(std::string bytes) {
  Exchange exchange(Answering(std::move(bytes)));
  return ReasonOf(exchange.Run());
}

TEST(HttpClientFaults, ABodyShorterThanItsContentLengthIsTruncated) {
  EXPECT_EQ(ReasonAfter("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive."),
            Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonAfter("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
            Reason::UPSTREAM_TRUNCATED);
}

TEST(HttpClientFaults, AChunkedBodyWithoutItsLastChunkIsTruncated) {
  const std::string header = ChunkedHeader("text/event-stream");
  EXPECT_EQ(ReasonAfter(header + Chunk("data: x\n\n")), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonAfter(header + "9\r\ndata"), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonAfter(header), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonAfter(header + Chunk("data: x\n\n") + "0\r\n"), Reason::UPSTREAM_TRUNCATED);
}

TEST(HttpClientFaults, AResetInTheBodyIsTruncated) {
  for (const std::string& header : {ChunkedHeader("text/plain") + Chunk("abc"),
                                    std::string("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
                                    std::string("HTTP/1.1 200 OK\r\n\r\nabc")}) {
    absl::Notification arrived;
    Exchange exchange([&](Connection& connection) {
      connection.ReadRequest();
      connection.Send(header);
      arrived.WaitForNotification();
      connection.Reset();
    });
    exchange.client.Start(Post(exchange.server.url()), exchange.recorder);
    exchange.recorder->WaitBody("abc");
    arrived.Notify();
    EXPECT_EQ(ReasonOf(exchange.recorder->WaitDone()), Reason::UPSTREAM_TRUNCATED);
  }
}

TEST(HttpClientFaults, ACloseBeforeTheHeaderIsCompleteIsUnavailable) {
  EXPECT_EQ(ReasonAfter(""), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(ReasonAfter("HTTP/1.1 200 OK\r\nContent-Le"), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(ReasonAfter("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"), Reason::UPSTREAM_UNAVAILABLE);
}

TEST(HttpClientFaults, AResetBeforeTheHeaderIsUnavailable) {
  Exchange exchange([](Connection& connection) {
    connection.ReadRequest();
    connection.Reset();
  });
  EXPECT_EQ(ReasonOf(exchange.Run()), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(exchange.recorder->header_calls(), 0);
}

TEST(HttpClientFaults, ARequestThatAKeptConnectionLosesIsNotSentAgain) {
  std::atomic<int> requests{0};
  ScriptedServer server([&](Connection& connection) {
    // curl may connect once more before it sees that it can't send again: that is no request.
    const auto read = [&] { return connection.ReadRequest().empty() ? 0 : ++requests; };
    if (read() == 1) connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    read();
    connection.Reset();
  });
  HttpClient client{HttpClient::Options()};
  for (const auto expected : {Reason::REASON_UNSPECIFIED, Reason::UPSTREAM_UNAVAILABLE}) {
    auto recorder = std::make_shared<Recorder>();
    client.Start(Post(server.url(), "a body"), recorder);
    const absl::Status status = recorder->WaitDone();
    EXPECT_EQ(status.ok() ? Reason::REASON_UNSPECIFIED : ReasonOf(status), expected);
  }
  EXPECT_EQ(requests, 2);
}

TEST(HttpClientFaults, ARefusedConnectionIsUnavailableAndTheMessageNamesTheHostOnly) {
  HttpClient client{HttpClient::Options()};
  auto recorder = std::make_shared<Recorder>();
  HttpRequest request = Post("http://user:pass@127.0.0.1:1/path?key=secret", "body");
  request.headers = {{"Authorization", "Bearer sesame"}};
  client.Start(std::move(request), recorder);
  const absl::Status status = recorder->WaitDone();
  EXPECT_EQ(ReasonOf(status), Reason::UPSTREAM_UNAVAILABLE);
  const std::string message(status.message());
  EXPECT_EQ(message, "cannot reach http://127.0.0.1:1: Connection refused");
}

TEST(HttpClientFaults, ANameThatDoesNotResolveIsUnavailable) {
  HttpClient client{HttpClient::Options()};
  auto recorder = std::make_shared<Recorder>();
  client.Start(Post("http://upstream.invalid/v1"), recorder);  // RFC 6761: never resolves
  const absl::Status status = recorder->WaitDone();
  EXPECT_THAT(std::string(status.message()), HasSubstr("http://upstream.invalid"));
  // Where lookups themselves hang, the connect limit covers them.
  EXPECT_THAT(ReasonOf(status), AnyOf(Reason::UPSTREAM_UNAVAILABLE, Reason::UPSTREAM_TIMEOUT));
}

TEST(HttpClientFaults, AnUnusableAddressIsUnavailable) {
  HttpClient client{HttpClient::Options()};
  for (const std::string url : {"", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://", "x"}) {
    auto recorder = std::make_shared<Recorder>();
    client.Start(Post(url), recorder);
    EXPECT_EQ(ReasonOf(recorder->WaitDone()), Reason::UPSTREAM_UNAVAILABLE) << url;
  }
}

TEST(HttpClientFaults, WhatIsNotHttpIsABadResponse) {
  EXPECT_EQ(ReasonAfter("SSH-2.0-OpenSSH_9.2\r\n"), Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(HttpClientFaults, AResponseBeyondItsLimitIsABadResponse) {
  Exchange exchange([](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/plain"));
    connection.Send(Chunk(std::string(1001, 'x')));
    connection.SeesEof();
  });
  HttpRequest request = Post(exchange.server.url());
  request.response_bytes_max = 1000;
  EXPECT_EQ(ReasonOf(exchange.Run(std::move(request))), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(exchange.recorder->body(), "");
}

TEST(HttpClientFaults, AHeaderBeyondItsLimitIsABadResponse) {
  std::string header = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 100; ++i)
    absl::StrAppend(&header, "X-", i, ": ", std::string(999, 'h'), "\r\n");
  EXPECT_EQ(ReasonAfter(header + "\r\n"), Reason::UPSTREAM_BAD_RESPONSE);
}

// The message of the timeout that `timeouts` bring about against `script`.
std::string TimeoutOf(HttpTimeouts timeouts, ScriptedServer::Script script) {
  Exchange exchange(std::move(script));
  HttpRequest request = Post(exchange.server.url());
  request.timeouts = timeouts;
  const absl::Status status = exchange.Run(std::move(request));
  EXPECT_EQ(ReasonOf(status), Reason::UPSTREAM_TIMEOUT) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(exchange.server.origin()));
  return std::string(status.message());
}

TEST(HttpClientFaults, AnUpstreamThatNeverAnswersRunsIntoTheFirstByteTimeout) {
  HttpTimeouts timeouts;
  timeouts.first_byte = absl::Milliseconds(50);
  EXPECT_THAT(TimeoutOf(timeouts, [](Connection& c) { c.SeesEof(); }),
              HasSubstr("first byte timeout"));
}

TEST(HttpClientFaults, AHeaderAloneDoesNotStopTheFirstByteTimeout) {
  HttpTimeouts timeouts;
  timeouts.first_byte = absl::Milliseconds(50);
  EXPECT_THAT(TimeoutOf(timeouts,
                        [](Connection& connection) {
                          connection.ReadRequest();
                          connection.Send(ChunkedHeader("text/plain"));
                          connection.SeesEof();
                        }),
              HasSubstr("first byte timeout"));
}

TEST(HttpClientFaults, AnUpstreamThatStopsMidwayRunsIntoTheIdleTimeout) {
  HttpTimeouts timeouts;
  timeouts.idle = absl::Milliseconds(50);
  EXPECT_THAT(TimeoutOf(timeouts,
                        [](Connection& connection) {
                          connection.ReadRequest();
                          connection.Send(ChunkedHeader("text/plain") + Chunk("abc"));
                          connection.SeesEof();
                        }),
              HasSubstr("idle timeout"));
}

TEST(HttpClientFaults, AnUpstreamThatDripsForEverRunsIntoTheTotalTimeout) {
  HttpTimeouts timeouts;
  timeouts.total = absl::Milliseconds(50);
  std::atomic<bool> over{false};
  const auto drip = [&](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/plain"));
    while (!over) connection.Send(Chunk("a"));
  };
  Exchange exchange(drip);
  HttpRequest request = Post(exchange.server.url());
  request.timeouts = timeouts;
  request.response_bytes_max = size_t{1} << 40;
  const absl::Status status = exchange.Run(std::move(request));
  over = true;
  EXPECT_EQ(ReasonOf(status), Reason::UPSTREAM_TIMEOUT);
  EXPECT_THAT(std::string(status.message()), HasSubstr("total timeout"));
}

TEST(HttpClientFaults, AConnectionThatIsNeverMadeRunsIntoTheConnectTimeout) {
  UnansweredPort port;
  HttpClient client{HttpClient::Options()};
  auto recorder = std::make_shared<Recorder>();
  HttpRequest request = Post(port.url());
  request.timeouts.connect = absl::Milliseconds(50);
  client.Start(std::move(request), recorder);
  const absl::Status status = recorder->WaitDone();
  EXPECT_EQ(ReasonOf(status), Reason::UPSTREAM_TIMEOUT);
  EXPECT_THAT(std::string(status.message()), HasSubstr("connect timeout"));
}

// A key and a certificate that nobody signed but itself.
struct SelfSigned {
  SelfSigned() : key(EVP_EC_gen("P-256")), certificate(X509_new()) {
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
  }
  ~SelfSigned() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  EVP_PKEY* const key;
  X509* const certificate;
};

TEST(HttpClientFaults, AnUpstreamWithoutATrustedCertificateIsSentNothing) {
  std::atomic<int> bytes_read{0};
  Exchange exchange([&](Connection& connection) {
    SelfSigned self;
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, self.certificate);
    SSL_CTX_use_PrivateKey(context, self.key);
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, connection.fd());
    char buffer[256];
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, buffer, sizeof buffer) > 0) ++bytes_read;
    SSL_free(ssl);
    SSL_CTX_free(context);
  });
  const absl::Status status =
      exchange.Run(Post("https" + exchange.server.url().substr(sizeof "http" - 1)));
  EXPECT_EQ(ReasonOf(status), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_THAT(std::string(status.message()), HasSubstr("certificate"));
  EXPECT_EQ(bytes_read, 0);
}

}  // namespace
}  // namespace aibackend::net
