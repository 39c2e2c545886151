#include "server/models/upstream_errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/status.h"
#include "server/models/openai_wire.h"

namespace aibackend::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const Upstream kUpstream{"https://llm.example", "sk-sesame"};

absl::Status OfHttp(int status, const HttpHeaders& headers = {}, absl::string_view body = {}) {
  return StatusOfHttpError(kUpstream, status, headers, OpenAiReader().ReadError(body));
}

TEST(UpstreamErrors, EachHttpStatusHasItsReason) {
  const std::vector<std::pair<int, Reason::Reason>> table = {
      {400, Reason::UPSTREAM_REJECTED_REQUEST},    {401, Reason::UPSTREAM_REFUSED_CREDENTIALS},
      {402, Reason::UPSTREAM_REFUSED_CREDENTIALS}, {403, Reason::UPSTREAM_REFUSED_CREDENTIALS},
      {404, Reason::UPSTREAM_REJECTED_REQUEST},    {413, Reason::UPSTREAM_REJECTED_REQUEST},
      {422, Reason::UPSTREAM_REJECTED_REQUEST},    {429, Reason::UPSTREAM_RATE_LIMITED},
      {500, Reason::UPSTREAM_UNAVAILABLE},         {502, Reason::UPSTREAM_UNAVAILABLE},
      {503, Reason::UPSTREAM_UNAVAILABLE},         {529, Reason::UPSTREAM_UNAVAILABLE},
      {204, Reason::UPSTREAM_BAD_RESPONSE},        {302, Reason::UPSTREAM_BAD_RESPONSE},
      {418, Reason::UPSTREAM_BAD_RESPONSE}};
  for (const auto& [status, reason] : table) {
    EXPECT_EQ(ReasonOf(OfHttp(status)), reason) << status;
    EXPECT_THAT(std::string(OfHttp(status).message()), StartsWith("https://llm.example "));
  }
}

TEST(UpstreamErrors, RetryAfterComesInSecondsOrAsADate) {
  EXPECT_EQ(RetryAfterOf(OfHttp(429, {{"retry-after", "7"}})), absl::Seconds(7));
  EXPECT_EQ(RetryAfterOf(OfHttp(503, {{"retry-after", "0.5"}})), absl::Milliseconds(500));
  EXPECT_EQ(RetryAfterOf(OfHttp(429, {{"date", "Tue, 04 Mar 2025 10:00:00 GMT"},
                                      {"retry-after", "Tue, 04 Mar 2025 10:00:30 GMT"}})),
            absl::Seconds(30));
}

TEST(UpstreamErrors, ARetryAfterThatMakesNoSenseIsLeftOutOrBounded) {
  for (const std::string value : {"", "soon", "-5", "nan", "Tue, 04 Mar 2025 10:00:30 GMT"}) {
    EXPECT_EQ(RetryAfterOf(OfHttp(429, {{"retry-after", value}})), absl::nullopt) << value;
  }
  EXPECT_EQ(RetryAfterOf(OfHttp(429, {{"retry-after", "1e300"}})), absl::Hours(1));
  EXPECT_EQ(RetryAfterOf(OfHttp(400, {{"retry-after", "7"}})), absl::nullopt);
}

TEST(UpstreamErrors, ARejectedRequestCarriesTheUpstreamsMessageInAnyOfItsShapes) {
  for (const std::string body :
       {R"({"error":{"message":"too long","type":"invalid_request_error"}})",
        R"({"error":"too long"})", R"({"message":"too long"})", R"({"detail":"too long"})"}) {
    EXPECT_THAT(std::string(OfHttp(400, {}, body).message()), HasSubstr(": too long")) << body;
  }
  EXPECT_EQ(OfHttp(400, {}, "<html>").message(),
            "https://llm.example rejected the request (HTTP 400)");
}

TEST(UpstreamErrors, TheMessageIsOneBoundedLineWithoutTheKey) {
  const std::string body =
      "{\"error\":{\"message\":\"key sk-sesame\\r\\nis \\u0000 " + std::string(5000, 'x') + "\"}}";
  const std::string message(OfHttp(400, {}, body).message());
  EXPECT_THAT(message, AllOf(HasSubstr("key ***  is   xxx"), Not(HasSubstr("sesame"))));
  EXPECT_LT(message.size(), 400u);
}

TEST(UpstreamErrors, WhatAnUpstreamSaysOfTheAccountStaysInside) {
  const std::string body = R"({"error":{"message":"Incorrect key in organization org-1"}})";
  for (const int status : {401, 429, 500}) {
    EXPECT_THAT(std::string(OfHttp(status, {}, body).message()), Not(HasSubstr("org-1")));
  }
}

TEST(UpstreamErrors, AnErrorObjectIsReadByItsCodeOrItsWords) {
  const auto reason = [](const std::string& kind, int http_status = 0) {
    return ReasonOf(StatusOfErrorObject(kUpstream, {"message", kind, http_status}));
  };
  EXPECT_EQ(reason("", 429), Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(reason("server_error", 400), Reason::UPSTREAM_REJECTED_REQUEST);
  EXPECT_EQ(reason("rate_limit_exceeded"), Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(reason("insufficient_quota"), Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(reason("invalid_api_key"), Reason::UPSTREAM_REFUSED_CREDENTIALS);
  EXPECT_EQ(reason("context_length_exceeded"), Reason::UPSTREAM_REJECTED_REQUEST);
  EXPECT_EQ(reason("server_error"), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(reason("overloaded_error"), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(reason("whatever"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(reason(""), Reason::UPSTREAM_BAD_RESPONSE);
}

}  // namespace
}  // namespace aibackend::models
