#include "absl/time/time.h"
#include "aibackend/v1/models.pb.h"
#include "gateway/dialects/dialect.h"
#include "gateway/dialects/openai_chat_answer.h"
#include "gateway/dialects/openai_chat_request.h"
#include "gateway/dialects/openai_embeddings.h"
#include "gateway/dialects/openai_errors.h"
#include "gateway/dialects/openai_models.h"
#include "gateway/dialects/openai_responses_answer.h"
#include "gateway/dialects/openai_responses_request.h"
#include "gateway/dialects/openai_responses_stream.h"

namespace aibackend::gateway {
namespace {

class OpenAiDialect final : public Dialect {
 public:
  explicit OpenAiDialect(const DialectContext& context) : context_(context) {
    Add("POST", "/v1/chat/completions",
        "OpenAI's chat completions, whole or streamed. The model \"docs/<model>\" answers from the "
        "stored documents; so does any with the header x-aibackend-retrieval: on or strict, in "
        "the collection that x-aibackend-collection names",
        &OpenAiDialect::Chat);
    Add("POST", "/v1/responses",
        "OpenAI's Responses API, whole or streamed, without its store. Documents as in chat "
        "completions",
        &OpenAiDialect::Responses);
    Add("POST", "/v1/embeddings", "OpenAI's embeddings, of texts", &OpenAiDialect::Embeddings);
    Add("GET", "/v1/models",
        "The models and their aliases, as OpenAI's and Anthropic's APIs list them, and in `models` "
        "as the contract does. Each chat model can also be named \"docs/<model>\"",
        &OpenAiDialect::Models);
    Add("GET", "/v1/models/", "One model, by its id or an alias", &OpenAiDialect::OneModel);
  }

  const std::vector<DialectRoute>& routes() const override { return routes_; }
  HttpAnswer Error(const ApiError& error, const std::string& /*request_id*/) const override {
    return OpenAiError(error, SameParam);
  }

 private:
  using Method = void (OpenAiDialect::*)(DialectRequest) const;

  void Add(const char* http_method, const char* path, const char* summary, Method method) {
    routes_.push_back({http_method, path, summary, [this, method](DialectRequest request) {
                         (this->*method)(std::move(request));
                       }});
  }

  void Chat(DialectRequest request) const;
  void Responses(DialectRequest request) const;
  void Embeddings(DialectRequest request) const;
  void Models(DialectRequest request) const;
  void OneModel(DialectRequest request) const;

  AnswerHead HeadOf(const DialectRequest& request, const std::string& model) const {
    return {request.request_id, absl::ToUnixSeconds(context_.options.now()), model};
  }
  static void Refuse(const DialectRequest& request, const ApiError& error) {
    HttpAnswer answer = OpenAiError(error, SameParam);  // what is refused here has its own names
    request.exchange->Respond(answer.status, std::move(answer.headers), std::move(answer.body));
  }
  void Call(DialectRequest request, const char* rpc, const google::protobuf::Message& message,
            CallFormats formats) const {
    StartCall(std::move(request.exchange), *context_.routes.OfMethod(rpc), message,
              request.request_id, std::move(formats), context_.options, context_.upstream);
  }

  const DialectContext context_;
  std::vector<DialectRoute> routes_;
};

void OpenAiDialect::Chat(DialectRequest request) const {
  OpenAiChat chat;
  if (const auto refused = ReadOpenAiChat(request.exchange->request(), chat))
    return Refuse(request, *refused);
  AnswerHead head = HeadOf(request, chat.request.model());
  if (chat.stream)
    return Call(std::move(request), "ChatStream", chat.request,
                {nullptr, MakeChatChunks(std::move(head), chat.include_usage)});
  Call(std::move(request), "Chat", chat.request, {MakeChatCompletion(std::move(head)), nullptr});
}

void OpenAiDialect::Responses(DialectRequest request) const {
  OpenAiResponses asked;
  if (const auto refused = ReadOpenAiResponses(request.exchange->request(), asked))
    return Refuse(request, *refused);
  AnswerHead head = HeadOf(request, asked.request.model());
  if (asked.stream)
    return Call(std::move(request), "ChatStream", asked.request,
                {nullptr, MakeResponseEvents(std::move(head), std::move(asked.echo))});
  Call(std::move(request), "Chat", asked.request,
       {MakeResponse(std::move(head), std::move(asked.echo)), nullptr});
}

void OpenAiDialect::Embeddings(DialectRequest request) const {
  OpenAiEmbeddings embeddings;
  if (const auto refused = ReadOpenAiEmbeddings(request.exchange->request().body, embeddings))
    return Refuse(request, *refused);
  Call(std::move(request), "Embed", embeddings.request,
       {MakeEmbeddingList(embeddings.base64), nullptr});
}

void OpenAiDialect::Models(DialectRequest request) const {
  Call(std::move(request), "ListModels", v1::ListModelsRequest(), {MakeModelList(), nullptr});
}

void OpenAiDialect::OneModel(DialectRequest request) const {
  std::string id = std::move(request.rest);
  Call(std::move(request), "ListModels", v1::ListModelsRequest(),
       {MakeModelEntry(std::move(id)), nullptr});
}

}  // namespace

std::unique_ptr<Dialect> MakeOpenAiDialect(const DialectContext& context) {
  return std::make_unique<OpenAiDialect>(context);
}

}  // namespace aibackend::gateway
