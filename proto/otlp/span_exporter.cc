#include "proto/otlp/span_exporter.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/grpcpp.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "proto/otlp/span_message.h"

namespace aibackend::otlp {
namespace {

namespace collector = opentelemetry::proto::collector::trace::v1;

constexpr absl::string_view kTls = "https://";
// A collector that restarts is found again within seconds; gRPC's own second that doubles to two
// minutes would fill the queue first.
constexpr int kReconnectFirstMs = 100;
constexpr int kReconnectMaxMs = 5'000;

absl::string_view WithoutScheme(absl::string_view endpoint) {
  if (!absl::ConsumePrefix(&endpoint, kTls)) absl::ConsumePrefix(&endpoint, "http://");
  absl::ConsumeSuffix(&endpoint, "/");
  return endpoint;
}

std::shared_ptr<grpc::Channel> MakeChannel(const ExporterOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetUserAgentPrefix(absl::StrCat(options.service_name, "/", options.service_version));
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);  // no TXT lookups for a config
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // http_proxy is meant for the web
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  const auto credentials = absl::StartsWith(options.endpoint, kTls)
                               ? grpc::SslCredentials(grpc::SslCredentialsOptions())
                               : grpc::InsecureChannelCredentials();
  return grpc::CreateCustomChannel(std::string(WithoutScheme(options.endpoint)), credentials,
                                   arguments);
}

// The wait that a collector asks for (google.rpc.RetryInfo); absent: it names none.
absl::optional<absl::Duration> RetryDelayOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return absl::nullopt;
  google::rpc::RetryInfo retry;
  for (const auto& detail : details.details()) {
    if (detail.UnpackTo(&retry))
      return absl::Seconds(retry.retry_delay().seconds()) +
             absl::Nanoseconds(retry.retry_delay().nanos());
  }
  return absl::nullopt;
}

// The specification's list, under "Failures" of OTLP/gRPC.
bool IsRetryable(const grpc::Status& status, bool names_delay) {
  switch (status.error_code()) {
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DATA_LOSS:
      return true;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return names_delay;
    default:
      return false;
  }
}

}  // namespace

absl::Status CheckEndpoint(absl::string_view endpoint) {
  const absl::string_view address = WithoutScheme(endpoint);
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon != absl::string_view::npos && colon > 0 &&
      absl::SimpleAtoi(address.substr(colon + 1), &port) && port > 0 && port <= 65535 &&
      !absl::StrContains(address, '/'))
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", endpoint,
                   "\" is no OTLP/gRPC endpoint: host:port, http://host:port or, with TLS, "
                   "https://host:port"));
}

// The sending thread's own.
class SpanExporter::Collector {
 public:
  explicit Collector(const ExporterOptions& options)
      : stub_(collector::TraceService::NewStub(MakeChannel(options))) {}

  collector::ExportTraceServiceRequest request;
  uint64_t spans = 0;  // of the request

  grpc::Status Export(grpc::ClientContext& context,
                      collector::ExportTraceServiceResponse& response) {
    return stub_->Export(&context, request, &response);
  }

 private:
  const std::unique_ptr<collector::TraceService::Stub> stub_;
};

absl::StatusOr<std::unique_ptr<SpanExporter>> SpanExporter::Start(ExporterOptions options) {
  if (absl::Status status = CheckEndpoint(options.endpoint); !status.ok()) return status;
  return std::unique_ptr<SpanExporter>(new SpanExporter(std::move(options)));
}

SpanExporter::SpanExporter(ExporterOptions options)
    : options_(std::move(options)),
      collector_(std::make_unique<Collector>(options_)),
      thread_([this] { Run(); }) {}

SpanExporter::~SpanExporter() {
  Stop();
  thread_.join();
}

void SpanExporter::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  stop_by_ = absl::Now() + options_.flush_max;
  // What has not begun by then sees it by itself.
  if (!mutex_.AwaitWithDeadline(absl::Condition(&done_), stop_by_) && running_)
    running_->TryCancel();
}

void SpanExporter::Take(SpanData span) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_ && queue_.size() + sending_ < options_.queued_max) {
      if (queue_.empty()) oldest_ = absl::Now();
      queue_.push_back(std::move(span));
      return;
    }
  }
  Drop(1);
}

void SpanExporter::Run() {
  while (LoadBatch()) SendBatch();
  absl::MutexLock lock(&mutex_);
  done_ = true;
}

bool SpanExporter::LoadBatch() {
  std::deque<SpanData> batch;
  {
    absl::MutexLock lock(&mutex_);
    sending_ = 0;
    const auto any = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stopping_ || !queue_.empty();
    };
    const auto full = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stopping_ || queue_.size() >= options_.batch_max;
    };
    mutex_.Await(absl::Condition(&any));
    mutex_.AwaitWithDeadline(absl::Condition(&full), oldest_ + options_.batch_wait);
    if (absl::Now() >= stop_by_) {
      Drop(queue_.size());
      queue_.clear();
    }
    if (queue_.empty()) return false;
    sending_ = std::min(queue_.size(), options_.batch_max);
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(sending_);
    batch.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
    queue_.erase(queue_.begin(), end);
    oldest_ = absl::Now();  // those that remain came about then
  }
  collector_->spans = batch.size();
  collector_->request =
      ExportRequestOf(options_.service_name, options_.service_version, std::move(batch));
  return true;
}

void SpanExporter::SendBatch() {
  absl::Duration wait = options_.retry_first;
  for (;;) {
    absl::Duration named = absl::ZeroDuration();
    const Sent sent = Call(&named);
    if (sent == Sent::kTaken) return;
    if (sent == Sent::kRefused || !WaitForRetry(std::max(wait, named)))
      return Drop(collector_->spans);
    wait = std::min(2 * wait, options_.retry_max);
  }
}

bool SpanExporter::WaitForRetry(absl::Duration wait) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return false;
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), wait);
  return true;
}

SpanExporter::Sent SpanExporter::Call(absl::Duration* retry_after) {
  grpc::ClientContext context;
  {
    absl::MutexLock lock(&mutex_);
    context.set_deadline(
        absl::ToChronoTime(std::min(absl::Now() + options_.call_timeout, stop_by_)));
    running_ = &context;
  }
  collector::ExportTraceServiceResponse response;
  const grpc::Status status = collector_->Export(context, response);
  {
    absl::MutexLock lock(&mutex_);
    running_ = nullptr;
  }
  Report(status);
  if (status.ok()) {
    const int64_t rejected = response.partial_success().rejected_spans();
    if (rejected > 0) Drop(std::min(static_cast<uint64_t>(rejected), collector_->spans));
    return Sent::kTaken;
  }
  const absl::optional<absl::Duration> named = RetryDelayOf(status);
  *retry_after = named.value_or(absl::ZeroDuration());
  return IsRetryable(status, named.has_value()) ? Sent::kLater : Sent::kRefused;
}

void SpanExporter::Report(const grpc::Status& status) {
  if (status.ok() == works_) return;
  works_ = status.ok();
  if (works_) return spdlog::info("spans are exported to {} again", options_.endpoint);
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  spdlog::warn("spans cannot be exported to {}: {} {}", options_.endpoint,
               absl::StatusCodeToString(code), status.error_message());
}

}  // namespace aibackend::otlp
