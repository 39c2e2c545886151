#include "gateway/transcode/observed_exchange.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gateway/transcode/log.h"

namespace aibackend::gateway {
namespace {

constexpr int kClientClosedRequest = 499;  // as the table's CANCELLED

// The caller's place in its trace. Two of them are none, as the specification has it.
std::string CallersTraceparent(const httplib::Request& request) {
  constexpr char kTraceparent[] = "traceparent";
  return request.get_header_value_count(kTraceparent) == 1 ? request.get_header_value(kTraceparent)
                                                           : std::string();
}

// OpenTelemetry's names of methods: whatever else a client makes up is one.
absl::string_view MethodOf(const httplib::Request& request) {
  static constexpr std::array<absl::string_view, 9> kKnown = {
      "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"};
  const auto* const found = std::find(kKnown.begin(), kKnown.end(), request.method);
  return found == kKnown.end() ? "_OTHER" : *found;
}

}  // namespace

ObservedExchange::ObservedExchange(std::shared_ptr<Exchange> inner, std::string request_id,
                                   const RouteMetrics& metrics, LiveCount& live,
                                   const otlp::Tracer& tracer)
    : inner_(std::move(inner)),
      request_id_(std::move(request_id)),
      metrics_(metrics),
      live_(live),
      started_(absl::Now()),
      span_(tracer.Start("HTTP", CallersTraceparent(inner_->request()), otlp::SpanKind::kServer)) {
  live_.Add();
  metrics_.in_flight->Increment();
  if (span_.is_recording()) BeginSpan();
}

ObservedExchange::~ObservedExchange() {
  if (status_ == 0) status_ = 500;
  Observe("dropped");
  inner_.reset();  // the edge's own goes first: whoever waits for none may then take all away
  live_.Remove();
}

void ObservedExchange::Respond(int status, HeaderList headers, std::string body) {
  headers.emplace_back("x-request-id", request_id_);
  status_ = status;
  bytes_ = body.size();
  Observe("complete");  // before the client can ask /metrics about it
  inner_->Respond(status, std::move(headers), std::move(body));
}

void ObservedExchange::Begin(int status, HeaderList headers) {
  headers.emplace_back("x-request-id", request_id_);
  status_ = status;
  inner_->Begin(status, std::move(headers));
}

bool ObservedExchange::Write(std::string data) {
  bytes_ += data.size();
  return inner_->Write(std::move(data));
}

void ObservedExchange::End() {
  Observe("complete");
  inner_->End();
}

void ObservedExchange::Abort() {
  Observe("aborted");
  inner_->Abort();
}

void ObservedExchange::WhenPendingAtMost(size_t bytes, std::function<void()> callback) {
  inner_->WhenPendingAtMost(bytes, std::move(callback));
}

void ObservedExchange::WhenClientGone(std::function<void()> callback) {
  inner_->WhenClientGone(std::move(callback));
}

void ObservedExchange::After(absl::Duration delay, std::function<void()> callback) {
  inner_->After(delay, std::move(callback));
}

// Names and values by OpenTelemetry's conventions for HTTP servers, but that url.path is the route:
// what stands in the raw one may be a document's or a person's.
void ObservedExchange::BeginSpan() {
  const absl::string_view method = MethodOf(inner_->request());
  span_.SetText("http.request.method", method);
  span_.SetText("aibackend.request_id", request_id_);
  if (!metrics_.is_matched) return span_.Rename(std::string(method));
  span_.Rename(absl::StrCat(method, " ", metrics_.route));
  span_.SetText("http.route", metrics_.route);
  span_.SetText("url.path", metrics_.route);
}

void ObservedExchange::EndSpan() {
  span_.SetInt("http.response.status_code", status_);
  if (status_ >= 500) {
    span_.SetText("error.type", absl::StrCat(status_));
    span_.Fail("");
  }
  span_.End();
}

void ObservedExchange::Observe(const char* ending) {
  if (observed_.exchange(true)) return;
  metrics_.in_flight->Decrement();
  if (inner_->client_gone()) {
    status_ = kClientClosedRequest;
    ending = "client gone";
  }
  const absl::Duration duration = absl::Now() - started_;
  metrics_.Count(status_, duration);
  if (span_.is_recording()) EndSpan();
  LogRequest({metrics_.method, metrics_.route, status_, duration, bytes_, ending, request_id_,
              span_.context().TraceIdHex()});
}

}  // namespace aibackend::gateway
