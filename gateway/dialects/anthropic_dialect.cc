// Anthropic's Messages API (docs.anthropic.com/en/api/messages): /v1/messages, whole and streamed,
// and /v1/messages/count_tokens. Their SDKs work with the gateway's root as their base URL.
#include <utility>

#include "gateway/dialects/anthropic_answer.h"
#include "gateway/dialects/anthropic_errors.h"
#include "gateway/dialects/anthropic_request.h"
#include "gateway/dialects/dialect.h"
#include "gateway/dialects/retrieval_choice.h"

namespace aibackend::gateway {
namespace {

class AnthropicDialect final : public Dialect {
 public:
  explicit AnthropicDialect(const DialectContext& context)
      : context_(context),
        chat_(*context.routes.OfMethod("Chat")),
        chat_stream_(*context.routes.OfMethod("ChatStream")),
        count_tokens_(*context.routes.OfMethod("CountTokens")),
        routes_({{"POST", "/v1/messages", "Anthropic's Messages API: an answer, whole or streamed",
                  [this](DialectRequest request) {
                    Answer(AnthropicPath::kMessages, std::move(request));
                  }},
                 {"POST", "/v1/messages/count_tokens",
                  "Anthropic's Messages API: how many tokens a request has",
                  [this](DialectRequest request) {
                    Answer(AnthropicPath::kCountTokens, std::move(request));
                  }}}) {}

  const std::vector<DialectRoute>& routes() const override { return routes_; }
  HttpAnswer Error(const ApiError& error, const std::string& request_id) const override {
    return AnthropicErrorAnswer(error, request_id);
  }

 private:
  void Answer(AnthropicPath path, DialectRequest asked) const;

  const DialectContext context_;
  const Route& chat_;
  const Route& chat_stream_;
  const Route& count_tokens_;
  const std::vector<DialectRoute> routes_;
};

void AnthropicDialect::Answer(AnthropicPath path, DialectRequest asked) const {
  const httplib::Request& http = asked.exchange->request();
  AnthropicRequest request;
  auto refused = ReadAnthropicRequest(http.body, path, request);
  const std::string model = request.chat.model();
  if (!refused) refused = ChooseRetrieval(http, request.chat);
  if (refused) {
    HttpAnswer answer = AnthropicErrorAnswer(*refused, asked.request_id);
    return asked.exchange->Respond(answer.status, std::move(answer.headers),
                                   std::move(answer.body));
  }
  AnthropicAsked known{asked.request_id, model, std::move(request.origins)};
  CallFormats formats;
  const Route* route = &chat_;
  if (path == AnthropicPath::kCountTokens) {
    route = &count_tokens_;
    formats.unary = MakeAnthropicTokenCount(std::move(known));
  } else if (request.stream) {
    route = &chat_stream_;
    formats.stream = MakeAnthropicStream(std::move(known));
  } else {
    formats.unary = MakeAnthropicMessage(std::move(known));
  }
  StartCall(std::move(asked.exchange), *route, request.chat, asked.request_id, std::move(formats),
            context_.options, context_.upstream);
}

}  // namespace

std::unique_ptr<Dialect> MakeAnthropicDialect(const DialectContext& context) {
  return std::make_unique<AnthropicDialect>(context);
}

}  // namespace aibackend::gateway
