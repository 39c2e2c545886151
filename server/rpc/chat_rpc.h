// Chat and ChatStream.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

grpc::ServerUnaryReactor* StartChat(Core& core, grpc::CallbackServerContext& context,
                                    const v1::ChatRequest& request, v1::ChatResponse* response);

grpc::ServerWriteReactor<v1::ChatStreamEvent>* StartChatStream(Core& core,
                                                               grpc::CallbackServerContext& context,
                                                               const v1::ChatRequest& request);

}  // namespace aibackend::rpc
