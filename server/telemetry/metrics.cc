#include "server/telemetry/metrics.h"

#include <algorithm>
#include <utility>

#include "prometheus/metric_family.h"
#include "server/base/status.h"

namespace aibackend::telemetry {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = Histogram::BucketBoundaries;

constexpr char kOther[] = "other";

// The conventions' own boundaries.
const Buckets& TokenBuckets() {
  static const Buckets kBuckets = {1,     4,     16,     64,      256,     1024,     4096,
                                   16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
  return kBuckets;
}
const Buckets& DurationBuckets() {
  static const Buckets kBuckets = {0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                   1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
  return kBuckets;
}
const Buckets& FirstTokenBuckets() {
  static const Buckets kBuckets = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                   0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0};
  return kBuckets;
}
const Buckets& OutputTokenBuckets() {
  static const Buckets kBuckets = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                   0.3,  0.4,   0.5,  0.75,  1.0, 2.5};
  return kBuckets;
}
// Ours: from a cached lookup to a long answer of a model, as the gateway's.
const Buckets& RequestBuckets() {
  static const Buckets kBuckets = {.001, .0025, .005, .01, .025, .05, .1, .25,
                                   .5,   1,     2.5,  5,   10,   30,  60, 300};
  return kBuckets;
}

const char* OperationName(Operation operation) {
  return operation == Operation::kChat ? "chat" : "embeddings";
}

// The name of a gRPC code that the table of reasons has, such as INVALID_ARGUMENT.
std::string CodeName(int code) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
}

}  // namespace

class Metrics::RpcRow {
 public:
  std::array<Counter*, 17> ended{};  // by gRPC code; null where no reason has it
  Histogram* seconds = nullptr;
  Gauge* in_flight = nullptr;
};

class Metrics::ModelRow {
 public:
  Histogram* input_tokens = nullptr;
  Histogram* output_tokens = nullptr;
  Histogram* call_seconds = nullptr;
  Histogram* answer_seconds = nullptr;
  Histogram* first_token_seconds = nullptr;  // these two of chat only
  Histogram* output_token_seconds = nullptr;
  Counter* cost = nullptr;
};

// Asks when it is asked.
class Metrics::ReadingsCollector final : public prometheus::Collectable {
 public:
  Readings readings;

  std::vector<prometheus::MetricFamily> Collect() const override {
    using prometheus::MetricType;
    std::vector<prometheus::MetricFamily> families;
    Append("aib_ledger_lost_rows_total", "Ledger rows that could not be kept.", MetricType::Counter,
           readings.ledger_lost_rows, families);
    Append("aib_ledger_queue_depth", "Ledger rows that wait to be written.", MetricType::Gauge,
           readings.ledger_queue_depth, families);
    Append("aib_ledger_spooled_rows_total",
           "Ledger rows that were put aside on disk while the database was away.",
           MetricType::Counter, readings.ledger_spooled_rows, families);
    Append("aib_spans_dropped_total",
           "Spans that no collector got: the queue was full, or it refused them.",
           MetricType::Counter, readings.spans_dropped, families);
    Append("aib_cache_bytes", "Bytes that the answer cache holds.", MetricType::Gauge,
           readings.cache_bytes, families);
    return families;
  }

 private:
  static void Append(const char* name, const char* help, prometheus::MetricType type,
                     const std::function<int64_t()>& read,
                     std::vector<prometheus::MetricFamily>& families) {
    if (!read) return;
    prometheus::ClientMetric metric;
    const auto value = static_cast<double>(read());
    if (type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families.push_back({name, help, type, {std::move(metric)}});
  }
};

Metrics::Named::Named(CounterFamily& family, const std::string& label,
                      const std::vector<std::string>& names, prometheus::Labels others) {
  for (const std::string& name : names) {
    others[label] = name;
    by_name_[name] = &family.Add(others);
  }
  others[label] = kOther;
  other_ = &family.Add(others);
}

Counter& Metrics::Named::Of(absl::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? *other_ : *found->second;
}

Metrics::Metrics(const Options& options)
    : registry_(std::make_shared<prometheus::Registry>()),
      readings_(std::make_shared<ReadingsCollector>()) {
  AddRpcs(options.rpcs);
  AddModels(options.models);
  AddEvents(options);
}

Metrics::~Metrics() = default;

Metrics::CounterFamily& Metrics::AddCounters(const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_);
}

