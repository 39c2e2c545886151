#include "server/model_stack.h"

#include <utility>

#include "server/models/anthropic_model.h"
#include "server/models/openai_model.h"

namespace aibackend {
namespace {

using config::ModelSettings;
using config::UpstreamSettings;

net::HttpTimeouts TimeoutsOf(const config::UpstreamTimeouts& timeouts) {
  return {absl::Milliseconds(timeouts.connect_ms), absl::Milliseconds(timeouts.first_token_ms),
          absl::Milliseconds(timeouts.idle_ms), absl::Milliseconds(timeouts.total_ms)};
}

template <class Adapter>
std::unique_ptr<models::LanguageModel> MakeAdapter(net::HttpClient& http,
                                                   const ModelSettings& model,
                                                   const UpstreamSettings& upstream) {
  typename Adapter::Options options;
  options.id = model.name;
  options.upstream_model = upstream.model;
  options.base_url = upstream.base_url;
  options.api_key = upstream.api_key;
  options.timeouts = TimeoutsOf(upstream.timeouts);
  return std::make_unique<Adapter>(http, std::move(options));
}

}  // namespace

ModelStack::ModelStack(const std::vector<ModelSettings>& settings, net::HttpClient& http,
                       Timer& timer, Clock& clock, models::LanguageModel& embedded)
    : http_(http), timer_(timer), clock_(clock) {
  for (const ModelSettings& model : settings) {
    if (model.kind == ModelSettings::Kind::kEmbedding) continue;
    // The settings have checked that no two names are equal.
    catalog_.Add(BuildBase(model)).IgnoreError();
  }
  catalog_.Add(embedded).IgnoreError();
}

models::LanguageModel& ModelStack::BuildBase(const ModelSettings& model) {
  return BuildUpstream(model, model.upstreams.front());
}

models::LanguageModel& ModelStack::BuildUpstream(const ModelSettings& model,
                                                 const UpstreamSettings& upstream) {
  language_.push_back(model.provider == ModelSettings::Provider::kAnthropic
                          ? MakeAdapter<models::AnthropicModel>(http_, model, upstream)
                          : MakeAdapter<models::OpenAiModel>(http_, model, upstream));
  return *language_.back();
}

}  // namespace aibackend
