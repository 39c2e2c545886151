// Where each HTTP request goes: to a path of the gateway's own, to a dialect, or by the route table
// to the server.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/dialects/dialect.h"
#include "gateway/docs/assets.h"
#include "gateway/http/edge.h"
#include "gateway/transcode/call.h"
#include "gateway/transcode/metrics.h"
#include "gateway/transcode/observed_exchange.h"
#include "gateway/transcode/route_table.h"
#include "gateway/transcode/upstream.h"

namespace aibackend::gateway {

// Thread-safe. All it is given must outlive it, and it must outlive its exchanges: see WaitForNone.
class Handler {
 public:
  // Requests on the dialects' paths go to them. `openapi` is the document at /openapi.json; `stats`
  // are the edge's, for /metrics. Each request is a span of `tracer`.
  Handler(const RouteTable& routes, Upstream& upstream, const CallOptions& options,
          std::vector<std::unique_ptr<Dialect>> dialects, std::string openapi,
          std::function<EdgeStats()> stats, const otlp::Tracer& tracer);

  // Doesn't block.
  void Handle(std::shared_ptr<Exchange> exchange);

  // From now on /ready says DRAINING.
  void Drain() { draining_ = true; }

  // Blocks until no exchange that it was given is alive. An aborted one's call is cancelled, so
  // that after Edge::Stop this is soon.
  void WaitForNone() { live_.WaitForNone(); }

 private:
  using Answer = std::function<void(std::shared_ptr<Exchange>, const std::string& request_id)>;
  struct Fixed {
    Answer answer;
    const RouteMetrics* metrics;
  };

  // One of a dialect's paths: its routes by HTTP method.
  struct DialectPath {
    const Dialect* dialect = nullptr;
    std::map<std::string, const DialectRoute*, std::less<>> methods;
    const RouteMetrics* metrics = nullptr;
  };

  void AddDialect(const Dialect& dialect);
  // Null: the path is none of a dialect's. `rest` as in DialectRequest.
  const DialectPath* FindDialectPath(absl::string_view path, std::string* rest) const;
  // Whose path is the beginning of this one, which is none; null: nobody's.
  const Dialect* DialectAbove(absl::string_view path) const;
  void AnswerDialect(const DialectPath& path, std::string rest, std::shared_ptr<Exchange> exchange,
                     const std::string& request_id);
  void AddFixed(const std::string& path, const RouteMetrics& metrics, Answer answer);
  void AddDocs();
  void Ready(std::shared_ptr<Exchange> exchange, const std::string& request_id);
  void AnswerFixed(const Fixed& fixed, std::shared_ptr<Exchange> exchange,
                   const std::string& request_id);
  void AnswerUnrouted(std::shared_ptr<Exchange> exchange, const RouteTable::Found& found,
                      absl::string_view path, const std::string& request_id);
  std::shared_ptr<Exchange> Observe(std::shared_ptr<Exchange> exchange,
                                    const std::string& request_id, const RouteMetrics& metrics);

  const RouteTable& routes_;
  Upstream& upstream_;
  const CallOptions& options_;
  const otlp::Tracer& tracer_;
  const std::vector<std::unique_ptr<Dialect>> dialects_;
  const std::string openapi_text_;
  const Asset openapi_;  // of openapi_text_
  const std::map<std::string, Asset, std::less<>> docs_;
  Metrics metrics_;
  LiveCount live_;
  std::map<std::string, Fixed, std::less<>> fixed_;
  std::map<std::string, DialectPath, std::less<>>
      dialect_paths_;                               // by path, as DialectRoute has it
  std::vector<const RouteMetrics*> route_metrics_;  // by Route::index
  const RouteMetrics& unmatched_;
  std::atomic<bool> draining_ = false;
};

}  // namespace aibackend::gateway
