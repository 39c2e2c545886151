// Someone else's API over the contract.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/http/edge.h"
#include "gateway/transcode/answer_format.h"
#include "gateway/transcode/call.h"
#include "gateway/transcode/route_table.h"
#include "gateway/transcode/upstream.h"

namespace aibackend::gateway {

// What a dialect calls with. All of it outlives the dialect.
struct DialectContext {
  const RouteTable& routes;
  Upstream& upstream;
  const CallOptions& options;
};

// A request on one of a dialect's paths, to be answered now or later.
struct DialectRequest {
  std::shared_ptr<Exchange> exchange;
  std::string request_id;
  std::string rest;  // of a path that ends in "/", what stood behind it, percent-decoded
};

struct DialectRoute {
  std::string http_method;
  std::string path;     // "/v1/messages"; one that ends in "/" stands for all below it
  std::string summary;  // one line, for the reference page
  // Runs on an I/O thread: must not block.
  std::function<void(DialectRequest)> handle;
};

// Thread-safe.
class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual const std::vector<DialectRoute>& routes() const = 0;
  // An error in this dialect's shape: also for what the gateway refuses on its paths by itself.
  virtual HttpAnswer Error(const ApiError& error, const std::string& request_id) const = 0;
};

std::unique_ptr<Dialect> MakeOpenAiDialect(const DialectContext& context);
std::unique_ptr<Dialect> MakeAnthropicDialect(const DialectContext& context);

}  // namespace aibackend::gateway
