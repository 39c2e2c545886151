#include "gateway/transcode/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace aibackend::gateway {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

// From a cached lookup to a long answer of a model.
const prometheus::Histogram::BucketBoundaries kSecondsBuckets = {
    .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300};

// Others count these themselves, from the start of the process, as a Prometheus counter does.
void AppendCounter(const char* name, const char* help, uint64_t value, std::string& text) {
  absl::StrAppend(&text, "# HELP ", name, " ", help, "\n# TYPE ", name, " counter\n", name, " ",
                  value, "\n");
}

}  // namespace

void RouteMetrics::Count(int status, absl::Duration duration) const {
  requests[static_cast<size_t>(std::clamp(status / 100, 1, 5) - 1)]->Increment();
  seconds->Observe(absl::ToDoubleSeconds(duration));
}

Metrics::Metrics()
    : requests_(BuildCounter()
                    .Name("aib_gateway_requests_total")
                    .Help("HTTP requests answered, by route, method and class of status.")
                    .Register(registry_)),
      seconds_(BuildHistogram()
                   .Name("aib_gateway_request_seconds")
                   .Help("Seconds from a request's arrival to the end of its answer.")
                   .Register(registry_)),
      in_flight_(BuildGauge()
                     .Name("aib_gateway_requests_in_flight")
                     .Help("HTTP requests that are being answered.")
                     .Register(registry_)),
      connections_open_(BuildGauge()
                            .Name("aib_gateway_connections_open")
                            .Help("HTTP connections open now.")
                            .Register(registry_)
                            .Add({})) {}

const RouteMetrics& Metrics::Add(const std::string& method, const std::string& route) {
  return AddRow(method, route);
}

const RouteMetrics& Metrics::AddUnmatched() {
  RouteMetrics& row = AddRow("*", "unmatched");
  row.is_matched = false;
  return row;
}

RouteMetrics& Metrics::AddRow(const std::string& method, const std::string& route) {
  auto added = std::make_unique<RouteMetrics>();
  added->method = method;
  added->route = route;
  const prometheus::Labels labels = {{"method", method}, {"route", route}};
  for (size_t i = 0; i < added->requests.size(); ++i) {
    prometheus::Labels with_status = labels;
    with_status["status"] = absl::StrCat(i + 1, "xx");
    added->requests[i] = &requests_.Add(with_status);
  }
  added->seconds = &seconds_.Add(labels, kSecondsBuckets);
  added->in_flight = &in_flight_.Add(labels);
  return *routes_.emplace_back(std::move(added));
}

std::string Metrics::Text(const EdgeStats& stats, uint64_t spans_dropped) {
  connections_open_.Set(static_cast<double>(stats.connections_open));
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, registry_.Collect());
  std::string text = out.str();
  AppendCounter("aib_gateway_connections_accepted_total", "HTTP connections accepted.",
                stats.connections_accepted, text);
  AppendCounter("aib_gateway_edge_refusals_total",
                "Requests and connections refused before routing: malformed, too large, too slow.",
                stats.refusals, text);
  AppendCounter("aib_gateway_spans_dropped_total",
                "Spans that no collector got: the queue was full, or it refused them.",
                spans_dropped, text);
  return text;
}

}  // namespace aibackend::gateway
