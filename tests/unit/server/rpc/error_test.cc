#include "server/rpc/error.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/base/status.h"

namespace aibackend::rpc {
namespace {

template <class Detail>
absl::optional<Detail> Find(const grpc::Status& status) {
  google::rpc::Status rich;
  EXPECT_TRUE(rich.ParseFromString(status.error_details()));
  for (const auto& any : rich.details()) {
    Detail detail;
    if (any.UnpackTo(&detail)) return detail;
  }
  return absl::nullopt;
}

TEST(RpcError, EveryReasonLeavesWithItsCodeAndName) {
  const auto* reasons = v1::Error::Reason_descriptor();
  for (int i = 1; i < reasons->value_count(); ++i) {
    const auto reason = static_cast<v1::Error::Reason>(reasons->value(i)->number());
    const grpc::Status status = ToGrpc(MakeError(reason, "what is wrong"), "req_1");
    EXPECT_EQ(status.error_code(), MappingOf(reason).code());
    EXPECT_EQ(Find<google::rpc::ErrorInfo>(status)->reason(), reasons->value(i)->name());
    EXPECT_EQ(Find<google::rpc::RequestInfo>(status)->request_id(), "req_1");
    EXPECT_EQ(Find<google::rpc::RetryInfo>(status).has_value(), MappingOf(reason).retryable());
  }
}

TEST(RpcError, TheFieldAndTheRetryTimeTravel) {
  const grpc::Status bad = ToGrpc(MakeError(Reason::FIELD_INVALID, "no", "documents[2].id"), "r");
  EXPECT_EQ(Find<google::rpc::BadRequest>(bad)->field_violations(0).field(), "documents[2].id");
  const grpc::Status busy =
      ToGrpc(WithRetryAfter(MakeError(Reason::OVERLOADED, "busy"), absl::Milliseconds(2500)), "r");
  EXPECT_EQ(Find<google::rpc::RetryInfo>(busy)->retry_delay().seconds(), 2);
  EXPECT_EQ(Find<google::rpc::RetryInfo>(busy)->retry_delay().nanos(), 500'000'000);
}

TEST(RpcError, AMessageThatQuotesALongRequestFitsTheTrailers) {
  std::string quoted;
  while (quoted.size() < 100'000) quoted += "é";
  const grpc::Status status = ToGrpc(MakeError(Reason::MODEL_NOT_FOUND, quoted, "model"), "r");
  // As they go over the wire: percent-encoded, and in base 64.
  EXPECT_LT(3 * status.error_message().size() + status.error_details().size() * 4 / 3, 7'000u);
  EXPECT_EQ(status.error_message(), quoted.substr(0, 1024));  // whole characters
  EXPECT_EQ(Find<google::rpc::BadRequest>(status)->field_violations(0).field(), "model");
}

TEST(RpcError, OurOwnDefectsKeepTheirDetailsToThemselves) {
  const grpc::Status status = ToGrpc(absl::InternalError("SELECT secret FROM table"), "r");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message().find("SELECT"), std::string::npos);
  EXPECT_EQ(status.error_details().find("SELECT"), std::string::npos);
}

}  // namespace
}  // namespace aibackend::rpc
