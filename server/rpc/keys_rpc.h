// The methods of AiBackendAdmin on keys, limits and quotas.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

grpc::ServerUnaryReactor* CreateKey(Core& core, grpc::CallbackServerContext& context,
                                    const v1::CreateKeyRequest& request,
                                    v1::CreateKeyResponse* response);
grpc::ServerUnaryReactor* ListKeys(Core& core, grpc::CallbackServerContext& context,
                                   const v1::ListKeysRequest& request,
                                   v1::ListKeysResponse* response);
grpc::ServerUnaryReactor* GetKey(Core& core, grpc::CallbackServerContext& context,
                                 const v1::GetKeyRequest& request, v1::ApiKey* response);
grpc::ServerUnaryReactor* UpdateKey(Core& core, grpc::CallbackServerContext& context,
                                    const v1::UpdateKeyRequest& request, v1::ApiKey* response);
grpc::ServerUnaryReactor* RotateKey(Core& core, grpc::CallbackServerContext& context,
                                    const v1::RotateKeyRequest& request,
                                    v1::CreateKeyResponse* response);
grpc::ServerUnaryReactor* RevokeKey(Core& core, grpc::CallbackServerContext& context,
                                    const v1::RevokeKeyRequest& request,
                                    v1::RevokeKeyResponse* response);
grpc::ServerUnaryReactor* SetLimits(Core& core, grpc::CallbackServerContext& context,
                                    const v1::SubjectLimits& request, v1::SubjectLimits* response);
grpc::ServerUnaryReactor* ListLimits(Core& core, grpc::CallbackServerContext& context,
                                     const v1::ListLimitsRequest& request,
                                     v1::ListLimitsResponse* response);
grpc::ServerUnaryReactor* GetQuota(Core& core, grpc::CallbackServerContext& context,
                                   const v1::GetQuotaRequest& request, v1::Quota* response);

}  // namespace aibackend::rpc
