// SetPrice and ListPrices.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

grpc::ServerUnaryReactor* SetPrice(Core& core, grpc::CallbackServerContext& context,
                                   const v1::SetPriceRequest& request, v1::Price* response);
grpc::ServerUnaryReactor* ListPrices(Core& core, grpc::CallbackServerContext& context,
                                     const v1::ListPricesRequest& request,
                                     v1::ListPricesResponse* response);

void Fill(const usage::Price& price, v1::Price* out);

}  // namespace aibackend::rpc
