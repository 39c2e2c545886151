#include "server/rpc/answer_codec.h"

#include "aibackend/v1/chat.pb.h"
#include "server/rpc/convert_chat.h"

namespace aibackend::rpc {
namespace {

models::Citation ToCitation(const v1::Citation& citation) {
  models::Citation out;
  out.document_id = citation.document_id();
  out.chunk_id = citation.chunk_id();
  out.title = citation.title();
  out.source = citation.source();
  out.text = citation.text();
  out.start = static_cast<size_t>(citation.start());
  out.end = static_cast<size_t>(citation.end());
  out.number = citation.number();
  return out;
}

models::TokenLogprob ToLogprob(const v1::TokenLogprob& logprob) {
  models::TokenLogprob out;
  out.token = logprob.token();
  out.logprob = logprob.logprob();
  out.bytes.assign(logprob.bytes().begin(), logprob.bytes().end());
  for (const auto& other : logprob.top_logprobs()) out.top_logprobs.push_back(ToLogprob(other));
  return out;
}

chat::Answer ToAnswer(const v1::ChatResponse& response) {
  chat::Answer out;
  out.text = response.response();
  out.reasoning = response.reasoning();
  for (const auto& call : response.tool_calls()) {
    out.tool_calls.push_back({call.id(), call.name(), call.arguments()});
  }
  for (const auto& logprob : response.logprobs()) out.logprobs.push_back(ToLogprob(logprob));
  return out;
}

chat::TurnResult ToResult(const v1::ChatResponse& response) {
  chat::TurnResult out;
  out.answer = ToAnswer(response);
  out.model = response.model();
  out.finish_reason = response.finish_reason();
  out.stop_sequence = response.stop_sequence();
  out.outcome = response.outcome() == v1::ChatResponse::NO_CONTEXT ? models::Outcome::kNoContext
                                                                   : models::Outcome::kAnswered;
  for (const auto& citation : response.citations()) out.citations.push_back(ToCitation(citation));
  out.dropped_citations = response.dropped_citations();
  out.usage.prompt_tokens = response.usage().prompt_tokens();
  out.usage.completion_tokens = response.usage().completion_tokens();
  out.usage.estimated = response.usage().estimated();
  out.usage.cached_tokens = response.usage().cached_tokens();
  out.usage.reasoning_tokens = response.usage().reasoning_tokens();
  out.cost = NanoUsd{response.cost_nano_usd()};
  out.price_unknown = response.price_unknown();
  out.guardrails.assign(response.guardrails().begin(), response.guardrails().end());
  out.confidence = response.confidence();
  out.elapsed = absl::Milliseconds(response.response_time_ms());
  return out;
}

}  // namespace

chat::AnswerCodec MakeAnswerCodec() {
  chat::AnswerCodec codec;
  codec.encode = [](const chat::TurnResult& result, const std::string& request_id) {
    v1::ChatResponse response;
    FillWhole(result, request_id, &response);
    return response.SerializeAsString();
  };
  codec.decode = [](const std::string& bytes) -> absl::optional<chat::TurnResult> {
    v1::ChatResponse response;
    // Bytes that happen to parse are still not an answer without what every answer has.
    if (!response.ParseFromString(bytes) || response.id().empty()) return absl::nullopt;
    return ToResult(response);
  };
  return codec;
}

}  // namespace aibackend::rpc
