#include "gateway/transcode/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "aibackend/v1/annotations.pb.h"
#include "tests/unit/gateway/fake_backend.h"

namespace aibackend::gateway {
namespace {

std::string HeaderOf(const ApiError& error, const std::string& wanted) {
  for (const auto& [name, value] : ErrorHeaders(error)) {
    if (name == wanted) return value;
  }
  return {};
}

std::string RetryAfterOf(const ApiError& error) {
  return HeaderOf(error, "Retry-After");
}

TEST(ApiError, EveryReasonOfTheTableLeavesAsTheTableSays) {
  const auto& table = *v1::Error::Reason_descriptor();
  ASSERT_GT(table.value_count(), 30);
  for (int i = 0; i < table.value_count(); ++i) {
    const auto& row = table.value(i)->options().GetExtension(v1::error);
    const ApiError error = ApiErrorOf(ErrorStatus(static_cast<grpc::StatusCode>(row.code()),
                                                  table.value(i)->name(), "what", "some.field"));
    EXPECT_EQ(error.http_status, row.http_status()) << table.value(i)->name();
    EXPECT_EQ(RetryAfterOf(error).empty(), !row.retryable()) << table.value(i)->name();
    EXPECT_EQ(HeaderOf(error, "WWW-Authenticate"), row.http_status() == 401 ? "Bearer" : "");
    const auto json = nlohmann::json::parse(ErrorJson(error, "req_1"))["error"];
    EXPECT_EQ(json["reason"], table.value(i)->name());
    EXPECT_EQ(json["message"], "what");
    EXPECT_EQ(json["field"], "some.field");
    EXPECT_EQ(json["request_id"], "req_1");
    EXPECT_EQ(json.size(), 5u);
  }
}

TEST(ApiError, TheDelayIsWholeSecondsRoundedUp) {
  const auto delay = [](int ms) {
    return RetryAfterOf(
        ApiErrorOf(ErrorStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED", "", "", ms)));
  };
  EXPECT_EQ(delay(1), "1");
  EXPECT_EQ(delay(1000), "1");
  EXPECT_EQ(delay(1001), "2");
  EXPECT_EQ(delay(90'000), "90");
}

TEST(ApiError, WithoutDetailsTheCodeDecides) {
  const ApiError unreachable = ApiErrorOf(
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "failed to connect to ipv4:10.0.0.1:50051"));
  EXPECT_EQ(unreachable.reason, "SERVER_UNREACHABLE");
  EXPECT_EQ(unreachable.http_status, 503);
  EXPECT_EQ(RetryAfterOf(unreachable), "1");
  EXPECT_EQ(unreachable.message.find("10.0.0.1"), std::string::npos);

  const std::vector<std::pair<grpc::StatusCode, int>> codes = {
      {grpc::StatusCode::CANCELLED, 499},
      {grpc::StatusCode::UNKNOWN, 500},
      {grpc::StatusCode::INVALID_ARGUMENT, 400},
      {grpc::StatusCode::DEADLINE_EXCEEDED, 504},
      {grpc::StatusCode::NOT_FOUND, 404},
      {grpc::StatusCode::ALREADY_EXISTS, 409},
      {grpc::StatusCode::PERMISSION_DENIED, 403},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, 429},
      {grpc::StatusCode::FAILED_PRECONDITION, 400},
      {grpc::StatusCode::ABORTED, 409},
      {grpc::StatusCode::OUT_OF_RANGE, 400},
      {grpc::StatusCode::UNIMPLEMENTED, 501},
      {grpc::StatusCode::INTERNAL, 500},
      {grpc::StatusCode::DATA_LOSS, 500},
      {grpc::StatusCode::UNAUTHENTICATED, 401}};
  for (const auto& [code, http_status] : codes)
    EXPECT_EQ(ApiErrorOf(grpc::Status(code, "m")).http_status, http_status) << code;
}

TEST(ApiError, AReasonOfANewerServerIsPassedOn) {
  const ApiError error =
      ApiErrorOf(ErrorStatus(grpc::StatusCode::PERMISSION_DENIED, "KEY_REVOKED", "no"));
  EXPECT_EQ(error.reason, "KEY_REVOKED");
  EXPECT_EQ(error.http_status, 403);
}

TEST(ApiError, DetailsThatAreGarbageAreAsIfAbsent) {
  const ApiError error =
      ApiErrorOf(grpc::Status(grpc::StatusCode::INTERNAL, "m", std::string("\xff\xff\xff", 3)));
  EXPECT_EQ(error.reason, "INTERNAL");
}

TEST(ApiError, ARefusalOfTheEdgeHasTheSameShape) {
  for (int refusal = 0; refusal <= static_cast<int>(Refusal::kUnanswered); ++refusal) {
    const auto [headers, body] = RefusalAnswer(static_cast<Refusal>(refusal), "why", "req_2");
    EXPECT_EQ(headers.front(),
              std::make_pair(std::string("Content-Type"), std::string("application/json")));
    EXPECT_EQ(headers.back(), std::make_pair(std::string("x-request-id"), std::string("req_2")));
    const auto json = nlohmann::json::parse(body)["error"];
    EXPECT_EQ(json["message"], "why");
    EXPECT_EQ(json["request_id"], "req_2");
    EXPECT_FALSE(json["reason"].get<std::string>().empty());
  }
}

TEST(RefusalAnswer, TooManyBytesTogetherMayBeTriedAgain) {
  const auto [headers, body] = RefusalAnswer(Refusal::kTooManyBytes, "why", "req_2");
  EXPECT_EQ(nlohmann::json::parse(body)["error"]["reason"], "OVERLOADED");
  EXPECT_THAT(headers, testing::Contains(testing::Pair("Retry-After", "1")));
}

}  // namespace
}  // namespace aibackend::gateway
