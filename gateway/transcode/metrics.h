// What /metrics shows. Labels are bounded: a route is a template of the table, a fixed path, or
// "unmatched"; a status is its class.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gateway/http/edge.h"

namespace aibackend::gateway {

// The instruments of one route, looked up once at start.
struct RouteMetrics {
  std::string method;  // "POST"; "*" where it may be any
  std::string route;
  bool is_matched = true;  // false: `route` stands for all paths that are none
  std::array<prometheus::Counter*, 5> requests{};  // 1xx to 5xx
  prometheus::Histogram* seconds = nullptr;
  prometheus::Gauge* in_flight = nullptr;

  void Count(int status, absl::Duration duration) const;
};

// Thread-safe.
class Metrics {
 public:
  Metrics();

  // The reference stays valid as long as the Metrics. For each route once.
  const RouteMetrics& Add(const std::string& method, const std::string& route);
  // What is counted of requests that are none's.
  const RouteMetrics& AddUnmatched();

  // The text exposition format 0.0.4, with the edge's and the tracer's figures as they are now.
  std::string Text(const EdgeStats& stats, uint64_t spans_dropped);

 private:
  RouteMetrics& AddRow(const std::string& method, const std::string& route);

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& seconds_;
  prometheus::Family<prometheus::Gauge>& in_flight_;
  prometheus::Gauge& connections_open_;
  std::vector<std::unique_ptr<RouteMetrics>> routes_;
};

}  // namespace aibackend::gateway
