// Where usage is billed, as far as this folder knows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace aibackend::tasks {

struct BillingEvent {
  std::string identifier;  // always the same for one request; the other side counts it once
  std::string customer;    // the tenant
  absl::Time at;
  int64_t value = 0;  // above 0
};

// Thread-safe.
class BillingSink {
 public:
  virtual ~BillingSink() = default;

  // Sends one event. `on_done` is called exactly once, on any thread, also before Send returns; it
  // doesn't block. OK: it was accepted, now or before. An error whose code is tried again (see
  // jobs::JobKind) may pass; any other can't without somebody's doing.
  virtual void Send(const BillingEvent& event, std::function<void(absl::Status)> on_done) = 0;
};

}  // namespace aibackend::tasks
