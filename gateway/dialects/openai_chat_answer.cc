#include "gateway/dialects/openai_chat_answer.h"

#include "absl/strings/str_cat.h"
#include "gateway/dialects/openai_errors.h"
#include "gateway/dialects/openai_json.h"
#include "gateway/transcode/json_writer.h"
#include "gateway/transcode/sse.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::DynamicCastToGenerated;
using google::protobuf::Message;

std::string UsageJson(const v1::Usage& usage) {
  return ObjectWriter()
      .Number("prompt_tokens", usage.prompt_tokens())
      .Number("completion_tokens", usage.completion_tokens())
      .Number("total_tokens", usage.total_tokens())
      .Raw("prompt_tokens_details",
           ObjectWriter().Number("cached_tokens", usage.cached_tokens()).Text())
      .Raw("completion_tokens_details",
           ObjectWriter().Number("reasoning_tokens", usage.reasoning_tokens()).Text())
      .Text();
}

std::string ChoiceLogprobs(const TokenLogprobs& logprobs) {
  if (logprobs.empty()) return "null";
  return ObjectWriter().Raw("content", LogprobsJson(logprobs)).Raw("refusal", "null").Text();
}

ObjectWriter Begin(const AnswerHead& head, absl::string_view object) {
  ObjectWriter writer;
  writer.String("id", absl::StrCat("chatcmpl-", head.id)).String("object", object);
  writer.Number("created", head.created).String("model", head.model);
  return writer;
}

std::string MessageJson(const v1::ChatResponse& response) {
  std::vector<std::string> calls;
  for (const v1::ToolCall& call : response.tool_calls()) {
    const std::string function =
        ObjectWriter().String("name", call.name()).String("arguments", call.arguments()).Text();
    calls.push_back(ObjectWriter()
                        .String("id", call.id())
                        .String("type", "function")
                        .Raw("function", function)
                        .Text());
  }
  const bool only_calls = !calls.empty() && response.response().empty();
  ObjectWriter message;
  message.String("role", "assistant");
  message.Raw("content", only_calls ? "null" : Quoted(response.response()));
  message.Raw("refusal", "null");
  if (!response.reasoning().empty()) message.String("reasoning_content", response.reasoning());
  if (!calls.empty()) message.Raw("tool_calls", ListText(calls));
  return message.Text();
}

class ChatCompletion final : public UnaryFormat {
 public:
  explicit ChatCompletion(AnswerHead head) : head_(std::move(head)) {}

  std::optional<HttpAnswer> Answer(const Message& message) override {
    const auto* response = DynamicCastToGenerated<v1::ChatResponse>(&message);
    if (response == nullptr) return std::nullopt;
    const auto citations = CitationsJson(*response);
    if (!citations) return std::nullopt;
    // An idempotent replay has the id of the first.
    if (!response->id().empty()) head_.id = response->id();
    if (!response->model().empty()) head_.model = response->model();
    const std::string choice = ObjectWriter()
                                   .Number("index", 0)
                                   .Raw("message", MessageJson(*response))
                                   .Raw("logprobs", ChoiceLogprobs(response->logprobs()))
                                   .String("finish_reason", response->finish_reason())
                                   .Text();
    ObjectWriter body = Begin(head_, "chat.completion");
    body.Raw("choices", ListText({choice})).Raw("usage", UsageJson(response->usage()));
    if (!citations->empty()) body.Raw("citations", *citations);
    return HttpAnswer{200, {{"Content-Type", "application/json"}}, body.Text()};
  }
  HttpAnswer Error(const ApiError& error, const std::string& /*request_id*/) override {
    return OpenAiError(error, ChatParam);
  }

 private:
  AnswerHead head_;
};

class ChatChunks final : public StreamFormat {
 public:
  ChatChunks(AnswerHead head, bool include_usage)
      : head_(std::move(head)),
        include_usage_(include_usage),
        tail_(include_usage ? ",\"usage\":null}\n\n" : "}\n\n") {
    Prepare();
  }

  HttpAnswer Head() override { return {200, SseHeaders(), {}}; }
  std::optional<std::string> Event(const Message& message) override;
  std::optional<std::string> End() override;
  std::optional<std::string> ErrorEvent(const ApiError& error, const std::string&) override {
    return absl::StrCat("data: {\"error\":", OpenAiErrorObject(error, ChatParam), "}\n\n");
  }
  HttpAnswer Error(const ApiError& error, const std::string&) override {
    return OpenAiError(error, ChatParam);
  }
  absl::string_view Heartbeat() override { return kSseHeartbeat; }

