#include "server/models/watched_call.h"

#include <utility>

namespace aibackend::models {
namespace {

// A call that was refused before it cost anything has used none.
absl::optional<int64_t> Used(const GenerateResult& result, int tokens) {
  if (!result.status.ok() && tokens == 0) return absl::nullopt;
  return tokens;
}

class WatchingSink final : public GenerateSink {
 public:
  WatchingSink(const CallWatch& watch, const telemetry::Metrics::ModelRow& row,
               telemetry::Span span, std::shared_ptr<GenerateSink> sink)
      : watch_(watch),
        row_(row),
        span_(std::move(span)),
        started_(watch.clock->Now()),
        sink_(std::move(sink)) {}

  void OnDelta(const Delta& delta) override { sink_->OnDelta(delta); }

  void OnDone(GenerateResult result) override {
    const auto input = Used(result, result.usage.prompt_tokens);
    const auto output = Used(result, result.usage.completion_tokens);
    watch_.metrics->UpstreamCallEnded(row_, watch_.clock->Now() - started_, input, output);
    if (span_.is_recording())
      telemetry::Tracer::EndModelCall(span_, {result.status, input, output, result.finish_reason});
    sink_->OnDone(std::move(result));
  }

 private:
  const CallWatch watch_;
  const telemetry::Metrics::ModelRow& row_;
  telemetry::Span span_;
  const absl::Time started_;
  const std::shared_ptr<GenerateSink> sink_;
};

}  // namespace

std::shared_ptr<GenerateSink> Watch(const CallWatch& watch, const GenerateRequest& request,
                                    absl::string_view id, absl::string_view upstream_model,
                                    absl::string_view provider, net::HttpRequest& http,
                                    std::shared_ptr<GenerateSink> sink) {
  if (!watch.metrics || !watch.tracer || !watch.clock) return sink;
  telemetry::Span span =
      watch.tracer->StartModelCall({"chat", upstream_model, provider}, request.trace);
  std::string traceparent = span.Traceparent();
  if (!traceparent.empty()) http.headers.emplace_back("traceparent", std::move(traceparent));
  return std::make_shared<WatchingSink>(watch,
                                        watch.metrics->ModelOf(telemetry::Operation::kChat, id),
                                        std::move(span), std::move(sink));
}

}  // namespace aibackend::models
