#include "server/models/observed_embedding.h"

#include <utility>

namespace aibackend::models {

using telemetry::Span;
using telemetry::Tracer;

ObservedEmbeddingModel::ObservedEmbeddingModel(EmbeddingModel& inner, std::string upstream_model,
                                               CallWatch watch)
    : inner_(inner),
      watch_(watch),
      upstream_model_(upstream_model.empty() ? inner.info().id : std::move(upstream_model)),
      provider_(inner.info().provider),
      row_(watch.metrics->ModelOf(telemetry::Operation::kEmbeddings, inner.info().id)) {}

std::shared_ptr<Generation> ObservedEmbeddingModel::Embed(EmbedRequest request,
                                                          std::function<void(EmbedResult)> done) {
  auto span = std::make_shared<Span>(
      watch_.tracer->StartModelCall({"embeddings", upstream_model_, provider_}, request.trace));
  request.trace = span->context();
  const absl::Time started_at = watch_.clock->Now();
  return inner_.Embed(std::move(request),
                      [this, span, started_at, done = std::move(done)](EmbedResult result) {
                        Tracer::ModelCallEnd end;
                        end.status = result.status;
                        if (result.usage.prompt_tokens > 0)
                          end.input_tokens = result.usage.prompt_tokens;
                        Tracer::EndModelCall(*span, end);
                        watch_.metrics->UpstreamCallEnded(row_, watch_.clock->Now() - started_at,
                                                          end.input_tokens, absl::nullopt);
                        done(std::move(result));
                      });
}

}  // namespace aibackend::models
