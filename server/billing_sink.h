// Where the settings say that usage is billed. A part of the composition root.
#pragma once

#include <functional>
#include <string>

#include "server/net/http_client.h"
#include "server/tasks/billing_sink.h"

namespace aibackend {

// Posts each event as Stripe takes meter events (docs.stripe.com/api/billing/meter-event/create):
// a form of event_name, timestamp, identifier, payload[stripe_customer_id] and payload[value].
// Thread-safe.
//
// 2xx is accepted, and so is 400 or 409 that says that the identifier already exists. Errors:
// UPSTREAM_RATE_LIMITED (429), UPSTREAM_UNAVAILABLE (5xx, 408, any other 409) and those of the
// connection may pass, with Retry-After where the answer has one in seconds; anything else is
// UPSTREAM_REJECTED_REQUEST, with the upstream's message.
class StripeMeterSink final : public tasks::BillingSink {
 public:
  struct Options {
    std::string url;         // the whole of it: https://api.stripe.com/v1/billing/meter_events
    std::string key;         // secret: never logged; empty: no Authorization
    std::string event_name;  // of the meter
    net::HttpTimeouts timeouts;
  };

  // The client outlives it, and what was sent.
  StripeMeterSink(net::HttpClient& client, Options options);

  void Send(const tasks::BillingEvent& event, std::function<void(absl::Status)> on_done) override;

 private:
  net::HttpClient& client_;
  const Options options_;
};

}  // namespace aibackend
