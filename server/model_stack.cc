#include "server/model_stack.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "server/models/anthropic_model.h"
#include "server/models/balance.h"
#include "server/models/circuit_breaker.h"
#include "server/models/concurrency_cap.h"
#include "server/models/fallback.h"
#include "server/models/openai_model.h"
#include "server/models/retry.h"

namespace aibackend {
namespace {

using config::ModelSettings;
using config::UpstreamSettings;

// So that an upstream which is well again is found out soon, and within a Retry-After that is
// waited for.
constexpr absl::Duration kCircuitOpenMax = absl::Seconds(5);

template <class Adapter>
std::unique_ptr<models::LanguageModel> MakeAdapter(net::HttpClient& http,
                                                   const ModelSettings& model,
                                                   const UpstreamSettings& upstream,
                                                   models::CallWatch watch) {
  typename Adapter::Options options;
  options.id = model.name;
  options.upstream_model = upstream.model;
  options.base_url = upstream.base_url;
  options.api_key = upstream.api_key;
  options.context_tokens = model.context_tokens;
  options.timeouts = TimeoutsOf(upstream.timeouts);
  options.watch = watch;
  return std::make_unique<Adapter>(http, std::move(options));
}

// Uniform in [0, 1), from any thread.
double Random() {
  thread_local absl::BitGen bits;
  return absl::Uniform(bits, 0.0, 1.0);
}

models::Circuit::Options CircuitOptions(const ModelSettings& model) {
  models::Circuit::Options options;
  options.failures = model.breaker_failures;
  options.open_for = absl::Milliseconds(model.breaker_open_ms);
  options.open_max = std::max(options.open_for, kCircuitOpenMax);
  return options;
}

}  // namespace

// What the settings have checked (names taken once, fallbacks that exist) is not checked again.
ModelStack::ModelStack(const std::vector<ModelSettings>& settings, net::HttpClient& http,
                       Timer& timer, Clock& clock, const EmbeddingStack& embeddings,
                       models::LanguageModel& embedded, models::CallWatch watch)
    : http_(http), timer_(timer), clock_(clock), watch_(watch) {
  std::map<std::string, models::LanguageModel*> bases = {{embedded.info().id, &embedded}};
  for (const ModelSettings& model : settings) {
    if (model.kind == ModelSettings::Kind::kChat) bases[model.name] = &BuildBase(model);
  }
  for (const ModelSettings& model : settings) {
    if (model.kind != ModelSettings::Kind::kChat) continue;
    std::vector<models::LanguageModel*> chain = {bases.at(model.name)};
    for (const std::string& name : model.fallbacks) chain.push_back(bases.at(name));
    models::LanguageModel& whole =
        chain.size() == 1 ? *chain.front()
                          : Own(std::make_unique<models::Fallback>(std::move(chain), timer_));
    catalog_.Add(whole, model.aliases).IgnoreError();
  }
  catalog_.Add(embedded).IgnoreError();
  embeddings.AddTo(catalog_);
}

models::LanguageModel& ModelStack::BuildBase(const ModelSettings& model) {
  std::vector<models::Balance::Upstream> upstreams;
  for (const UpstreamSettings& upstream : model.upstreams) {
    upstreams.push_back({&BuildUpstream(model, upstream), upstream.weight});
  }
  models::LanguageModel* base = upstreams.front().model;
  if (upstreams.size() > 1) {
    models::ModelInfo info = base->info();
    info.description = absl::StrCat(upstreams.size(), " upstreams, first ", info.description);
    base = &Own(
        std::make_unique<models::Balance>(std::move(info), std::move(upstreams), timer_, Random));
  }
  if (model.retries == 0) return *base;
  return Own(std::make_unique<models::Retry>(*base, timer_, RetryOptionsOf(model)));
}

models::LanguageModel& ModelStack::BuildUpstream(const ModelSettings& model,
                                                 const UpstreamSettings& upstream) {
  models::LanguageModel* built =
      &Own(model.provider == ModelSettings::Provider::kAnthropic
               ? MakeAdapter<models::AnthropicModel>(http_, model, upstream, watch_)
               : MakeAdapter<models::OpenAiModel>(http_, model, upstream, watch_));
  if (upstream.concurrent_max > 0) {
    models::ConcurrencyCap::Options options;
    options.running_max = static_cast<size_t>(upstream.concurrent_max);
    options.queued_max = static_cast<size_t>(upstream.queue_max);
    options.wait_max = absl::Milliseconds(upstream.timeouts.first_token_ms);
    built = &Own(std::make_unique<models::ConcurrencyCap>(*built, timer_, options));
  }
  if (model.breaker_failures == 0) return *built;
  return Own(
      std::make_unique<models::CircuitBreaker>(*built, timer_, clock_, CircuitOptions(model)));
}

models::LanguageModel& ModelStack::Own(std::unique_ptr<models::LanguageModel> model) {
  language_.push_back(std::move(model));
  return *language_.back();
}

}  // namespace aibackend
