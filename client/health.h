// The standard health check, without its proto, which Debian's gRPC does not install.
#pragma once

#include <memory>
#include <string>

#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

namespace aibackend::client {

// Calls grpc.health.v1.Health/Check for `service` and blocks for its answer: `serving` is true for
// SERVING (github.com/grpc/grpc/blob/master/doc/health-checking.md). An answer that can't be read
// is INTERNAL.
grpc::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service,
                         grpc::ClientContext* context, bool& serving);

}  // namespace aibackend::client
