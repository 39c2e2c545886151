// What the edge refuses by itself: malformed requests and those that two readers could read
// differently.
#include <ostream>

#include "edge_fixture.h"

namespace aibackend::gateway {
namespace {

struct RefusalCase {
  const char* name;
  std::string request;
  int status;
};

void PrintTo(const RefusalCase& test, std::ostream* out) {
  *out << test.name;
}

class EdgeRefusalsTest : public EdgeTest, public ::testing::WithParamInterface<RefusalCase> {};

// What follows must never be taken for a request of its own.
constexpr char kSmuggled[] = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

std::string WithHeaders(const std::string& headers, const std::string& body = "") {
  return "POST / HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n" + body + kSmuggled;
}

std::string Chunked(const std::string& body) {
  return WithHeaders("Transfer-Encoding: chunked\r\n", body);
}

TEST_P(EdgeRefusalsTest, IsRefusedInTheServicesShapeAndTheConnectionEnds) {
  StartDeferred();
  RawClient client(port());
  client.Send(GetParam().request);
  RawAnswer answer = client.Read();
  EXPECT_EQ(answer.status, GetParam().status) << answer.head << answer.body;
  EXPECT_EQ(answer.headers["content-type"], "application/json");
  EXPECT_EQ(answer.headers["connection"], "close");
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body.substr(0, 11), "{\"refusal\":");
  std::string rest;
  EXPECT_TRUE(client.ReadToEnd(&rest)) << "the answer must not be lost to a reset";
  EXPECT_EQ(rest, "");
  EXPECT_EQ(box_.size(), 0u);
  EXPECT_EQ(edge_->stats().requests, 0u);
  EXPECT_EQ(edge_->stats().refusals, 1u);
}

const RefusalCase kCases[] = {
    {"NoVersion", "GET /\r\nHost: test\r\n\r\n", 400},
    {"UnknownVersion", "GET / HTTP/2.0\r\nHost: test\r\n\r\n", 400},
    {"LowerCaseVersion", "GET / http/1.1\r\nHost: test\r\n\r\n", 400},
    {"AnotherProtocol", std::string("\x16\x03\x01\x02\x00\x01", 6), 400},
    {"MethodThatIsNoToken", "G(T / HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"TwoSpacesInTheRequestLine", "GET  / HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"ASpaceInTheTarget", "GET /a b HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"ATargetThatIsNoPath", "GET foo HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"Connect", "CONNECT example.org:443 HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"AControlCharacterInTheTarget", "GET /\x01 HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"AFragmentInTheTarget", "GET /#a HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"ABadEscapeInThePath", "GET /%zz HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"ACutEscapeInThePath", "GET /a%4 HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"ANulEscapeInThePath", "GET /a%00b HTTP/1.1\r\nHost: test\r\n\r\n", 400},
    {"ALongPath", "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: test\r\n\r\n", 431},
    {"NoHost", "GET / HTTP/1.1\r\n\r\n", 400},
    {"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
    {"AHostThatIsNone", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"BareLineFeeds", "GET / HTTP/1.1\nHost: test\n\n", 400},
    {"OneBareLineFeed", "GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n", 400},
    {"ABareCarriageReturn", WithHeaders("X: a\rb\r\n"), 400},
    {"ANulInAHeader", WithHeaders(std::string("X: a\0b\r\n", 8)), 400},
    {"AControlCharacterInAHeader", WithHeaders("X: a\x08\r\n"), 400},
    {"AHeaderWithoutAColon", WithHeaders("X\r\n"), 400},
    {"AHeaderWithoutAName", WithHeaders(": x\r\n"), 400},
    {"WhiteSpaceBeforeTheColon", WithHeaders("Content-Length : 5\r\n", "hello"), 400},
    {"AFoldedHeader", WithHeaders("X: a\r\n Content-Length: 5\r\n"), 400},
    {"AFoldedFirstHeader", "GET / HTTP/1.1\r\n Host: test\r\n\r\n", 400},
    {"TwoContentLengthsThatDiffer",
     WithHeaders("Content-Length: 0\r\nContent-Length: 5\r\n", "hello"), 400},
    {"TwoContentLengthsThatAgree",
     WithHeaders("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
    {"AListOfContentLengths", WithHeaders("Content-Length: 5, 5\r\n", "hello"), 400},
    {"ANegativeContentLength", WithHeaders("Content-Length: -1\r\n"), 400},
    {"ASignedContentLength", WithHeaders("Content-Length: +5\r\n", "hello"), 400},
    {"AHexadecimalContentLength", WithHeaders("Content-Length: 0x5\r\n", "hello"), 400},
    {"AnEmptyContentLength", WithHeaders("Content-Length:\r\n"), 400},
    {"AContentLengthThatOverflows", WithHeaders("Content-Length: 18446744073709551621\r\n"), 400},
    {"ContentLengthWithTransferEncoding",
     WithHeaders("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"TransferEncodingWithContentLength",
     WithHeaders("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400},
    {"TwoTransferEncodings",
     WithHeaders("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"TransferEncodingThenAnother",
     WithHeaders("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
     400},
    {"AListOfTransferEncodings", WithHeaders("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
     415},
    {"AnUnknownTransferEncoding", WithHeaders("Transfer-Encoding: xchunked\r\n"), 415},
    {"ATransferEncodingInDisguise",
     WithHeaders("Transfer-Encoding: \x0b"
                 "chunked\r\n"),
     400},
    {"ATransferEncodingInHttp10", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"AnUnknownContentEncoding", WithHeaders("Content-Encoding: br\r\nContent-Length: 1\r\n", "x"),
     415},
    {"TwoContentEncodings",
     WithHeaders("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n", "x"),
     415},
    {"AContentLengthBeyondTheLimit", WithHeaders("Content-Length: 16777217\r\n"), 413},
    {"AChunkSizeThatOverflows", Chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400},
    {"AChunkSizeBeyondTheLimit", Chunked("ffffffffffffffff\r\n"), 413},
    {"AChunkSizeThatIsNoNumber", Chunked("g\r\n"), 400},
    {"ANegativeChunkSize", Chunked("-5\r\nhello\r\n0\r\n\r\n"), 400},
    {"AnEmptyChunkSize", Chunked("\r\nhello\r\n"), 400},
    {"AChunkSizeWithABareLineFeed", Chunked("5\nhello\r\n0\r\n\r\n"), 400},
    {"WhiteSpaceAfterAChunkSize", Chunked("5 \r\nhello\r\n0\r\n\r\n"), 400},
    {"AChunkLongerThanItSays", Chunked("5\r\nhello!\r\n0\r\n\r\n"), 400},
    {"ALongChunkExtension", Chunked("5;" + std::string(1000, 'a') + "\r\nhello\r\n0\r\n\r\n"), 400},
    {"ATrailerThatIsNoHeader", Chunked("0\r\nno header\r\n\r\n"), 400},
    {"ALongTrailer", Chunked("0\r\nX: " + std::string(40000, 'a') + "\r\n\r\n"), 400},
};

INSTANTIATE_TEST_SUITE_P(Requests, EdgeRefusalsTest, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace aibackend::gateway
