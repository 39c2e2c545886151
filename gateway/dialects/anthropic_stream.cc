#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/dialects/anthropic_answer.h"
#include "gateway/dialects/anthropic_errors.h"
#include "gateway/transcode/json_writer.h"
#include "gateway/transcode/sse.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Message;

constexpr char kPing[] = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
constexpr char kMessageStop[] = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
constexpr absl::string_view kDeltaEnd = "}}\n\n";

// What a delta event holds before its text, which is JSON's string: once for each block, as there
// is an event for every token.
std::string DeltaHead(int index, absl::string_view type, absl::string_view member) {
  return absl::StrCat("event: content_block_delta\n",
                      R"(data: {"type":"content_block_delta","index":)", index,
                      R"(,"delta":{"type":")", type, R"(",")", member, R"(":)");
}

void AppendDelta(absl::string_view head, absl::string_view text, std::string& out) {
  out.reserve(out.size() + head.size() + text.size() + 16);
  out.append(head.data(), head.size());
  AppendJsonString(text, out);
  out.append(kDeltaEnd.data(), kDeltaEnd.size());
}

class AnthropicStream final : public StreamFormat {
 public:
  explicit AnthropicStream(AnthropicAsked asked) : asked_(std::move(asked)) {}

  HttpAnswer Head() override {
    HeaderList headers = SseHeaders();
    headers.emplace_back(kAnthropicRequestIdHeader, asked_.request_id);
    return {200, std::move(headers), {}};
  }

  std::optional<std::string> Event(const Message& message) override {
    // Safe: the dialect makes this format for calls of ChatStream only.
    const auto& event = static_cast<const v1::ChatStreamEvent&>(message);
    std::string out;
    switch (event.event_case()) {
      case v1::ChatStreamEvent::kDelta:
        AddText(Block::kText, event.delta(), out);
        break;
      case v1::ChatStreamEvent::kReasoning:
        AddText(Block::kThinking, event.reasoning(), out);
        break;
      case v1::ChatStreamEvent::kToolCall:
        AddToolCall(event.tool_call(), out);
        break;
      case v1::ChatStreamEvent::kDone:
        if (!Close(event.done())) return std::nullopt;
        break;
      case v1::ChatStreamEvent::EVENT_NOT_SET:
        break;
    }
    return out;
  }

  std::optional<std::string> End() override { return std::move(end_); }
  std::optional<std::string> ErrorEvent(const ApiError& error,
                                        const std::string& request_id) override {
    return SseNamed("error",
                    AnthropicErrorJson(InAnthropicWords(error, asked_.origins), request_id));
  }
  HttpAnswer Error(const ApiError& error, const std::string& request_id) override {
    return AnthropicErrorAnswer(InAnthropicWords(error, asked_.origins), request_id);
  }
  absl::string_view Heartbeat() override { return kPing; }

 private:
  enum class Block { kNone, kThinking, kText, kTool };

  void StartMessage(std::string& out);
  // Ends the block that is open and begins the next with `content_block`, a JSON object.
  void StartBlock(Block block, absl::string_view content_block, std::string& out);
  void EndBlock(std::string& out);
  void AddText(Block block, absl::string_view text, std::string& out);
  void AddToolCall(const v1::ToolCallDelta& piece, std::string& out);
  // Prepares the end, which is held back until the call is OK. False: it can't be put as JSON.
  bool Close(const v1::ChatResponse& done);

  const AnthropicAsked asked_;
  bool started_ = false;
  Block open_ = Block::kNone;
  int index_ = -1;                         // of the block begun last
  std::string delta_head_;                 // of the block that is open, where it is no tool's
  std::map<int, std::string> tool_heads_;  // of every tool call so far, by its index
  std::optional<std::string> end_;
};

void AnthropicStream::StartMessage(std::string& out) {
  if (started_) return;
  started_ = true;
  out += "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":";
  AppendJsonString(AnthropicMessageId(asked_.request_id), out);
  out += R"(,"type":"message","role":"assistant","model":)";
  AppendJsonString(asked_.model, out);
  out += R"(,"content":[],"stop_reason":null,"stop_sequence":null,"usage":)";
  AppendAnthropicUsage({}, out);
  out += "}}\n\n";
}

void AnthropicStream::StartBlock(Block block, absl::string_view content_block, std::string& out) {
  StartMessage(out);
  EndBlock(out);
  open_ = block;
  ++index_;
  absl::StrAppend(&out, "event: content_block_start\n",
                  R"(data: {"type":"content_block_start","index":)", index_, R"(,"content_block":)",
                  content_block, "}\n\n");
}

void AnthropicStream::EndBlock(std::string& out) {
  if (open_ == Block::kNone) return;
  open_ = Block::kNone;
  absl::StrAppend(&out, "event: content_block_stop\n",
                  R"(data: {"type":"content_block_stop","index":)", index_, "}\n\n");
}

void AnthropicStream::AddText(Block block, absl::string_view text, std::string& out) {
  if (text.empty()) return;
  if (open_ != block) {
    const bool is_text = block == Block::kText;
    StartBlock(block,
               is_text ? R"({"type":"text","text":"","citations":null})"
                       : R"({"type":"thinking","thinking":"","signature":""})",
               out);
    delta_head_ = is_text ? DeltaHead(index_, "text_delta", "text")
                          : DeltaHead(index_, "thinking_delta", "thinking");
  }
  AppendDelta(delta_head_, text, out);
}

void AnthropicStream::AddToolCall(const v1::ToolCallDelta& piece, std::string& out) {
  const auto [head, is_new] = tool_heads_.try_emplace(piece.index());
  if (is_new) {
    std::string block = R"({"type":"tool_use","id":)";
    AppendJsonString(piece.id(), block);
    block += R"(,"name":)";
    AppendJsonString(piece.name(), block);
    block += R"(,"input":{}})";
    StartBlock(Block::kTool, block, out);
    head->second = DeltaHead(index_, "input_json_delta", "partial_json");
  }
  if (!piece.arguments().empty()) AppendDelta(head->second, piece.arguments(), out);
}

bool AnthropicStream::Close(const v1::ChatResponse& done) {
  std::string end;
  StartMessage(end);
  EndBlock(end);
  end += "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{";
  AppendAnthropicStop(done, !tool_heads_.empty(), end);
  end += R"(},"usage":)";
  AppendAnthropicUsage(done.usage(), end);
  if (!AppendCitations(done, end)) return false;
  absl::StrAppend(&end, "}\n\n", kMessageStop);
  end_ = std::move(end);
  return true;
}

}  // namespace

std::unique_ptr<StreamFormat> MakeAnthropicStream(AnthropicAsked asked) {
  return std::make_unique<AnthropicStream>(std::move(asked));
}

}  // namespace aibackend::gateway
