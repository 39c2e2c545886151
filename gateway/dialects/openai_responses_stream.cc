#include "gateway/dialects/openai_responses_stream.h"

#include "absl/strings/str_cat.h"
#include "gateway/dialects/openai_errors.h"
#include "gateway/dialects/openai_json.h"
#include "gateway/dialects/openai_responses_answer.h"
#include "gateway/transcode/json_writer.h"
#include "gateway/transcode/sse.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Message;
using Kind = OutputItem::Kind;

class ResponseEvents final : public StreamFormat {
 public:
  ResponseEvents(AnswerHead head, std::string echo)
      : head_(std::move(head)), echo_(std::move(echo)) {}

  HttpAnswer Head() override { return {200, SseHeaders(), {}}; }
  std::optional<std::string> Event(const Message& message) override;
  std::optional<std::string> End() override;
  std::optional<std::string> ErrorEvent(const ApiError& error, const std::string&) override;
  HttpAnswer Error(const ApiError& error, const std::string&) override {
    return OpenAiError(error, ResponsesParam);
  }
  absl::string_view Heartbeat() override { return kSseHeartbeat; }

 private:
  // An event up to its own members, which the caller appends, beginning with a comma, and "}\n\n".
  void AppendStart(absl::string_view type, std::string& out);
  void Append(absl::string_view type, absl::string_view members, std::string& out);
  void AppendCreated(std::string& out);
  // A piece of an item's text, by hand, as there is one for every token.
  void AppendDelta(absl::string_view type, size_t index, absl::string_view text, std::string& out);
  // The item that text of this kind belongs to: the open one, or a new one behind it.
  size_t TextItem(Kind kind, std::string& out);
  size_t CallItem(const v1::ToolCallDelta& piece, std::string& out);
  size_t AddItem(OutputItem item, std::string& out);
  // A call's pieces may come between those of another, so that calls stay open until the end.
  void CloseText(absl::string_view status, std::string& out);
  void CloseItem(size_t index, absl::string_view status, std::string& out);

  AnswerHead head_;
  const std::string echo_;
  int64_t sequence_ = 0;
  bool created_ = false;
  std::vector<OutputItem> items_;
  std::vector<std::string> places_;            // of each item: ,"item_id":…,"output_index":…
  std::optional<size_t> open_text_;            // a message or reasoning, as an index into items_
  std::vector<std::pair<int, size_t>> calls_;  // the contract's index, and that into items_
  std::optional<v1::ChatResponse> done_;
};

void ResponseEvents::AppendStart(absl::string_view type, std::string& out) {
  absl::StrAppend(&out, "event: ", type, "\ndata: {\"type\":\"", type,
                  "\",\"sequence_number\":", sequence_++);
}

void ResponseEvents::Append(absl::string_view type, absl::string_view members, std::string& out) {
  AppendStart(type, out);
  absl::StrAppend(&out, members, "}\n\n");
}

void ResponseEvents::AppendCreated(std::string& out) {
  if (created_) return;
  created_ = true;
  ResponseState state;
  state.status = "in_progress";
  const std::string members =
      absl::StrCat(",\"response\":", *ResponseJson(head_, echo_, state));  // no citations yet
  Append("response.created", members, out);
  Append("response.in_progress", members, out);
}

void ResponseEvents::AppendDelta(absl::string_view type, size_t index, absl::string_view text,
                                 std::string& out) {
  out.reserve(out.size() + places_[index].size() + text.size() + 192);
  AppendStart(type, out);
  absl::StrAppend(&out, places_[index], ",\"delta\":");
  AppendJsonString(text, out);
  items_[index].text.append(text.data(), text.size());
}

size_t ResponseEvents::AddItem(OutputItem item, std::string& out) {
  const size_t index = items_.size();
  item.id = OutputItemId(item.kind, head_.id, index);
  const std::string place = absl::StrCat(",\"output_index\":", index);
  Append("response.output_item.added",
         absl::StrCat(place, ",\"item\":", OutputItemJson(item, "in_progress", false)), out);
  places_.push_back(absl::StrCat(",\"item_id\":", Quoted(item.id), place));
  items_.push_back(std::move(item));
  return index;
}

size_t ResponseEvents::TextItem(Kind kind, std::string& out) {
  if (open_text_ && items_[*open_text_].kind == kind) return *open_text_;
  CloseText("completed", out);
  OutputItem item;
  item.kind = kind;
  const size_t index = AddItem(std::move(item), out);
  open_text_ = index;
  places_[index] += ",\"content_index\":0";
  Append("response.content_part.added",
         absl::StrCat(places_[index], ",\"part\":", ContentPartJson(kind, "", "[]")), out);
  return index;
}

size_t ResponseEvents::CallItem(const v1::ToolCallDelta& piece, std::string& out) {
  for (const auto& [number, index] : calls_) {
    if (number == piece.index()) return index;
  }
  CloseText("completed", out);
  OutputItem item;
  item.kind = Kind::kFunctionCall;
  item.call_id = piece.id();
  item.name = piece.name();
  calls_.emplace_back(piece.index(), AddItem(std::move(item), out));
  return calls_.back().second;
}

