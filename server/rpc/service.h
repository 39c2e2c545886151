// The gRPC services: who is admitted, and a table of contents. Each method is in the file of its
// resource.
#pragma once

#include <memory>

#include "grpcpp/impl/service_type.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

// Thread-safe. The core outlives the services. (Their classes are not for headers: with a level of
// inheritance a method, each file that names one compiles 45 s longer under the sanitizers.)
std::unique_ptr<grpc::Service> MakeAiBackendService(Core& core);
std::unique_ptr<grpc::Service> MakeAiBackendAdminService(Core& core);

}  // namespace aibackend::rpc
