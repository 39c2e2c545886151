#include "proto/otlp/span_exporter.h"

#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "proto/otlp/tracer.h"
#include "tests/unit/proto/otlp/fake_collector.h"

namespace aibackend::otlp {
namespace {

namespace trace = opentelemetry::proto::trace::v1;

class SpanExporterTest : public testing::Test {
 protected:
  SpanExporterTest() {
    options_.endpoint = collector_.address();
    options_.service_name = "aibackend-test";
    options_.service_version = "1.2.3";
    options_.batch_wait = absl::Milliseconds(1);
    options_.retry_first = absl::Milliseconds(5);
    options_.retry_max = absl::Milliseconds(20);
  }

  static SpanData Named(const std::string& name) {
    SpanData span;
    span.context = NewTrace();
    span.name = name;
    span.start = absl::FromUnixSeconds(5);
    span.end = absl::FromUnixSeconds(6);
    return span;
  }

  static std::vector<std::string> NamesIn(const std::vector<FakeCollector::Request>& requests) {
    std::vector<std::string> names;
    for (const auto& request : requests) {
      for (const auto& span : request.resource_spans(0).scope_spans(0).spans())
        names.push_back(span.name());
    }
    return names;
  }

  FakeCollector collector_;
  ExporterOptions options_;
};

TEST_F(SpanExporterTest, ASpanArrivesWithAllItHas) {
  const auto exporter = *SpanExporter::Start(options_);
  SpanData span = Named("chat m");
  span.context.flags = kSampledFlag;
  span.parent[7] = 9;
  span.kind = SpanKind::kClient;
  span.attributes = {{"text", std::string("é")},
                     {"count", int64_t{3}},
                     {"share", 0.5},
                     {"yes", true},
                     {"reasons", std::vector<std::string>{"stop", "length"}}};
  span.is_error = true;
  span.error = "UPSTREAM_TIMEOUT";
  const TraceContext context = span.context;
  exporter->Take(std::move(span));

  const auto requests = collector_.WaitForRequests(1);
  ASSERT_EQ(requests.size(), 1u);
  const auto& resource = requests[0].resource_spans(0).resource();
  EXPECT_EQ(resource.attributes(0).key(), "service.name");
  EXPECT_EQ(resource.attributes(0).value().string_value(), "aibackend-test");
  EXPECT_EQ(resource.attributes(1).key(), "service.version");
  EXPECT_EQ(resource.attributes(1).value().string_value(), "1.2.3");
  const trace::Span& sent = requests[0].resource_spans(0).scope_spans(0).spans(0);
  EXPECT_EQ(sent.trace_id(), std::string(context.trace_id.begin(), context.trace_id.end()));
  EXPECT_EQ(sent.span_id(), std::string(context.span_id.begin(), context.span_id.end()));
  EXPECT_EQ(sent.parent_span_id(), std::string("\0\0\0\0\0\0\0\x09", 8));
  EXPECT_EQ(sent.flags(), 1u);
  EXPECT_EQ(sent.kind(), trace::Span::SPAN_KIND_CLIENT);
  EXPECT_EQ(sent.start_time_unix_nano(), 5'000'000'000u);
  EXPECT_EQ(sent.end_time_unix_nano(), 6'000'000'000u);
  ASSERT_EQ(sent.attributes_size(), 5);
  EXPECT_EQ(sent.attributes(0).value().string_value(), "é");
  EXPECT_EQ(sent.attributes(1).value().int_value(), 3);
  EXPECT_EQ(sent.attributes(2).value().double_value(), 0.5);
  EXPECT_TRUE(sent.attributes(3).value().bool_value());
  EXPECT_EQ(sent.attributes(4).value().array_value().values(1).string_value(), "length");
  EXPECT_EQ(sent.status().code(), trace::Status::STATUS_CODE_ERROR);
  EXPECT_EQ(sent.status().message(), "UPSTREAM_TIMEOUT");
}

TEST_F(SpanExporterTest, AFullBatchGoesAtOnceAndTheRestWhenItsTimeIsUp) {
  options_.batch_max = 3;
  options_.batch_wait = absl::Hours(1);
  auto exporter = *SpanExporter::Start(options_);
  for (int i = 0; i < 7; ++i) exporter->Take(Named(absl::StrCat(i)));
  auto requests = collector_.WaitForRequests(2);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(NamesIn(requests), (std::vector<std::string>{"0", "1", "2", "3", "4", "5"}));

  exporter.reset();  // which sends what is left
  requests = collector_.WaitForRequests(3);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(NamesIn(requests).back(), "6");
}

TEST_F(SpanExporterTest, WhatDoesNotFitIsDroppedAndCountedAndNobodyWaits) {
  options_.queued_max = 4;
  options_.batch_max = 2;
  absl::Notification calling;
  absl::Notification go_on;
  collector_.Next([&](grpc::ServerContext*, FakeCollector::Response*) {
    calling.Notify();
    go_on.WaitForNotificationWithTimeout(absl::Seconds(10));
    return grpc::Status::OK;
  });
  auto exporter = *SpanExporter::Start(options_);
  exporter->Take(Named("first"));
  exporter->Take(Named("second"));
  ASSERT_TRUE(calling.WaitForNotificationWithTimeout(absl::Seconds(10)));
  // Of four places the batch under way has one or two.
  for (int i = 0; i < 10; ++i) exporter->Take(Named(absl::StrCat(i)));
  EXPECT_EQ(exporter->dropped(), 8u);
  go_on.Notify();
  exporter.reset();
  EXPECT_EQ(NamesIn(collector_.WaitForRequests(2)).size(), 4u);
}

TEST_F(SpanExporterTest, ACollectorThatComesBackGetsWhatWaited) {
  collector_.Close();
  const auto exporter = *SpanExporter::Start(options_);
  for (int i = 0; i < 5; ++i) exporter->Take(Named(absl::StrCat(i)));
  collector_.Open();
  std::vector<std::string> names;
  for (size_t batches = 1; names.size() < 5 && batches <= 5; ++batches)
    names = NamesIn(collector_.WaitForRequests(batches));
  EXPECT_EQ(names, (std::vector<std::string>{"0", "1", "2", "3", "4"}));
  EXPECT_EQ(exporter->dropped(), 0u);
}

grpc::Status Throttled(bool names_delay) {
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(1'000'000);
  if (names_delay) details.add_details()->PackFrom(retry);
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "later", details.SerializeAsString()};
}

TEST_F(SpanExporterTest, WhatMayPassIsTriedAgainWithTheSameSpans) {
  collector_.Next([](grpc::ServerContext*, FakeCollector::Response*) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "");
  });
  collector_.Next([](grpc::ServerContext*, FakeCollector::Response*) { return Throttled(true); });
  const auto exporter = *SpanExporter::Start(options_);
  exporter->Take(Named("a"));
  EXPECT_EQ(NamesIn(collector_.WaitForRequests(1)), std::vector<std::string>{"a"});
  EXPECT_EQ(collector_.calls(), 3);
  EXPECT_EQ(exporter->dropped(), 0u);
}

TEST_F(SpanExporterTest, WhatTheCollectorRefusesIsDroppedAndNotSentAgain) {
  collector_.Next([](grpc::ServerContext*, FakeCollector::Response*) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "");
  });
  collector_.Next([](grpc::ServerContext*, FakeCollector::Response*) { return Throttled(false); });
  collector_.Next([](grpc::ServerContext*, FakeCollector::Response* response) {
    response->mutable_partial_success()->set_rejected_spans(1);
    return grpc::Status::OK;
  });
  const auto exporter = *SpanExporter::Start(options_);
  for (int call = 1; call <= 3; ++call) {
    exporter->Take(Named(absl::StrCat(call)));
    ASSERT_TRUE(collector_.WaitForCalls(call));
  }
  exporter->Take(Named("last"));
  EXPECT_EQ(NamesIn(collector_.WaitForRequests(2)), (std::vector<std::string>{"3", "last"}));
  EXPECT_EQ(exporter->dropped(), 3u);
}

