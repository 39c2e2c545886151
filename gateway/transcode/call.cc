#include "gateway/transcode/call.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/transcode/contract_format.h"
#include "gateway/transcode/error.h"
#include "gateway/transcode/metadata.h"
#include "gateway/transcode/stream_call.h"
#include "gateway/transcode/unary_call.h"

namespace aibackend::gateway {
namespace {

// Of the two forms of a stream a client may name one; events are what it gets otherwise.
bool WantsPlainText(const httplib::Request& request) {
  const std::string accept = absl::AsciiStrToLower(request.get_header_value("Accept"));
  return absl::StrContains(accept, "text/plain") && !absl::StrContains(accept, "text/event-stream");
}

std::optional<ApiError> Prepare(const google::protobuf::Message& request,
                                const CallOptions& options, bool is_resumable,
                                PreparedCall& prepared) {
  prepared.context->set_deadline(absl::ToChronoTime(absl::Now() + options.timeout));
  if (auto refused = ForwardHeaders(prepared.exchange->request(), prepared.request_id,
                                    prepared.exchange->traceparent(), is_resumable,
                                    options.needs_key, *prepared.context))
    return refused;
  if (request.ByteSizeLong() > static_cast<size_t>(kMessageBytesMax))
    return MakeApiError(
        Reason::REQUEST_TOO_LARGE,
        absl::StrCat("as a message the request has more than ", kMessageBytesMax, " bytes"));
  bool own_buffer = false;
  if (!grpc::SerializationTraits<google::protobuf::Message>::Serialize(request, &prepared.request,
                                                                       &own_buffer)
           .ok())
    return MakeApiError(Reason::INTERNAL, "the request could not be passed on");
  return std::nullopt;
}

}  // namespace

void StartCall(std::shared_ptr<Exchange> exchange, const Route& route,
               const google::protobuf::Message& request, const std::string& request_id,
               const CallOptions& options, Upstream& upstream) {
  CallFormats formats;
  formats.has_event_ids = true;
  if (!route.method->server_streaming()) {
    formats.unary = MakeContractFormat(route);
  } else if (route.is_raw_body) {
    formats.stream = MakeRawBodyFormat(route);
  } else if (WantsPlainText(exchange->request())) {
    formats.stream = MakePlainTextFormat(route);
  } else {
    formats.stream = MakeEventStreamFormat(route);
  }
  StartCall(std::move(exchange), route, request, request_id, std::move(formats), options, upstream);
}

void StartCall(std::shared_ptr<Exchange> exchange, const Route& route,
               const google::protobuf::Message& request, const std::string& request_id,
               CallFormats formats, const CallOptions& options, Upstream& upstream) {
  PreparedCall prepared{std::move(exchange), route, request_id, upstream.NewContext(), {}};
  ErrorFormat& errors = formats.unary ? static_cast<ErrorFormat&>(*formats.unary) : *formats.stream;
  if (const auto refused = Prepare(request, options, formats.has_event_ids, prepared)) {
    HttpAnswer answer = errors.Error(*refused, request_id);
    return prepared.exchange->Respond(answer.status, std::move(answer.headers),
                                      std::move(answer.body));
  }
  if (formats.unary) {
    StartUnaryCall(std::move(prepared), std::move(formats.unary), upstream);
  } else {
    StartStreamCall(std::move(prepared), std::move(formats.stream), options, upstream);
  }
}

}  // namespace aibackend::gateway
