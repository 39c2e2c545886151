#include "gateway/transcode/metadata.h"

#include <grpcpp/test/client_context_test_peer.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"

namespace aibackend::gateway {
namespace {

httplib::Request With(const std::string& name, const std::string& value) {
  httplib::Request request;
  request.headers.emplace(name, value);
  return request;
}

TEST(RequestId, APrintableOneIsKept) {
  EXPECT_EQ(RequestIdOf(With("X-Request-Id", "abc-1/2")), "abc-1/2");
  const std::string longest(kRequestIdBytesMax, 'x');
  EXPECT_EQ(RequestIdOf(With("x-request-id", longest)), longest);
}

TEST(RequestId, AnyOtherIsReplaced) {
  for (const std::string& bad : {std::string(), std::string("a\tb"), std::string("a b"),
                                 std::string("é"), std::string(kRequestIdBytesMax + 1, 'x')}) {
    const std::string id = RequestIdOf(With("x-request-id", bad));
    EXPECT_EQ(id.size(), 30u);
    EXPECT_EQ(id.substr(0, 4), "req_");
  }
  std::set<std::string> ids;
  for (int i = 0; i < 1'000; ++i) ids.insert(NewRequestId());
  EXPECT_EQ(ids.size(), 1'000u);
}

TEST(ForwardHeaders, WhatGrpcCouldNotCarryIsRefused) {
  grpc::ClientContext context;
  EXPECT_FALSE(ForwardHeaders(With("authorization", "Bearer x"), "id", "", true, false, context));
  EXPECT_EQ(ForwardHeaders(With("authorization", "a\x01"), "id", "", true, false, context)->reason,
            "MALFORMED_REQUEST");
  EXPECT_EQ(ForwardHeaders(With("x-api-key", "clé"), "id", "", true, false, context)->reason,
            "MALFORMED_REQUEST");
  EXPECT_EQ(
      ForwardHeaders(With("authorization", std::string(7000, 'x')), "id", "", true, false, context)
          ->http_status,
      431);
  httplib::Request twice = With("idempotency-key", "a");
  twice.headers.emplace("Idempotency-Key", "b");
  EXPECT_EQ(ForwardHeaders(twice, "id", "", true, false, context)->reason, "MALFORMED_REQUEST");
}

std::multimap<std::string, std::string> Sent(const httplib::Request& request, bool needs_key) {
  // What a context was given shows only on the wire; its own test hook is this.
  grpc::ClientContext context;
  EXPECT_FALSE(ForwardHeaders(request, "id", "", true, needs_key, context));
  return grpc::testing::ClientContextTestPeer(&context).GetSendInitialMetadata();
}

TEST(ForwardHeaders, TheClientsAddressStandsAtTheEndOfTheChain) {
  httplib::Request request = With("X-Forwarded-For", "203.0.113.9, 10.0.0.1");
  request.remote_addr = "192.0.2.7";
  EXPECT_EQ(Sent(request, false).find("x-forwarded-for")->second,
            "203.0.113.9, 10.0.0.1, 192.0.2.7");
  request.headers.clear();
  EXPECT_EQ(Sent(request, false).find("x-forwarded-for")->second, "192.0.2.7");
}

TEST(ForwardHeaders, OfAChainThatIsTooLongOrGarbledTheEndGoesOn) {
  const auto chain_of = [](const std::string& forwarded_for) {
    httplib::Request request = With("x-forwarded-for", forwarded_for);
    request.remote_addr = "192.0.2.7";
    return Sent(request, false).find("x-forwarded-for")->second;
  };
  const std::string longest(510, '1');  // with the comma that follows: all that fits
  EXPECT_EQ(chain_of(longest), longest + ", 192.0.2.7");
  EXPECT_EQ(chain_of(longest + "1"), "192.0.2.7");
  EXPECT_EQ(chain_of(longest + "1, 203.0.113.9"), "203.0.113.9, 192.0.2.7");
  // Cut at the comma itself: the hop behind it is whole.
  EXPECT_EQ(chain_of("x," + longest), longest + ", 192.0.2.7");
  for (const char* garbage : {"a\x01", "1.2.3.4\xff, 1.2.3.4\x7f"}) {
    EXPECT_EQ(chain_of(garbage), "192.0.2.7");
    EXPECT_EQ(chain_of(absl::StrCat(garbage, ", 203.0.113.9")), "203.0.113.9, 192.0.2.7");
  }
  // The same where a proxy adds a header of its own.
  httplib::Request request = With("x-forwarded-for", std::string(600, '1'));
  request.headers.emplace("x-forwarded-for", "203.0.113.9");
  request.remote_addr = "192.0.2.7";
  EXPECT_EQ(Sent(request, false).find("x-forwarded-for")->second, "203.0.113.9, 192.0.2.7");
}

TEST(ForwardHeaders, AGatewayThatNeedsKeysSaysSo) {
  EXPECT_EQ(Sent({}, true).find("x-aibackend-auth")->second, "required");
  EXPECT_EQ(Sent({}, false).count("x-aibackend-auth"), 0u);
  // A client can't take it back: its own header of that name goes nowhere.
  EXPECT_EQ(Sent(With("x-aibackend-auth", "off"), false).count("x-aibackend-auth"), 0u);
}

}  // namespace
}  // namespace aibackend::gateway
