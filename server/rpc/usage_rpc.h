// The methods of AiBackendAdmin on the ledger, but for its export.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

grpc::ServerUnaryReactor* ListUsage(Core& core, grpc::CallbackServerContext& context,
                                    const v1::ListUsageRequest& request,
                                    v1::ListUsageResponse* response);
grpc::ServerUnaryReactor* SummarizeUsage(Core& core, grpc::CallbackServerContext& context,
                                         const v1::SummarizeUsageRequest& request,
                                         v1::UsageSummary* response);
grpc::ServerUnaryReactor* GetRequest(Core& core, grpc::CallbackServerContext& context,
                                     const v1::GetRequestRequest& request,
                                     v1::RequestView* response);

}  // namespace aibackend::rpc
