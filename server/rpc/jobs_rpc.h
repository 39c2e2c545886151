// Background jobs.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

grpc::ServerUnaryReactor* StartJob(Core& core, grpc::CallbackServerContext& context,
                                   const v1::StartJobRequest& request, v1::Job* response);
grpc::ServerUnaryReactor* GetJob(Core& core, grpc::CallbackServerContext& context,
                                 const v1::GetJobRequest& request, v1::Job* response);
grpc::ServerUnaryReactor* ListJobs(Core& core, grpc::CallbackServerContext& context,
                                   const v1::ListJobsRequest& request,
                                   v1::ListJobsResponse* response);

}  // namespace aibackend::rpc