void Metrics::AddRpcs(const std::vector<std::string>& rpcs) {
  auto& ended = AddCounters("aib_server_requests_total", "RPCs that ended, by the gRPC code.");
  auto& seconds = prometheus::BuildHistogram()
                      .Name("aib_server_request_seconds")
                      .Help("Seconds from an RPC's arrival to its end.")
                      .Register(*registry_);
  auto& in_flight = prometheus::BuildGauge()
                        .Name("aib_server_requests_in_flight")
                        .Help("RPCs under way.")
                        .Register(*registry_);
  auto& errors = AddCounters("aib_server_errors_total", "RPCs that failed, by the reason.");

  std::array<bool, 17> codes{};
  codes[0] = true;
  errors_.resize(v1::Error::Reason_ARRAYSIZE);
  for (int i = 0; i < v1::Error::Reason_ARRAYSIZE; ++i) {
    if (!v1::Error::Reason_IsValid(i)) continue;
    const auto reason = static_cast<v1::Error::Reason>(i);
    errors_[i] = &errors.Add({{"reason", ReasonName(reason)}});
    codes[MappingOf(reason).code()] = true;
  }

  std::vector<std::string> names = {kOther};
  names.insert(names.end(), rpcs.begin(), rpcs.end());
  for (const std::string& name : names) {
    auto row = std::make_unique<RpcRow>();
    for (size_t code = 0; code < codes.size(); ++code) {
      if (!codes[code]) continue;
      row->ended[code] = &ended.Add({{"rpc", name}, {"status", CodeName(static_cast<int>(code))}});
    }
    row->seconds = &seconds.Add({{"rpc", name}}, RequestBuckets());
    row->in_flight = &in_flight.Add({{"rpc", name}});
    rpc_by_name_[name] = row.get();
    rpcs_.push_back(std::move(row));
  }
}

void Metrics::AddModels(const std::vector<Model>& models) {
  const auto histogram = [this](const char* name, const char* help) {
    return &prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_);
  };
  auto* const tokens = histogram("gen_ai_client_token_usage", "Tokens of calls of model servers.");
  auto* const call = histogram("gen_ai_client_operation_duration_seconds",
                               "Seconds that calls of model servers took.");
  auto* const answer = histogram("gen_ai_server_request_duration_seconds",
                                 "Seconds that answers took, over all attempts.");
  auto* const first = histogram("gen_ai_server_time_to_first_token_seconds",
                                "Seconds from an answer's beginning to its first token.");
  auto* const each = histogram("gen_ai_server_time_per_output_token_seconds",
                               "Seconds for each token of an answer after the first.");
  auto& cost = AddCounters("aib_cost_nano_usd_total",
                           "Thousand-millionths of a US dollar that answers have cost.");

  const auto make = [&](const Model& model) {
    const prometheus::Labels labels = {{"gen_ai_operation_name", OperationName(model.operation)},
                                       {"gen_ai_request_model", model.id},
                                       {"gen_ai_provider_name", model.provider}};
    const auto of_type = [&labels](const char* type) {
      prometheus::Labels with_type = labels;
      with_type["gen_ai_token_type"] = type;
      return with_type;
    };
    auto row = std::make_unique<ModelRow>();
    row->input_tokens = &tokens->Add(of_type("input"), TokenBuckets());
    row->output_tokens = &tokens->Add(of_type("output"), TokenBuckets());
    row->call_seconds = &call->Add(labels, DurationBuckets());
    row->answer_seconds = &answer->Add(labels, DurationBuckets());
    if (model.operation == Operation::kChat) {
      row->first_token_seconds = &first->Add(labels, FirstTokenBuckets());
      row->output_token_seconds = &each->Add(labels, OutputTokenBuckets());
    }
    row->cost = &cost.Add({{"model", model.id}});  // of both operations, if a model has both
    return row;
  };
  for (const Operation operation : {Operation::kChat, Operation::kEmbeddings})
    models_[static_cast<size_t>(operation)].other = make({kOther, kOther, operation});
  for (const Model& model : models)
    models_[static_cast<size_t>(model.operation)].by_id[model.id] = make(model);
}