 private:
  void Prepare();
  void AppendRole(std::string& out);
  // A chunk with a text of the delta, by hand, as there is one for every token.
  void AppendText(absl::string_view name, absl::string_view text, const TokenLogprobs& logprobs,
                  std::string& out);
  void AppendToolCall(const v1::ToolCallDelta& piece, std::string& out);
  std::string UsageChunk() const;

  AnswerHead head_;
  const bool include_usage_;
  const std::string tail_;
  std::string start_;  // of a chunk, up to its delta
  bool has_role_ = false;
  std::optional<v1::ChatResponse> done_;
};

void ChatChunks::Prepare() {
  start_ = absl::StrCat("data: {", Begin(head_, "chat.completion.chunk").Members(),
                        ",\"choices\":[{\"index\":0,\"delta\":");
}

void ChatChunks::AppendRole(std::string& out) {
  if (has_role_) return;
  has_role_ = true;
  absl::StrAppend(&out, start_, "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}",
                  ",\"logprobs\":null,\"finish_reason\":null}]", tail_);
}

void ChatChunks::AppendText(absl::string_view name, absl::string_view text,
                            const TokenLogprobs& logprobs, std::string& out) {
  out.reserve(out.size() + start_.size() + text.size() + tail_.size() + 80);
  absl::StrAppend(&out, start_, "{\"", name, "\":");
  AppendJsonString(text, out);
  if (logprobs.empty()) {
    out += "},\"logprobs\":null";
  } else {
    absl::StrAppend(&out, "},\"logprobs\":", ChoiceLogprobs(logprobs));
  }
  absl::StrAppend(&out, ",\"finish_reason\":null}]", tail_);
}

void ChatChunks::AppendToolCall(const v1::ToolCallDelta& piece, std::string& out) {
  absl::StrAppend(&out, start_, "{\"tool_calls\":[{\"index\":", piece.index());
  if (!piece.id().empty())
    absl::StrAppend(&out, ",\"id\":", Quoted(piece.id()), ",\"type\":\"function\"");
  out += ",\"function\":{";
  if (!piece.name().empty()) absl::StrAppend(&out, "\"name\":", Quoted(piece.name()), ",");
  out += "\"arguments\":";
  AppendJsonString(piece.arguments(), out);
  absl::StrAppend(&out, "}}]},\"logprobs\":null,\"finish_reason\":null}]", tail_);
}

std::optional<std::string> ChatChunks::Event(const Message& message) {
  const auto* event = DynamicCastToGenerated<v1::ChatStreamEvent>(&message);
  if (event == nullptr) return std::nullopt;
  std::string out;
  switch (event->event_case()) {
    case v1::ChatStreamEvent::kDelta:
      AppendRole(out);
      AppendText("content", event->delta(), event->logprobs(), out);
      break;
    case v1::ChatStreamEvent::kReasoning:
      AppendRole(out);
      AppendText("reasoning_content", event->reasoning(), {}, out);
      break;
    case v1::ChatStreamEvent::kToolCall:
      AppendRole(out);
      AppendToolCall(event->tool_call(), out);
      break;
    case v1::ChatStreamEvent::kDone:
      done_ = event->done();
      break;
    case v1::ChatStreamEvent::EVENT_NOT_SET:  // of a newer server
      break;
  }
  return out;
}

std::string ChatChunks::UsageChunk() const {
  ObjectWriter chunk = Begin(head_, "chat.completion.chunk");
  chunk.Raw("choices", "[]").Raw("usage", UsageJson(done_->usage()));
  return absl::StrCat("data: ", chunk.Text(), "\n\n");
}

std::optional<std::string> ChatChunks::End() {
  if (!done_) return std::nullopt;
  const auto citations = CitationsJson(*done_);
  if (!citations) return std::nullopt;
  if (!done_->model().empty() && done_->model() != head_.model) {
    head_.model = done_->model();
    Prepare();
  }
  std::string out;
  AppendRole(out);
  absl::StrAppend(&out, start_,
                  "{},\"logprobs\":null,\"finish_reason\":", Quoted(done_->finish_reason()), "}]");
  if (!citations->empty()) absl::StrAppend(&out, ",\"citations\":", *citations);
  out += tail_;
  if (include_usage_) out += UsageChunk();
  return out + "data: [DONE]\n\n";
}

}  // namespace

std::unique_ptr<UnaryFormat> MakeChatCompletion(AnswerHead head) {
  return std::make_unique<ChatCompletion>(std::move(head));
}

std::unique_ptr<StreamFormat> MakeChatChunks(AnswerHead head, bool include_usage) {
  return std::make_unique<ChatChunks>(std::move(head), include_usage);
}

}  // namespace aibackend::gateway
