#include "gateway/transcode/unary_call.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include "gateway/transcode/error.h"
#include "gateway/transcode/json_writer.h"

namespace aibackend::gateway {
namespace {

// Lives until the call is done, by the callback that holds it.
struct UnaryCall {
  explicit UnaryCall(PreparedCall p) : prepared(std::move(p)) {}

  void Finish(const grpc::Status& status);

  PreparedCall prepared;
  grpc::ByteBuffer response;
};

void UnaryCall::Finish(const grpc::Status& status) {
  Exchange& exchange = *prepared.exchange;
  if (!status.ok()) return RespondError(exchange, ApiErrorOf(status), prepared.request_id);

  const std::unique_ptr<google::protobuf::Message> message(
      prepared.route.response_prototype->New());
  std::optional<std::string> json;
  if (grpc::SerializationTraits<google::protobuf::Message>::Deserialize(&response, message.get())
          .ok())
    json = MessageToJson(*message);
  if (!json)
    return RespondError(exchange,
                        MakeApiError(Reason::INTERNAL, "the server's answer could not be read"),
                        prepared.request_id);
  exchange.Respond(prepared.route.success_status, {{"Content-Type", "application/json"}},
                   *std::move(json));
}

}  // namespace

void StartUnaryCall(PreparedCall prepared, Upstream& upstream) {
  auto call = std::make_shared<UnaryCall>(std::move(prepared));
  UnaryCall& borrowed = *call;
  borrowed.prepared.exchange->WhenClientGone([weak = std::weak_ptr<UnaryCall>(call)] {
    if (const auto alive = weak.lock()) alive->prepared.context->TryCancel();
  });
  upstream.Unary(borrowed.prepared.context.get(), borrowed.prepared.route.grpc_method,
                 &borrowed.prepared.request, &borrowed.response,
                 [call = std::move(call)](const grpc::Status& status) { call->Finish(status); });
}

}  // namespace aibackend::gateway
