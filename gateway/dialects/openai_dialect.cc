#include "gateway/dialects/dialect.h"

namespace aibackend::gateway {
namespace {

class OpenAiDialect final : public Dialect {
 public:
  explicit OpenAiDialect(const DialectContext& context) : context_(context) {}
  const std::vector<DialectRoute>& routes() const override { return routes_; }
  HttpAnswer Error(const ApiError& error, const std::string& request_id) const override {
    return {error.http_status, ErrorHeaders(error), ErrorJson(error, request_id)};
  }

 private:
  const DialectContext context_;
  std::vector<DialectRoute> routes_;
};

}  // namespace

std::unique_ptr<Dialect> MakeOpenAiDialect(const DialectContext& context) {
  return std::make_unique<OpenAiDialect>(context);
}

}  // namespace aibackend::gateway
