// /openapi.json: the REST side of the contract as OpenAPI 3.0.3, made of the route table and of the
// proto's comments at start. A new RPC is in it without a line here.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "gateway/transcode/route_table.h"

namespace aibackend::gateway {

absl::StatusOr<std::string> MakeOpenApi(const RouteTable& routes,
                                        absl::string_view file_descriptor_set);

}  // namespace aibackend::gateway
