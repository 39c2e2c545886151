#include "server/billing_sink.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/server/net/scripted_server.h"

namespace aibackend {
namespace {

using ::aibackend::testing::Connection;
using ::aibackend::testing::HttpResponse;
using ::aibackend::testing::ScriptedServer;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kJson[] = "Content-Type: application/json\r\n";

struct Sent {
  absl::Status status;
  std::string request;
};

// One event to an upstream that answers with `response`.
Sent Send(const std::string& response, const std::string& key = "sk_test") {
  ScriptedServer server([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send(response);
  });
  net::HttpClient client({});
  StripeMeterSink sink(client, {server.url("/v1/billing/meter_events"), key, "ai tokens"});
  Sent sent;
  absl::Notification done;
  sink.Send({"aib_req_1", "cus+1&x", absl::FromUnixSeconds(1'700'000'000), 4200},
            [&](absl::Status status) {
              sent.status = std::move(status);
              done.Notify();
            });
  done.WaitForNotification();
  sent.request = server.requests().at(0);
  return sent;
}

std::string Refusal(int status, const std::string& message, const std::string& headers = kJson) {
  return HttpResponse(status, absl::StrCat(R"({"error": {"message": ")", message, R"("}})"),
                      headers);
}

TEST(StripeMeterSink, AnEventIsAFormOfTheDocumentedFields) {
  const Sent sent = Send(HttpResponse(200, "{}"));
  EXPECT_EQ(sent.status, absl::OkStatus());
  EXPECT_THAT(sent.request, StartsWith("POST /v1/billing/meter_events HTTP/1.1\r\n"));
  EXPECT_THAT(sent.request, HasSubstr("Content-Type: application/x-www-form-urlencoded\r\n"));
  EXPECT_THAT(sent.request, HasSubstr("Authorization: Bearer sk_test\r\n"));
  // With it Stripe would repeat a failure for a day.
  EXPECT_THAT(absl::AsciiStrToLower(sent.request), Not(HasSubstr("idempotency-key")));
  EXPECT_THAT(sent.request,
              EndsWith("\r\n\r\nevent_name=ai%20tokens&timestamp=1700000000&identifier=aib_req_1"
                       "&payload%5Bstripe_customer_id%5D=cus%2B1%26x&payload%5Bvalue%5D=4200"));
  EXPECT_THAT(Send(HttpResponse(200, "{}"), "").request, Not(HasSubstr("Authorization")));
}

TEST(StripeMeterSink, AnEventThatExistsAlreadyIsAccepted) {
  const std::string message = "An event already exists with identifier aib_req_1.";
  EXPECT_EQ(Send(Refusal(400, message)).status, absl::OkStatus());
  EXPECT_EQ(Send(Refusal(409, message)).status, absl::OkStatus());
  EXPECT_FALSE(Send(Refusal(403, message)).status.ok());
  EXPECT_FALSE(Send(Refusal(400, "A meter already exists with identifier x.")).status.ok());
}

TEST(StripeMeterSink, WhatMayPassIsTriedAgain) {
  const absl::Status limited =
      Send(Refusal(429, "Too many", absl::StrCat(kJson, "Retry-After: 7\r\n"))).status;
  EXPECT_EQ(ReasonOf(limited), Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(RetryAfterOf(limited), absl::Seconds(7));
  for (const int status : {500, 502, 503, 408, 409}) {
    const absl::Status error = Send(Refusal(status, "later")).status;
    EXPECT_EQ(ReasonOf(error), Reason::UPSTREAM_UNAVAILABLE) << status;
    EXPECT_EQ(error.code(), absl::StatusCode::kUnavailable) << status;
  }
  EXPECT_EQ(Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{").status.code(),
            absl::StatusCode::kUnavailable);
}

TEST(StripeMeterSink, WhatIsRefusedSaysWhyAndNeverTheKey) {
  for (const int status : {400, 401, 402, 403, 404, 301}) {
    const absl::Status error = Send(Refusal(status, "No such meter")).status;
    EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(error.message()), HasSubstr("No such meter"));
    EXPECT_THAT(std::string(error.message()), HasSubstr(absl::StrCat(status)));
    EXPECT_THAT(std::string(error.message()), Not(HasSubstr("sk_test")));
  }
  EXPECT_THAT(std::string(Send(HttpResponse(400, "<html>")).status.message()),
              EndsWith(": <html>"));
  EXPECT_FALSE(Send(HttpResponse(400, "\xff{")).status.ok());
}

}  // namespace
}  // namespace aibackend
