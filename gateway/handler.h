// Where each HTTP request goes: to a path of the gateway's own, or by the route table to the
// server.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
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
  // `openapi` is the document at /openapi.json; `stats` are the edge's, for /metrics.
  Handler(const RouteTable& routes, Upstream& upstream, CallOptions options, std::string openapi,
          std::function<EdgeStats()> stats);

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
  const CallOptions options_;
  const std::string openapi_text_;
  const Asset openapi_;  // of openapi_text_
  const std::map<std::string, Asset, std::less<>> docs_;
  Metrics metrics_;
  LiveCount live_;
  std::map<std::string, Fixed, std::less<>> fixed_;
  std::vector<const RouteMetrics*> route_metrics_;  // by Route::index
  const RouteMetrics& unmatched_;
  std::atomic<bool> draining_ = false;
};

}  // namespace aibackend::gateway
