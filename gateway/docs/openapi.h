// /openapi.json: the REST side of the contract as OpenAPI 3.0.3, made of the route table and of the
// proto's comments at start. A new RPC is in it without a line here.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/transcode/route_table.h"

namespace aibackend::gateway {

// A path of somebody else's API, whose bodies are described there and not here.
struct DialectOperation {
  std::string http_method;
  std::string path;  // one that ends in "/" stands for all below it
  std::string summary;
};

// Where a dialect answers on a path of the contract too, its summary joins what stands there.
absl::StatusOr<std::string> MakeOpenApi(const RouteTable& routes,
                                        absl::string_view file_descriptor_set,
                                        const std::vector<DialectOperation>& dialects = {});

}  // namespace aibackend::gateway
