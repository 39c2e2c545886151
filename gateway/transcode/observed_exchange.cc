#include "gateway/transcode/observed_exchange.h"

#include <spdlog/spdlog.h>

#include "absl/strings/escaping.h"
#include "absl/time/clock.h"

namespace aibackend::gateway {
namespace {

constexpr int kClientClosedRequest = 499;  // as the table's CANCELLED

}  // namespace

ObservedExchange::ObservedExchange(std::shared_ptr<Exchange> inner, std::string request_id,
                                   const RouteMetrics& metrics, LiveCount& live)
    : inner_(std::move(inner)),
      request_id_(std::move(request_id)),
      metrics_(metrics),
      live_(live),
      started_(absl::Now()) {
  live_.Add();
  metrics_.in_flight->Increment();
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

void ObservedExchange::Observe(const char* ending) {
  if (observed_.exchange(true)) return;
  metrics_.in_flight->Decrement();
  if (inner_->client_gone()) {
    status_ = kClientClosedRequest;
    ending = "client gone";
  }
  const absl::Duration duration = absl::Now() - started_;
  metrics_.Count(status_, duration);
  // A client's mistakes are no concern of the operator's; what the service failed at may be.
  spdlog::log(status_ >= 500 ? spdlog::level::warn : spdlog::level::info,
              "method={} route={} status={} ms={:.1f} bytes={} ending=\"{}\" request_id=\"{}\"",
              metrics_.method, metrics_.route, status_, absl::ToDoubleMilliseconds(duration),
              bytes_, ending, absl::CEscape(request_id_));
}

}  // namespace aibackend::gateway