void Metrics::AddEvents(const Options& options) {
  auto& limited = AddCounters("aib_limited_total", "Requests that a limit refused, or would have.");
  limited_ = {Named(limited, "limit", options.limits, {{"mode", "enforce"}}),
              Named(limited, "limit", options.limits, {{"mode", "shadow"}})};
  auto& jobs = AddCounters("aib_jobs_total", "Jobs that ended.");
  jobs_ = {Named(jobs, "kind", options.job_kinds, {{"status", "SUCCEEDED"}}),
           Named(jobs, "kind", options.job_kinds, {{"status", "FAILED"}}),
           Named(jobs, "kind", options.job_kinds, {{"status", "CANCELLED"}})};
  guardrail_ = Named(AddCounters("aib_guardrail_total", "What guardrails did."), "action",
                     options.guardrail_actions);
  auth_failures_ = Named(
      AddCounters("aib_auth_failures_total", "Calls that brought no right to be made."), "reason",
      {ReasonName(Reason::KEY_REQUIRED), ReasonName(Reason::KEY_INVALID),
       ReasonName(Reason::SCOPE_MISSING)});
  auto& cache = AddCounters("aib_cache_total", "Requests that the answer cache was asked about.");
  cache_ = {&cache.Add({{"result", "exact"}}), &cache.Add({{"result", "semantic"}}),
            &cache.Add({{"result", "miss"}})};
}

const Metrics::RpcRow& Metrics::RpcOf(absl::string_view rpc) const {
  const auto found = rpc_by_name_.find(rpc);
  return found == rpc_by_name_.end() ? *rpcs_.front() : *found->second;
}

const Metrics::ModelRow& Metrics::ModelOf(Operation operation, absl::string_view model) const {
  const ModelRows& rows = models_[static_cast<size_t>(operation)];
  const auto found = rows.by_id.find(model);
  return found == rows.by_id.end() ? *rows.other : *found->second;
}

void Metrics::RequestBegan(const RpcRow& rpc) {
  rpc.in_flight->Increment();
}

void Metrics::RequestEnded(const RpcRow& rpc, const absl::Status& status, absl::Duration duration) {
  rpc.in_flight->Decrement();
  rpc.seconds->Observe(absl::ToDoubleSeconds(duration));
  if (status.ok()) return rpc.ended[0]->Increment();
  const v1::Error::Reason reason = ReasonOf(status);
  rpc.ended[MappingOf(reason).code()]->Increment();
  errors_[reason]->Increment();
}

void Metrics::AnswerEnded(const ModelRow& model, const Answer& answer) {
  model.answer_seconds->Observe(absl::ToDoubleSeconds(answer.duration));
  if (!answer.first_token || !model.first_token_seconds) return;
  model.first_token_seconds->Observe(absl::ToDoubleSeconds(*answer.first_token));
  if (answer.output_tokens < 2) return;
  const absl::Duration rest = answer.duration - *answer.first_token;
  model.output_token_seconds->Observe(absl::ToDoubleSeconds(rest) /
                                      static_cast<double>(answer.output_tokens - 1));
}

void Metrics::UpstreamCallEnded(const ModelRow& model, absl::Duration duration,
                                absl::optional<int64_t> input_tokens,
                                absl::optional<int64_t> output_tokens) {
  model.call_seconds->Observe(absl::ToDoubleSeconds(duration));
  if (input_tokens) model.input_tokens->Observe(static_cast<double>(*input_tokens));
  if (output_tokens) model.output_tokens->Observe(static_cast<double>(*output_tokens));
}

void Metrics::Spent(const ModelRow& model, NanoUsd cost) {
  if (cost.value > 0) model.cost->Increment(static_cast<double>(cost.value));
}

void Metrics::Limited(absl::string_view limit, LimitAction action) {
  limited_[static_cast<size_t>(action)].Of(limit).Increment();
}

void Metrics::AuthFailed(const absl::Status& status) {
  auth_failures_.Of(ReasonName(ReasonOf(status))).Increment();
}

void Metrics::CacheAsked(CacheResult result) {
  cache_[static_cast<size_t>(result)]->Increment();
}

void Metrics::GuardrailActed(absl::string_view action) {
  guardrail_.Of(action).Increment();
}

void Metrics::JobEnded(absl::string_view kind, JobEnd end) {
  jobs_[static_cast<size_t>(end)].Of(kind).Increment();
}

void Metrics::Read(Readings readings) {
  readings_->readings = std::move(readings);
}

std::vector<std::shared_ptr<prometheus::Collectable>> Metrics::collectables() const {
  return {registry_, readings_};
}

}  // namespace aibackend::telemetry
