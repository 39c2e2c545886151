#include "server/answer_stack.h"

#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/status.h"

namespace aibackend {
namespace {

using chat::CacheMode;
using guard::Rule;

template <class Word>
Word WordOf(const std::string& text, const std::map<std::string, Word>& words) {
  return words.at(text);  // the settings have checked it
}

std::vector<Rule> RulesOf(const std::vector<config::GuardrailSettings>& settings) {
  std::vector<Rule> rules;
  for (const config::GuardrailSettings& one : settings) {
    Rule rule;
    rule.name = one.name;
    rule.on = WordOf<Rule::On>(
        one.on,
        {{"input", Rule::On::kInput}, {"output", Rule::On::kOutput}, {"both", Rule::On::kBoth}});
    rule.kind = WordOf<Rule::Kind>(one.kind, {{"size", Rule::Kind::kSize},
                                              {"regex", Rule::Kind::kRegex},
                                              {"blocklist", Rule::Kind::kBlocklist},
                                              {"email", Rule::Kind::kEmail},
                                              {"phone", Rule::Kind::kPhone},
                                              {"card", Rule::Kind::kCard}});
    rule.action = WordOf<Rule::Action>(one.action, {{"block", Rule::Action::kBlock},
                                                    {"mask", Rule::Action::kMask},
                                                    {"flag", Rule::Action::kFlag}});
    rule.pattern = one.pattern;
    rule.words = one.words;
    rule.bytes_max = static_cast<size_t>(one.bytes_max);
    rules.push_back(std::move(rule));
  }
  return rules;
}

chat::AnswerCache::Options CacheOptions(const config::CacheSettings& settings) {
  chat::AnswerCache::Options options;
  options.mode = WordOf<CacheMode>(settings.mode, {{"off", CacheMode::kOff},
                                                   {"auto", CacheMode::kAuto},
                                                   {"exact", CacheMode::kExact},
                                                   {"semantic", CacheMode::kSemantic}});
  options.ttl = absl::Milliseconds(settings.ttl_ms);
  options.bytes_max = static_cast<size_t>(settings.bytes_max);
  options.threshold = settings.threshold;
  return options;
}

// The one named, or the first; null where there is none.
absl::StatusOr<retrieval::TextEmbedder*> EmbedderOf(
    const std::string& name, const std::vector<retrieval::TextEmbedder*>& embedders) {
  for (retrieval::TextEmbedder* embedder : embedders) {
    if (name.empty() || embedder->name() == name) return embedder;
  }
  if (name.empty()) return nullptr;
  return absl::InvalidArgumentError(
      absl::StrCat("cache-embedder: there is no embedding model '", name, "'"));
}

// Of "name:action".
absl::string_view ActionOf(absl::string_view outcome) {
  return outcome.substr(outcome.rfind(':') + 1);
}

// What an answer is to the metrics of the model that gave it.
void CountAnswer(const telemetry::Metrics::ModelRow& row, const chat::TurnResult& result,
                 telemetry::Metrics& metrics) {
  telemetry::Metrics::Answer answer;
  answer.duration = result.elapsed;
  if (result.time_to_first_token > absl::ZeroDuration()) {
    answer.first_token = result.time_to_first_token;
  }
  answer.output_tokens = result.usage.completion_tokens;
  metrics.AnswerEnded(row, answer);
}

// What a turn is to the metrics. One that asked no model, as it found its answer in the cache or no
// documents, says nothing of how fast a model is.
void Count(const chat::TurnResult& result, telemetry::Metrics& metrics) {
  const auto& row = metrics.ModelOf(telemetry::Operation::kChat, result.model);
  if (result.model_asked) CountAnswer(row, result, metrics);
  metrics.Spent(row, result.cost);
  if (result.cache == "exact") metrics.CacheAsked(telemetry::CacheResult::kExact);
  if (result.cache == "semantic") metrics.CacheAsked(telemetry::CacheResult::kSemantic);
  if (result.cache_missed) metrics.CacheAsked(telemetry::CacheResult::kMiss);
}

}  // namespace

AnswerStack::AnswerStack(guard::Guardrails guardrails, const config::Settings& settings,
                         Clock& clock, retrieval::TextEmbedder* embedder)
    : guardrails_(std::move(guardrails)) {
  if (settings.cache.bytes_max == 0) return;
  if (embedder != nullptr) {
    chat::TextQuestionEmbedder::Options options;
    options.timeout = absl::Milliseconds(settings.retrieval_embed_timeout_ms);
    embedder_ = std::make_unique<chat::TextQuestionEmbedder>(*embedder, clock, options);
  }
  cache_ =
      std::make_unique<chat::AnswerCache>(clock, embedder_.get(), CacheOptions(settings.cache));
}

absl::StatusOr<std::unique_ptr<AnswerStack>> AnswerStack::Open(
    const config::Settings& settings, Clock& clock,
    const std::vector<retrieval::TextEmbedder*>& embedders) {
  AIB_ASSIGN_OR_RETURN(guard::Guardrails guardrails,
                       guard::Guardrails::Build(RulesOf(settings.guardrails)));
  AIB_ASSIGN_OR_RETURN(retrieval::TextEmbedder* const embedder,
                       EmbedderOf(settings.cache.embedder, embedders));
  return std::unique_ptr<AnswerStack>(
      new AnswerStack(std::move(guardrails), settings, clock, embedder));
}

chat::ChatService::Options AnswerStack::ChatOptions(const config::Settings& settings,
                                                    const usage::PriceBook& prices,
                                                    telemetry::Metrics& metrics) {
  chat::ChatService::Options options;
  options.strict_default = settings.retrieval_strict;
  options.turns_max = settings.turns_max;
  options.guardrails = &guardrails_;
  options.cache = cache_.get();
  options.prices = &prices;
  options.on_guarded = [&metrics](const std::vector<std::string>& outcomes) {
    for (const std::string& outcome : outcomes) metrics.GuardrailActed(ActionOf(outcome));
  };
  options.on_end = [&metrics](const chat::TurnResult& result) { Count(result, metrics); };
  return options;
}

}  // namespace aibackend
