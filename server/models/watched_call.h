// Measures and traces the calls of a model server: one of the metrics' and one span each, attempts
// that fail too.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/models/language_model.h"
#include "server/net/http_client.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/tracer.h"

namespace aibackend::models {

// What an adapter watches its calls with; all of it outlives the calls. Without it nothing is
// watched.
struct CallWatch {
  const telemetry::Tracer* tracer = nullptr;
  telemetry::Metrics* metrics = nullptr;
  Clock* clock = nullptr;
};

// Begins the watch of one call: `http` gets the traceparent of its span, which ends with what the
// sink that is returned is told. `id` is the model's in the catalog, `upstream_model` what `http`
// asks for.
std::shared_ptr<GenerateSink> Watch(const CallWatch& watch, const GenerateRequest& request,
                                    absl::string_view id, absl::string_view upstream_model,
                                    absl::string_view provider, net::HttpRequest& http,
                                    std::shared_ptr<GenerateSink> sink);

}  // namespace aibackend::models
