#include "gateway/dialects/openai_responses_answer.h"

#include "absl/strings/str_cat.h"
#include "gateway/dialects/openai_errors.h"
#include "gateway/dialects/openai_json.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Message;
using Kind = OutputItem::Kind;

std::string UsageJson(const v1::Usage& usage) {
  return ObjectWriter()
      .Number("input_tokens", usage.prompt_tokens())
      .Raw("input_tokens_details",
           ObjectWriter().Number("cached_tokens", usage.cached_tokens()).Text())
      .Number("output_tokens", usage.completion_tokens())
      .Raw("output_tokens_details",
           ObjectWriter().Number("reasoning_tokens", usage.reasoning_tokens()).Text())
      .Number("total_tokens", usage.total_tokens())
      .Text();
}

std::string IncompleteJson(const v1::ChatResponse* done) {
  if (done == nullptr || ResponseStatus(*done) != "incomplete") return "null";
  const bool is_filtered = done->finish_reason() == "content_filter";
  return ObjectWriter()
      .String("reason", is_filtered ? "content_filter" : "max_output_tokens")
      .Text();
}

std::vector<OutputItem> ItemsOf(const v1::ChatResponse& response, const std::string& answer_id) {
  std::vector<OutputItem> items;
  const auto add = [&](Kind kind, const std::string& text) -> OutputItem& {
    items.emplace_back();
    items.back().kind = kind;
    items.back().id = OutputItemId(kind, answer_id, items.size() - 1);
    items.back().text = text;
    return items.back();
  };
  if (!response.reasoning().empty()) add(Kind::kReasoning, response.reasoning());
  if (!response.response().empty() || response.tool_calls().empty())
    add(Kind::kMessage, response.response()).logprobs = LogprobsJson(response.logprobs());
  for (const v1::ToolCall& call : response.tool_calls()) {
    OutputItem& item = add(Kind::kFunctionCall, call.arguments());
    item.call_id = call.id();
    item.name = call.name();
  }
  return items;
}

std::string OutputJson(const ResponseState& state) {
  const char* last = state.status == "completed" ? "completed" : "incomplete";
  std::vector<std::string> output;
  output.reserve(state.items.size());
  for (const OutputItem& item : state.items)
    output.push_back(OutputItemJson(item, &item == &state.items.back() ? last : "completed", true));
  return ListText(output);
}

std::string OutputText(const ResponseState& state) {
  std::string text;
  for (const OutputItem& item : state.items) {
    if (item.kind == Kind::kMessage) text += item.text;
  }
  return text;
}

class WholeResponse final : public UnaryFormat {
 public:
  WholeResponse(AnswerHead head, std::string echo)
      : head_(std::move(head)), echo_(std::move(echo)) {}

  std::optional<HttpAnswer> Answer(const Message& message) override {
    const auto* response = google::protobuf::DynamicCastToGenerated<v1::ChatResponse>(&message);
    if (response == nullptr) return std::nullopt;
    if (!response->id().empty()) head_.id = response->id();  // of the first, for a replay
    ResponseState state;
    state.status = std::string(ResponseStatus(*response));
    state.items = ItemsOf(*response, head_.id);
    state.done = response;
    auto body = ResponseJson(head_, echo_, state);
    if (!body) return std::nullopt;
    return HttpAnswer{200, {{"Content-Type", "application/json"}}, *std::move(body)};
  }
  HttpAnswer Error(const ApiError& error, const std::string& /*request_id*/) override {
    return OpenAiError(error, ResponsesParam);
  }

 private:
  AnswerHead head_;
  const std::string echo_;
};

}  // namespace

std::string OutputItemId(Kind kind, const std::string& answer_id, size_t index) {
  const char* prefix = kind == Kind::kMessage ? "msg_" : kind == Kind::kReasoning ? "rs_" : "fc_";
  return absl::StrCat(prefix, answer_id, "_", index);
}

std::string ContentPartJson(Kind kind, absl::string_view text, absl::string_view logprobs) {
  ObjectWriter part;
  if (kind == Kind::kReasoning)
    return part.String("type", "reasoning_text").String("text", text).Text();
  part.String("type", "output_text").Raw("annotations", "[]").Raw("logprobs", logprobs);
  return part.String("text", text).Text();
}

std::string OutputItemJson(const OutputItem& item, absl::string_view status, bool with_content) {
  ObjectWriter writer;
  writer.String("id", item.id);
  const auto content = [&] {
    return with_content ? ListText({ContentPartJson(item.kind, item.text, item.logprobs)}) : "[]";
  };
  switch (item.kind) {
    case Kind::kReasoning:
      writer.String("type", "reasoning").Raw("summary", "[]").Raw("content", content());
      break;
    case Kind::kMessage:
      writer.String("type", "message").String("role", "assistant").Raw("content", content());
      break;
    case Kind::kFunctionCall:
      writer.String("type", "function_call").String("call_id", item.call_id);
      writer.String("name", item.name).String("arguments", with_content ? item.text : "");
      break;
  }
  return writer.String("status", status).Text();
}

absl::string_view ResponseStatus(const v1::ChatResponse& done) {
  const bool is_cut = done.finish_reason() == "length" || done.finish_reason() == "content_filter";
  return is_cut ? "incomplete" : "completed";
}

std::optional<std::string> ResponseJson(const AnswerHead& head, absl::string_view echo,
                                        const ResponseState& state) {
  const v1::ChatResponse* done = state.done;
  const auto citations = done ? CitationsJson(*done) : std::string();
  if (!citations) return std::nullopt;
  const bool has_model = done && !done->model().empty();
  ObjectWriter writer;
  writer.String("id", absl::StrCat("resp_", head.id)).String("object", "response");
  writer.Number("created_at", head.created).String("status", state.status);
  writer.Raw("error", state.error).Raw("incomplete_details", IncompleteJson(done));
  writer.String("model", has_model ? done->model() : head.model);
  writer.Raw("output", OutputJson(state)).String("output_text", OutputText(state));
  writer.Raw("usage", done ? UsageJson(done->usage()) : "null");
  if (!citations->empty()) writer.Raw("citations", *citations);
  return absl::StrCat("{", writer.Members(), ",", echo, "}");
}

std::unique_ptr<UnaryFormat> MakeResponse(AnswerHead head, std::string echo) {
  return std::make_unique<WholeResponse>(std::move(head), std::move(echo));
}

}  // namespace aibackend::gateway
