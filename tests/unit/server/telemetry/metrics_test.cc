#include "server/telemetry/metrics.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/base/status.h"
#include "server/telemetry/metrics_listener.h"

namespace aibackend::telemetry {
namespace {

using testing::HasSubstr;

Metrics::Options TestOptions() {
  Metrics::Options options;
  options.rpcs = {"Chat", "ChatStream"};
  options.models = {{"gpt-x", "openai", Operation::kChat},
                    {"gpt-x-embed", "openai", Operation::kEmbeddings}};
  options.job_kinds = {"index_documents"};
  options.limits = {"key.requests_per_minute"};
  options.guardrail_actions = {"blocked"};
  return options;
}

class MetricsTest : public testing::Test {
 protected:
  std::string Text() const {
    std::ostringstream out;
    for (const auto& collectable : metrics_.collectables())
      prometheus::TextSerializer().Serialize(out, collectable->Collect());
    return out.str();
  }
  bool Shows(const std::string& line) const { return absl::StrContains(Text(), line + "\n"); }
  // Names with labels, without values.
  std::set<std::string> Series() const {
    std::set<std::string> series;
    for (const absl::string_view line : absl::StrSplit(Text(), '\n', absl::SkipEmpty())) {
      if (line[0] != '#') series.emplace(line.substr(0, line.rfind(' ')));
    }
    return series;
  }

