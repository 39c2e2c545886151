// Embed and CountTokens.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

grpc::ServerUnaryReactor* StartEmbed(Core& core, grpc::CallbackServerContext& context,
                                     const v1::EmbedRequest& request, v1::EmbedResponse* response);

grpc::ServerUnaryReactor* CountTokens(Core& core, grpc::CallbackServerContext& context,
                                      const v1::ChatRequest& request,
                                      v1::CountTokensResponse* response);

}  // namespace aibackend::rpc
