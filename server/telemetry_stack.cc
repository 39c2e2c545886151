#include "server/telemetry_stack.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend {
namespace {

using config::ModelSettings;

// As Pass::shadow_limit names them: "key.requests_per_minute", …
std::vector<std::string> LimitNames() {
  std::vector<std::string> names;
  for (const char* subject : {"key", "user", "tenant", "address"}) {
    for (const char* limit :
         {"requests_per_minute", "tokens_per_minute", "tokens_per_day", "tokens_per_month",
          "nano_usd_per_day", "nano_usd_per_month", "concurrent"}) {
      names.push_back(absl::StrCat(subject, ".", limit));
    }
  }
  return names;
}

std::vector<telemetry::Metrics::Model> ModelsOf(const std::vector<ModelSettings>& settings) {
  std::vector<telemetry::Metrics::Model> models = {
      {"extractive", "embedded", telemetry::Operation::kChat}};
  for (const ModelSettings& model : settings) {
    const bool is_anthropic = model.provider == ModelSettings::Provider::kAnthropic;
    models.push_back({model.name, is_anthropic ? "anthropic" : "openai",
                      model.kind == ModelSettings::Kind::kChat
                          ? telemetry::Operation::kChat
                          : telemetry::Operation::kEmbeddings});
  }
  return models;
}

}  // namespace

TelemetryStack::TelemetryStack(std::string listen, const telemetry::Metrics::Options& options,
                               std::unique_ptr<telemetry::Tracer> tracer)
    : listen_(std::move(listen)), metrics_(options), tracer_(std::move(tracer)) {}

absl::StatusOr<std::unique_ptr<TelemetryStack>> TelemetryStack::Open(
    const config::Settings& settings, std::vector<std::string> rpcs,
    std::vector<std::string> job_kinds) {
  telemetry::Metrics::Options options;
  options.rpcs = std::move(rpcs);
  options.models = ModelsOf(settings.models);
  options.job_kinds = std::move(job_kinds);
  options.limits = LimitNames();
  options.guardrail_actions = {"block", "mask", "flag"};
  AIB_ASSIGN_OR_RETURN(
      auto tracer,
      telemetry::Tracer::Start({settings.otlp_endpoint, config::kVersion, settings.trace_sample}));
  return std::unique_ptr<TelemetryStack>(
      new TelemetryStack(settings.metrics_listen, options, std::move(tracer)));
}

absl::Status TelemetryStack::Serve(telemetry::Metrics::Readings readings) {
  if (listen_.empty()) return absl::OkStatus();
  metrics_.Read(std::move(readings));
  AIB_ASSIGN_OR_RETURN(listener_, telemetry::MetricsListener::Start(listen_, metrics_));
  return absl::OkStatus();
}

}  // namespace aibackend
