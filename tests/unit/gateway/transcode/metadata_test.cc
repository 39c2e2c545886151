#include "gateway/transcode/metadata.h"

#include <gtest/gtest.h>

#include <set>

namespace aibackend::gateway {
namespace {

httplib::Request With(const std::string& name, const std::string& value) {
  httplib::Request request;
  request.headers.emplace(name, value);
  return request;
}

TEST(RequestId, APrintableOneIsKept) {
  EXPECT_EQ(RequestIdOf(With("X-Request-Id", "abc-1 2")), "abc-1 2");
  const std::string longest(kRequestIdBytesMax, 'x');
  EXPECT_EQ(RequestIdOf(With("x-request-id", longest)), longest);
}

TEST(RequestId, AnyOtherIsReplaced) {
  for (const std::string& bad : {std::string(), std::string("a\tb"), std::string("é"),
                                 std::string(kRequestIdBytesMax + 1, 'x')}) {
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
  EXPECT_FALSE(ForwardHeaders(With("authorization", "Bearer x"), "id", true, context));
  EXPECT_EQ(ForwardHeaders(With("authorization", "a\x01"), "id", true, context)->reason,
            "MALFORMED_REQUEST");
  EXPECT_EQ(ForwardHeaders(With("x-api-key", "clé"), "id", true, context)->reason,
            "MALFORMED_REQUEST");
  EXPECT_EQ(ForwardHeaders(With("authorization", std::string(7000, 'x')), "id", true, context)
                ->http_status,
            431);
  httplib::Request twice = With("idempotency-key", "a");
  twice.headers.emplace("Idempotency-Key", "b");
  EXPECT_EQ(ForwardHeaders(twice, "id", true, context)->reason, "MALFORMED_REQUEST");
}

}  // namespace
}  // namespace aibackend::gateway
