// Where Prometheus asks: GET /metrics, on a port of its own.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/telemetry/metrics.h"

namespace aibackend::telemetry {

// Serves from Start until it is destroyed, which waits for one that is being answered: destroy it
// before what Metrics::Read was given.
//
// By cpp-httplib, two connections at a time, one request each, which has `time_max` in all, however
// its bytes come and go; what is under way when the listener goes is cut. (prometheus-cpp's own
// Exposer runs on threads with stacks of 100 KB, which a debug build with sanitizers overflows.)
class MetricsListener {
 public:
  static constexpr absl::Duration kTimeMax = absl::Seconds(5);

  // `address`: host:port, port 0 any free one. Fails where it can't listen. Nobody is asked for a
  // key: the address must be one that only those reach who may read figures.
  static absl::StatusOr<std::unique_ptr<MetricsListener>> Start(const std::string& address,
                                                                const Metrics& metrics,
                                                                absl::Duration time_max = kTimeMax);
  ~MetricsListener();

  int port() const;

 private:
  struct Impl;
  explicit MetricsListener(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace aibackend::telemetry