TEST_F(SpanExporterTest, TheEndDoesNotWaitForACollectorThatHangs) {
  options_.flush_max = absl::Milliseconds(100);
  absl::Notification calling;
  collector_.Next([&](grpc::ServerContext* context, FakeCollector::Response*) {
    calling.Notify();
    while (!context->IsCancelled()) std::this_thread::yield();
    return grpc::Status::CANCELLED;
  });
  auto exporter = *SpanExporter::Start(options_);
  exporter->Take(Named("a"));
  ASSERT_TRUE(calling.WaitForNotificationWithTimeout(absl::Seconds(10)));
  exporter->Take(Named("b"));
  const absl::Time before = absl::Now();
  exporter.reset();
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));  // of a call_timeout of ten
  EXPECT_LE(collector_.calls(), 2);
}

TEST_F(SpanExporterTest, TheEndOfACollectorThatIsAwayIsQuick) {
  collector_.Close();
  options_.retry_first = absl::Hours(1);
  auto exporter = *SpanExporter::Start(options_);
  exporter->Take(Named("a"));
  const absl::Time before = absl::Now();
  exporter.reset();
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));
}

TEST_F(SpanExporterTest, ManyThreadsLoseNothingThatFits) {
  auto exporter = *SpanExporter::Start(options_);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 500; ++k) exporter->Take(Named("x"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  exporter.reset();
  EXPECT_EQ(NamesIn(collector_.WaitForRequests(1)).size(), 4'000u);
}

TEST(SpanExporter, AnEndpointThatCanBeNoneIsNamed) {
  for (const char* good :
       {"collector:4317", "http://127.0.0.1:4317", "https://otlp.test:443/", "[::1]:4317"})
    EXPECT_TRUE(CheckEndpoint(good).ok()) << good;
  for (const char* bad : {"", "collector", ":4317", "collector:0", "collector:x",
                          "http://collector:4317/v1/traces", "ftp://collector:4317"})
    EXPECT_FALSE(CheckEndpoint(bad).ok()) << bad;
  EXPECT_FALSE(SpanExporter::Start({}).ok());
}

}  // namespace
}  // namespace aibackend::otlp
