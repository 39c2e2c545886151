// ExportUsage.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

grpc::ServerWriteReactor<v1::BodyPiece>* StartUsageExport(Core& core,
                                                          grpc::CallbackServerContext& context,
                                                          const v1::ExportUsageRequest& request);

}  // namespace aibackend::rpc
