// What the server counts, for Prometheus. One method for each thing that happens.
//
// Label values are bounded by construction: RPCs, models, job kinds and limits are lists given at
// the start, and what is in none of them is "other"; reasons are the contract's table. All series
// are there from the start, at zero, so that a rate is right from the first event on and nothing a
// client sends can make another.
//
// Names of the gen_ai_… metrics, their labels and buckets are OpenTelemetry's conventions for
// generative AI (opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics), as Prometheus writes
// them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "prometheus/collectable.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/base/money.h"

namespace aibackend::telemetry {

enum class Operation : uint8_t { kChat, kEmbeddings };
enum class LimitAction : uint8_t { kEnforced, kShadow };
enum class CacheResult : uint8_t { kExact, kSemantic, kMiss };
enum class JobEnd : uint8_t { kSucceeded, kFailed, kCancelled };

// Thread-safe; no method blocks. Rows stay valid as long as the Metrics: who counts often looks
// its row up once.
class Metrics {
 public:
  struct Model {
    std::string id;
    std::string provider;  // as OpenTelemetry names it: "openai", "anthropic", …
    Operation operation = Operation::kChat;
  };
  struct Options {
    std::vector<std::string> rpcs;  // "Chat", …
    std::vector<Model> models;
    std::vector<std::string> job_kinds;
    std::vector<std::string> limits;             // "key.requests_per_minute", …
    std::vector<std::string> guardrail_actions;  // "blocked", …
  };
  // What others count, read when somebody asks. Called from any thread; must not block for long.
  struct Readings {
    std::function<int64_t()> ledger_lost_rows;
    std::function<int64_t()> ledger_queue_depth;
    std::function<int64_t()> ledger_spooled_rows;
    std::function<int64_t()> spans_dropped;
    std::function<int64_t()> cache_bytes;
  };

  class RpcRow;
  class ModelRow;

  explicit Metrics(const Options& options);
  ~Metrics();

  const RpcRow& RpcOf(absl::string_view rpc) const;
  const ModelRow& ModelOf(Operation operation, absl::string_view model) const;

  void RequestBegan(const RpcRow& rpc);
  void RequestEnded(const RpcRow& rpc, const absl::Status& status, absl::Duration duration);

  // An answer as its client saw it, over all attempts; `first_token` from its beginning, absent
  // where no token came.
  struct Answer {
    absl::Duration duration;
    absl::optional<absl::Duration> first_token;
    int64_t output_tokens = 0;
  };
  void AnswerEnded(const ModelRow& model, const Answer& answer);
  // One call of a model server. Tokens: absent where it used none.
  void UpstreamCallEnded(const ModelRow& model, absl::Duration duration,
                         absl::optional<int64_t> input_tokens,
                         absl::optional<int64_t> output_tokens);
  void Spent(const ModelRow& model, NanoUsd cost);

  void Limited(absl::string_view limit, LimitAction action);
  // `status` with KEY_REQUIRED, KEY_INVALID or SCOPE_MISSING; others count as "other".
  void AuthFailed(const absl::Status& status);
  void CacheAsked(CacheResult result);
  void GuardrailActed(absl::string_view action);
  void JobEnded(absl::string_view kind, JobEnd end);

  // Once, before the first scrape. What the functions use must outlive the last one.
  void Read(Readings readings);

  // Whatever collects them keeps no reference beyond the Metrics' own.
  std::vector<std::shared_ptr<prometheus::Collectable>> collectables() const;

 private:
  class ReadingsCollector;
  using CounterFamily = prometheus::Family<prometheus::Counter>;

  // The counters of one list of names, with one more for what isn't in it.
  class Named {
   public:
    Named() = default;
    // Their values of `label`; `others` is what else they are labelled with.
    Named(CounterFamily& family, const std::string& label, const std::vector<std::string>& names,
          prometheus::Labels others = {});
    prometheus::Counter& Of(absl::string_view name) const;

   private:
    absl::flat_hash_map<std::string, prometheus::Counter*> by_name_;
    prometheus::Counter* other_ = nullptr;
  };

  CounterFamily& AddCounters(const char* name, const char* help);
  void AddRpcs(const std::vector<std::string>& rpcs);
  void AddModels(const std::vector<Model>& models);
  void AddEvents(const Options& options);

  const std::shared_ptr<prometheus::Registry> registry_;
  const std::shared_ptr<ReadingsCollector> readings_;

  std::vector<std::unique_ptr<RpcRow>> rpcs_;  // the first is for those in no list
  absl::flat_hash_map<std::string, const RpcRow*> rpc_by_name_;
  struct ModelRows {
    std::unique_ptr<ModelRow> other;
    absl::flat_hash_map<std::string, std::unique_ptr<ModelRow>> by_id;
  };
  std::array<ModelRows, 2> models_;  // by operation

  std::vector<prometheus::Counter*> errors_;  // by reason; null where the table has none
  std::array<Named, 2> limited_;              // by action
  std::array<Named, 3> jobs_;                 // by end
  Named guardrail_;
  Named auth_failures_;
  std::array<prometheus::Counter*, 3> cache_{};
};

}  // namespace aibackend::telemetry