  Metrics metrics_{TestOptions()};
};

TEST_F(MetricsTest, AnRpcIsCountedByItsCodeAndItsReason) {
  const auto& chat = metrics_.RpcOf("Chat");
  metrics_.RequestBegan(chat);
  EXPECT_TRUE(Shows("aib_server_requests_in_flight{rpc=\"Chat\"} 1"));
  metrics_.RequestEnded(chat, absl::OkStatus(), absl::Milliseconds(3));
  metrics_.RequestBegan(chat);
  metrics_.RequestEnded(chat, MakeError(Reason::TEMPERATURE_OUT_OF_RANGE, "x"), absl::Seconds(1));
  EXPECT_TRUE(Shows("aib_server_requests_in_flight{rpc=\"Chat\"} 0"));
  EXPECT_TRUE(Shows("aib_server_requests_total{rpc=\"Chat\",status=\"OK\"} 1"));
  EXPECT_TRUE(Shows("aib_server_requests_total{rpc=\"Chat\",status=\"INVALID_ARGUMENT\"} 1"));
  EXPECT_TRUE(Shows("aib_server_errors_total{reason=\"TEMPERATURE_OUT_OF_RANGE\"} 1"));
  EXPECT_TRUE(Shows("aib_server_request_seconds_bucket{rpc=\"Chat\",le=\"0.005\"} 1"));
}

TEST_F(MetricsTest, EveryReasonOfTheTableHasItsPlace) {
  for (int number = 0; number < v1::Error::Reason_ARRAYSIZE; ++number) {
    if (!v1::Error::Reason_IsValid(number)) continue;
    const auto reason = static_cast<v1::Error::Reason>(number);
    metrics_.RequestEnded(metrics_.RpcOf("Chat"), MakeError(reason, "x"), absl::ZeroDuration());
    EXPECT_TRUE(
        Shows(absl::StrCat("aib_server_errors_total{reason=\"", ReasonName(reason), "\"} 1")));
  }
}

constexpr char kGptX[] =
    "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"gpt-x\"";

TEST_F(MetricsTest, AnAnswerAndItsCallsHaveTheConventionsNames) {
  const auto& model = metrics_.ModelOf(Operation::kChat, "gpt-x");
  metrics_.UpstreamCallEnded(model, absl::Seconds(2), 100, 11);
  metrics_.AnswerEnded(model, {absl::Seconds(2), absl::Milliseconds(500), 11});
  metrics_.Spent(model, {1'500});
  EXPECT_TRUE(Shows(
      absl::StrCat("gen_ai_client_token_usage_sum{", kGptX, ",gen_ai_token_type=\"input\"} 100")));
  EXPECT_TRUE(Shows(absl::StrCat("gen_ai_client_token_usage_bucket{", kGptX,
                                 ",gen_ai_token_type=\"output\",le=\"16\"} 1")));
  EXPECT_TRUE(Shows(absl::StrCat("gen_ai_client_operation_duration_seconds_sum{", kGptX, "} 2")));
  EXPECT_TRUE(Shows(absl::StrCat("gen_ai_server_request_duration_seconds_count{", kGptX, "} 1")));
  EXPECT_TRUE(
      Shows(absl::StrCat("gen_ai_server_time_to_first_token_seconds_sum{", kGptX, "} 0.5")));
  // (2 s - 0.5 s) / 10
  EXPECT_TRUE(
      Shows(absl::StrCat("gen_ai_server_time_per_output_token_seconds_sum{", kGptX, "} 0.15")));
  EXPECT_TRUE(Shows("aib_cost_nano_usd_total{model=\"gpt-x\"} 1500"));
}

TEST_F(MetricsTest, AnAnswerWithoutATokenHasNoTimeToIt) {
  metrics_.AnswerEnded(metrics_.ModelOf(Operation::kChat, "gpt-x"), {absl::Seconds(2), {}, 0});
  metrics_.AnswerEnded(metrics_.ModelOf(Operation::kEmbeddings, "gpt-x-embed"),
                       {absl::Seconds(2), absl::Seconds(1), 9});
  EXPECT_TRUE(
      Shows(absl::StrCat("gen_ai_server_time_to_first_token_seconds_count{", kGptX, "} 0")));
  EXPECT_FALSE(absl::StrContains(
      Text(), "time_to_first_token_seconds_count{gen_ai_operation_name=\"embeddings\""));
}

TEST_F(MetricsTest, WhatOthersCountIsReadWhenAsked) {
  int64_t depth = 4;
  Metrics::Readings readings;
  readings.ledger_queue_depth = [&depth] { return depth; };
  readings.spans_dropped = [] { return int64_t{9}; };
  metrics_.Read(readings);
  EXPECT_TRUE(Shows("aib_ledger_queue_depth 4"));
  depth = 5;
  EXPECT_TRUE(Shows("aib_ledger_queue_depth 5"));
  EXPECT_TRUE(Shows("aib_spans_dropped_total 9"));
  EXPECT_FALSE(absl::StrContains(Text(), "aib_ledger_lost_rows_total"));  // nobody counts them
}

TEST_F(MetricsTest, RareEventsAreCounted) {
  metrics_.Limited("key.requests_per_minute", LimitAction::kShadow);
  metrics_.AuthFailed(MakeError(Reason::KEY_INVALID, "x"));
  metrics_.CacheAsked(CacheResult::kSemantic);
  metrics_.GuardrailActed("blocked");
  metrics_.JobEnded("index_documents", JobEnd::kFailed);
  EXPECT_TRUE(Shows("aib_limited_total{limit=\"key.requests_per_minute\",mode=\"shadow\"} 1"));
  EXPECT_TRUE(Shows("aib_limited_total{limit=\"key.requests_per_minute\",mode=\"enforce\"} 0"));
  EXPECT_TRUE(Shows("aib_auth_failures_total{reason=\"KEY_INVALID\"} 1"));
  EXPECT_TRUE(Shows("aib_cache_total{result=\"semantic\"} 1"));
  EXPECT_TRUE(Shows("aib_guardrail_total{action=\"blocked\"} 1"));
  EXPECT_TRUE(Shows("aib_jobs_total{kind=\"index_documents\",status=\"FAILED\"} 1"));
}

TEST_F(MetricsTest, NothingThatHappensMakesAnotherSeries) {
  const std::set<std::string> before = Series();
  std::mt19937 random(7);
  const auto word = [&random] {
    std::string text(random() % 12, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  };
  for (int i = 0; i < 10'000; ++i) {
    const auto& rpc = metrics_.RpcOf(word());
    metrics_.RequestBegan(rpc);
    const auto reason = static_cast<v1::Error::Reason>(random() % v1::Error::Reason_ARRAYSIZE);
    metrics_.RequestEnded(rpc, MakeError(reason, word()), absl::Milliseconds(random() % 1'000));
    const auto operation = i % 2 ? Operation::kChat : Operation::kEmbeddings;
    const auto& model = metrics_.ModelOf(operation, word());
    metrics_.UpstreamCallEnded(model, absl::Seconds(1), random() % 100, random() % 100);
    metrics_.AnswerEnded(model, {absl::Seconds(1), absl::Milliseconds(1), 5});
    metrics_.Spent(model, {static_cast<int64_t>(random() % 100)});
    metrics_.Limited(word(), i % 2 ? LimitAction::kEnforced : LimitAction::kShadow);
    metrics_.AuthFailed(MakeError(reason, word()));
    metrics_.GuardrailActed(word());
    metrics_.JobEnded(word(), JobEnd::kCancelled);
  }
  EXPECT_EQ(Series(), before);
  EXPECT_TRUE(Shows("aib_guardrail_total{action=\"other\"} 10000"));
  EXPECT_TRUE(Shows("aib_server_request_seconds_count{rpc=\"other\"} 10000"));
}

// A socket that is connected to there, or -1.
int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

// What a GET there is answered; blocking.
std::string Get(int port, const std::string& path) {
  const int fd = Connect(port);
  std::string answer;
  if (fd >= 0) {
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char piece[4096];
    for (ssize_t size = 0; (size = recv(fd, piece, sizeof(piece), 0)) > 0;)
      answer.append(piece, static_cast<size_t>(size));
  }
  close(fd);
  return answer;
}

TEST_F(MetricsTest, TheListenerServesThemAndRefusesAnAddressThatIsTaken) {
  metrics_.Read({[] { return int64_t{2}; }, nullptr, nullptr, nullptr, nullptr});
  auto listener = MetricsListener::Start("127.0.0.1:0", metrics_);
  ASSERT_TRUE(listener.ok()) << listener.status();
  const std::string answer = Get((*listener)->port(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, HasSubstr("aib_ledger_lost_rows_total 2\n"));
  EXPECT_THAT(answer, HasSubstr("aib_server_requests_in_flight{rpc=\"Chat\"} 0\n"));
  EXPECT_THAT(Get((*listener)->port(), "/"), HasSubstr("404"));

  const std::string taken = absl::StrCat("127.0.0.1:", (*listener)->port());
  EXPECT_THAT(std::string(MetricsListener::Start(taken, metrics_).status().message()),
              HasSubstr(taken));
  for (const char* bad : {"", "nowhere", "127.0.0.1:99999", "1.2.3.4:80"})
    EXPECT_FALSE(MetricsListener::Start(bad, metrics_).ok()) << bad;
}

// Sends a byte of a head now and then, until it is cut off.
class Dripper {
 public:
  explicit Dripper(int port) : fd_(Connect(port)), thread_([this] { Drip(); }) {}
  ~Dripper() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }

 private:
  void Drip() const {
    pollfd answer{fd_, POLLIN, 0};
    while (send(fd_, "G", 1, MSG_NOSIGNAL) == 1 && poll(&answer, 1, 5) == 0) {
    }
  }

  const int fd_;
  std::thread thread_;
};

TEST_F(MetricsTest, AClientThatDripsHoldsNobodyUpForLong) {
  auto listener = MetricsListener::Start("127.0.0.1:0", metrics_, absl::Milliseconds(300));
  ASSERT_TRUE(listener.ok()) << listener.status();
  const Dripper one((*listener)->port());
  const Dripper two((*listener)->port());
  EXPECT_THAT(Get((*listener)->port(), "/metrics"), HasSubstr("200 OK"));
}

TEST_F(MetricsTest, TheListenerGoesWhileAClientDrips) {
  auto listener = MetricsListener::Start("127.0.0.1:0", metrics_, absl::InfiniteDuration());
  ASSERT_TRUE(listener.ok()) << listener.status();
  const Dripper dripper((*listener)->port());
  listener->reset();
}

}  // namespace
}  // namespace aibackend::telemetry
