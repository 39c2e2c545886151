#include "gateway/transcode/unary_call.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include "gateway/transcode/error.h"
#include "gateway/transcode/metadata.h"

namespace aibackend::gateway {
namespace {

// Lives until the call is done, by the callback that holds it.
struct UnaryCall {
  UnaryCall(PreparedCall p, std::unique_ptr<UnaryFormat> f)
      : prepared(std::move(p)), format(std::move(f)) {}

  void Finish(const grpc::Status& status);

  PreparedCall prepared;
  const std::unique_ptr<UnaryFormat> format;
  grpc::ByteBuffer response;
};

void UnaryCall::Finish(const grpc::Status& status) {
  const auto respond = [this](HttpAnswer answer) {
    for (auto& header : AnswerHeaders(prepared.context->GetServerInitialMetadata()))
      answer.headers.push_back(std::move(header));
    prepared.exchange->Respond(answer.status, std::move(answer.headers), std::move(answer.body));
  };
  if (!status.ok()) return respond(format->Error(ApiErrorOf(status), prepared.request_id));

  const std::unique_ptr<google::protobuf::Message> message(
      prepared.route.response_prototype->New());
  std::optional<HttpAnswer> answer;
  if (grpc::SerializationTraits<google::protobuf::Message>::Deserialize(&response, message.get())
          .ok())
    answer = format->Answer(*message);
  if (answer) return respond(*std::move(answer));
  respond(format->Error(MakeApiError(Reason::INTERNAL, "the server's answer could not be read"),
                        prepared.request_id));
}

}  // namespace

void StartUnaryCall(PreparedCall prepared, std::unique_ptr<UnaryFormat> format,
                    Upstream& upstream) {
  auto call = std::make_shared<UnaryCall>(std::move(prepared), std::move(format));
  UnaryCall& borrowed = *call;
  borrowed.prepared.exchange->WhenClientGone([weak = std::weak_ptr<UnaryCall>(call)] {
    if (const auto alive = weak.lock()) alive->prepared.context->TryCancel();
  });
  upstream.Unary(borrowed.prepared.context.get(), borrowed.prepared.route.grpc_method,
                 &borrowed.prepared.request, &borrowed.response,
                 [call = std::move(call)](const grpc::Status& status) { call->Finish(status); });
}

}  // namespace aibackend::gateway