void ResponseEvents::CloseText(absl::string_view status, std::string& out) {
  if (!open_text_) return;
  const size_t index = *open_text_;
  open_text_.reset();
  CloseItem(index, status, out);
}

void ResponseEvents::CloseItem(size_t index, absl::string_view status, std::string& out) {
  const OutputItem& item = items_[index];
  const std::string& place = places_[index];
  const std::string text = Quoted(item.text);
  if (item.kind == Kind::kFunctionCall) {
    Append("response.function_call_arguments.done",
           absl::StrCat(place, ",\"name\":", Quoted(item.name), ",\"arguments\":", text), out);
  } else {
    if (item.kind == Kind::kReasoning) {
      Append("response.reasoning_text.done", absl::StrCat(place, ",\"text\":", text), out);
    } else {
      Append("response.output_text.done",
             absl::StrCat(place, ",\"logprobs\":", item.logprobs, ",\"text\":", text), out);
    }
    const std::string part = ContentPartJson(item.kind, item.text, item.logprobs);
    Append("response.content_part.done", absl::StrCat(place, ",\"part\":", part), out);
  }
  Append(
      "response.output_item.done",
      absl::StrCat(",\"output_index\":", index, ",\"item\":", OutputItemJson(item, status, true)),
      out);
}

// Puts the elements of one JSON list at the end of another.
void Extend(std::string& list, const std::string& more) {
  list.pop_back();
  if (list.size() > 1) list += ',';
  list.append(more, 1);
}

std::optional<std::string> ResponseEvents::Event(const Message& message) {
  const auto* event = google::protobuf::DynamicCastToGenerated<v1::ChatStreamEvent>(&message);
  if (event == nullptr) return std::nullopt;
  std::string out;
  switch (event->event_case()) {
    case v1::ChatStreamEvent::kDelta: {
      AppendCreated(out);
      const size_t index = TextItem(Kind::kMessage, out);
      AppendDelta("response.output_text.delta", index, event->delta(), out);
      if (event->logprobs().empty()) {
        out += ",\"logprobs\":[]}\n\n";
        break;
      }
      const std::string logprobs = LogprobsJson(event->logprobs());
      Extend(items_[index].logprobs, logprobs);
      absl::StrAppend(&out, ",\"logprobs\":", logprobs, "}\n\n");
      break;
    }
    case v1::ChatStreamEvent::kReasoning: {
      AppendCreated(out);
      const size_t index = TextItem(Kind::kReasoning, out);
      AppendDelta("response.reasoning_text.delta", index, event->reasoning(), out);
      out += "}\n\n";
      break;
    }
    case v1::ChatStreamEvent::kToolCall: {
      AppendCreated(out);
      const size_t index = CallItem(event->tool_call(), out);
      if (event->tool_call().arguments().empty()) break;
      AppendDelta("response.function_call_arguments.delta", index, event->tool_call().arguments(),
                  out);
      out += "}\n\n";
      break;
    }
    case v1::ChatStreamEvent::kDone:
      done_ = event->done();
      break;
    case v1::ChatStreamEvent::EVENT_NOT_SET:  // of a newer server
      break;
  }
  return out;
}

std::optional<std::string> ResponseEvents::End() {
  if (!done_) return std::nullopt;
  std::string out;
  AppendCreated(out);
  if (items_.empty()) TextItem(Kind::kMessage, out);
  ResponseState state;
  state.status = std::string(ResponseStatus(*done_));
  const auto status_of = [&](size_t index) {
    return index + 1 == items_.size() ? absl::string_view(state.status) : "completed";
  };
  for (const auto& [number, index] : calls_) CloseItem(index, status_of(index), out);
  if (open_text_) CloseText(status_of(*open_text_), out);
  state.items = std::move(items_);
  state.done = &*done_;
  const auto response = ResponseJson(head_, echo_, state);
  if (!response) return std::nullopt;
  Append(absl::StrCat("response.", state.status), absl::StrCat(",\"response\":", *response), out);
  return out;
}

std::optional<std::string> ResponseEvents::ErrorEvent(const ApiError& error, const std::string&) {
  std::string out;
  AppendCreated(out);
  ResponseState state;
  state.status = "failed";
  state.items = std::move(items_);
  const std::string code = Quoted(OpenAiErrorCode(error));
  const std::string message = Quoted(error.message);
  state.error = ObjectWriter().Raw("code", code).Raw("message", message).Text();
  if (const auto response = ResponseJson(head_, echo_, state))
    Append("response.failed", absl::StrCat(",\"response\":", *response), out);
  // The documented members, and `error`, which is what the SDKs look for.
  Append("error",
         absl::StrCat(",\"code\":", code, ",\"message\":", message,
                      ",\"param\":null,\"error\":", OpenAiErrorObject(error, ResponsesParam)),
         out);
  return out;
}

}  // namespace

std::unique_ptr<StreamFormat> MakeResponseEvents(AnswerHead head, std::string echo) {
  return std::make_unique<ResponseEvents>(std::move(head), std::move(echo));
}

}  // namespace aibackend::gateway
