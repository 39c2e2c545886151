// Calls over a real gRPC channel to a FakeBackend, answered to a FakeExchange.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "aibackend/v1/chat.pb.h"
#include "gateway/transcode/call.h"
#include "tests/unit/gateway/fake_backend.h"
#include "tests/unit/gateway/fake_exchange.h"

namespace aibackend::gateway {

class CallTest : public testing::Test {
 protected:
  void Start(const std::string& path) {
    const auto found = table_.Find("POST", path);
    StartCall(exchange_, *found.route, v1::ChatRequest(), "req_1", options_, upstream_);
  }

  FakeBackend backend_;
  Upstream upstream_{{backend_.channel()}};
  const RouteTable table_ = *RouteTable::Build(ContractServices());
  CallOptions options_;
  std::shared_ptr<FakeExchange> exchange_ = std::make_shared<FakeExchange>();
};

// Blocks until the call's client has left; false after ten seconds.
inline bool WaitUntilCancelled(grpc::ServerContext* context) {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!context->IsCancelled()) {
    if (absl::Now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace aibackend::gateway
