// One message in, one out.
#pragma once

#include <memory>
#include <string>

#include "gateway/http/edge.h"
#include "gateway/transcode/answer_format.h"
#include "gateway/transcode/route_table.h"
#include "gateway/transcode/upstream.h"

namespace aibackend::gateway {

// What every call has ready before it starts.
struct PreparedCall {
  std::shared_ptr<Exchange> exchange;
  const Route& route;
  std::string request_id;
  Upstream::Context context;  // with deadline and metadata
  grpc::ByteBuffer request;
};

void StartUnaryCall(PreparedCall prepared, std::unique_ptr<UnaryFormat> format, Upstream& upstream);

}  // namespace aibackend::gateway
