// Metrics and traces as the settings say. A part of the composition root.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/settings.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/metrics_listener.h"
#include "server/telemetry/tracer.h"

namespace aibackend {

class TelemetryStack {
 public:
  // `rpcs` and `job_kinds`: the names that label values are made of.
  static absl::StatusOr<std::unique_ptr<TelemetryStack>> Open(const config::Settings& settings,
                                                              std::vector<std::string> rpcs,
                                                              std::vector<std::string> job_kinds);

  telemetry::Metrics& metrics() { return metrics_; }
  const telemetry::Tracer& tracer() const { return *tracer_; }

  // Serves the metrics where the settings name an address, until StopServing: what `readings` use
  // must live until then.
  absl::Status Serve(telemetry::Metrics::Readings readings);
  void StopServing() { listener_ = nullptr; }

 private:
  TelemetryStack(std::string listen, const telemetry::Metrics::Options& options,
                 std::unique_ptr<telemetry::Tracer> tracer);

  const std::string listen_;
  telemetry::Metrics metrics_;
  const std::unique_ptr<telemetry::Tracer> tracer_;
  std::unique_ptr<telemetry::MetricsListener> listener_;
};

}  // namespace aibackend
