#include "server/models/anthropic_request.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/models/upstream_body.h"

namespace aibackend::models {
namespace {

constexpr absl::string_view kJsonObjectRule =
    "Answer with one JSON object and nothing else: no text around it and no code fence.";

// A piece of a message; one of these.
struct Block {
  absl::string_view text;
  const ContentPart* part = nullptr;  // a picture, or raw
  const ToolCall* call = nullptr;
  const ChatMessage* result = nullptr;  // of a tool
};

struct Turn {
  bool assistant = false;
  size_t results = 0;  // at the front of `blocks`
  std::vector<Block> blocks;
};

Block TextBlock(absl::string_view text) {
  Block block;
  block.text = text;
  return block;
}

void AddText(absl::string_view text, std::vector<Block>* blocks) {
  if (!absl::StripAsciiWhitespace(text).empty()) blocks->push_back(TextBlock(text));
}

void AddContent(const ChatMessage& message, std::vector<Block>* blocks) {
  if (message.parts.empty()) AddText(message.content, blocks);
  for (const ContentPart& part : message.parts) {
    if (part.kind == ContentPart::Kind::kText) {
      AddText(part.text, blocks);
    } else {
      blocks->emplace_back().part = &part;
    }
  }
}

void AddTo(Turn& turn, const ChatMessage& message) {
  if (message.role == Role::kTool) {
    Block block;
    block.result = &message;
    turn.blocks.insert(turn.blocks.begin() + static_cast<std::ptrdiff_t>(turn.results++), block);
    return;
  }
  AddContent(message, &turn.blocks);
  for (const ToolCall& call : message.tool_calls) turn.blocks.emplace_back().call = &call;
}

void WriteText(absl::string_view text, JsonWriter& json) {
  json.BeginObject().Name("type").String("text").Name("text").String(text).EndObject();
}

// "data:image/png;base64,…" in its two halves; false for any other URL.
bool SplitDataUrl(absl::string_view url, absl::string_view* media_type, absl::string_view* data) {
  const size_t comma = url.find(',');
  if (!absl::ConsumePrefix(&url, "data:") || comma == absl::string_view::npos) return false;
  const absl::string_view head = url.substr(0, url.find(','));
  if (!absl::EndsWith(head, ";base64")) return false;
  *media_type = head.substr(0, head.find(';'));
  *data = url.substr(head.size() + 1);
  return true;
}

void WriteImage(absl::string_view url, JsonWriter& json) {
  json.BeginObject().Name("type").String("image").Name("source").BeginObject().Name("type");
  absl::string_view media_type;
  absl::string_view data;
  if (SplitDataUrl(url, &media_type, &data)) {
    json.String("base64").Name("media_type").String(media_type).Name("data").String(data);
  } else {
    json.String("url").Name("url").String(url);
  }
  json.EndObject().EndObject();
}

void WriteCall(const ToolCall& call, JsonWriter& json) {
  json.BeginObject().Name("type").String("tool_use").Name("id").String(call.id);
  json.Name("name").String(call.name).Name("input");
  if (IsJsonObject(call.arguments)) {
    json.Raw(call.arguments);
  } else if (absl::StripAsciiWhitespace(call.arguments).empty()) {
    json.Raw("{}");
  } else {
    json.BeginObject().Name("arguments").String(call.arguments).EndObject();
  }
  json.EndObject();
}

void WriteContent(const std::vector<Block>& blocks, JsonWriter& json);

void WriteResult(const ChatMessage& result, JsonWriter& json) {
  std::vector<Block> blocks;
  AddContent(result, &blocks);
  json.BeginObject().Name("type").String("tool_result");
  json.Name("tool_use_id").String(result.tool_call_id);
  if (!blocks.empty()) WriteContent(blocks, json.Name("content"));
  json.EndObject();
}

void WriteBlock(const Block& block, JsonWriter& json) {
  if (block.result != nullptr) {
    WriteResult(*block.result, json);
  } else if (block.call != nullptr) {
    WriteCall(*block.call, json);
  } else if (block.part == nullptr) {
    WriteText(block.text, json);
  } else if (block.part->kind == ContentPart::Kind::kImage) {
    WriteImage(block.part->url, json);
  } else {
    json.Raw(block.part->text);
  }
}

void WriteContent(const std::vector<Block>& blocks, JsonWriter& json) {
  if (blocks.size() == 1 && !blocks[0].text.empty()) {
    json.String(blocks[0].text);
    return;
  }
  json.BeginArray();
  for (const Block& block : blocks) WriteBlock(block, json);
  json.EndArray();
}

// One text, its paragraphs with a blank line between, unless there are raw blocks in it.
void WriteSystem(const std::vector<Block>& blocks, UpstreamBody& body) {
  if (blocks.empty()) return;
  std::string text;
  for (const Block& block : blocks) {
    if (block.part != nullptr) return WriteContent(blocks, body.json().Name("system"));
    absl::StrAppend(&text, text.empty() ? "" : "\n\n", block.text);
  }
  body.json().Name("system").String(text);
}

void WriteMessages(const std::vector<ChatMessage>& messages, bool json_object_rule,
                   UpstreamBody& body) {
  std::vector<Block> system;
  std::vector<Turn> turns;
  for (const ChatMessage& message : messages) {
    if (message.role == Role::kSystem) {
      AddContent(message, &system);
      continue;
    }
    Turn turn;
    turn.assistant = message.role == Role::kAssistant;
    const bool goes_on = !turns.empty() && turns.back().assistant == turn.assistant;
    Turn& target = goes_on ? turns.back() : turn;
    AddTo(target, message);
    if (!goes_on && !turn.blocks.empty()) turns.push_back(std::move(turn));
  }
  if (json_object_rule) system.push_back(TextBlock(kJsonObjectRule));
  WriteSystem(system, body);
  JsonWriter& json = body.json().Name("messages").BeginArray();
  for (const Turn& turn : turns) {
    json.BeginObject().Name("role").String(turn.assistant ? "assistant" : "user");
    WriteContent(turn.blocks, json.Name("content"));
    json.EndObject();
  }
  json.EndArray();
}

void WriteTools(const std::vector<Tool>& tools, UpstreamBody& body) {
  if (tools.empty() || !body.Begin("tools")) return;
  JsonWriter& json = body.json().BeginArray();
  for (const Tool& tool : tools) {
    json.BeginObject().Name("name").String(tool.name);
    if (!tool.description.empty()) json.Name("description").String(tool.description);
    json.Name("input_schema");
    json.Raw(tool.parameters.empty() ? R"({"type":"object","properties":{}})" : tool.parameters);
    if (tool.strict) json.Name("strict").Bool(*tool.strict);
    json.EndObject();
  }
  json.EndArray();
}

const char* ChoiceName(ToolChoice::Mode mode) {
  switch (mode) {
    case ToolChoice::Mode::kNone:
      return "none";
    case ToolChoice::Mode::kRequired:
      return "any";
    case ToolChoice::Mode::kTool:
      return "tool";
    case ToolChoice::Mode::kAuto:
      break;
  }
  return "auto";
}

void WriteChoice(const GenerateRequest& request, UpstreamBody& body) {
  const bool one_by_one = body.TakeExtra("parallel_tool_calls") == "false";
  if (request.tools.empty() || (!request.tool_choice && !one_by_one)) return;
  if (!body.Begin("tool_choice")) return;
  const ToolChoice choice = request.tool_choice.value_or(ToolChoice());
  JsonWriter& json = body.json().BeginObject().Name("type").String(ChoiceName(choice.mode));
  if (choice.mode == ToolChoice::Mode::kTool) json.Name("name").String(choice.name);
  if (one_by_one && choice.mode != ToolChoice::Mode::kNone) {
    json.Name("disable_parallel_tool_use").Bool(true);
  }
  json.EndObject();
}

// output_config with the schema among what else extra has in it.
void WriteSchema(absl::string_view schema, UpstreamBody& body) {
  const std::string config = body.TakeExtra("output_config");
  JsonWriter& json = body.json().Name("output_config").BeginObject();
  json.Name("format").BeginObject().Name("type").String("json_schema");
  json.Name("schema").Raw(schema).EndObject();
  for (const JsonMember& member : JsonMembers(config).value_or(std::vector<JsonMember>())) {
    if (member.name != "format") json.Name(member.name).Raw(member.value);
  }
  json.EndObject();
}

void WriteStop(const std::vector<std::string>& stop, UpstreamBody& body) {
  if (stop.empty() || !body.Begin("stop_sequences")) return;
  body.json().BeginArray();
  for (const std::string& text : stop) body.json().String(text);
  body.json().EndArray();
}

}  // namespace

std::string MessagesBody(const GenerateRequest& request, const std::string& model,
                         const std::vector<ChatMessage>& messages, int max_tokens) {
  static constexpr absl::string_view kFixed[] = {"model", "messages", "system", "stream"};
  const ResponseFormat format = request.response_format.value_or(ResponseFormat());
  const bool as_json = format.type != ResponseFormat::Type::kText;
  const bool has_schema =
      format.type == ResponseFormat::Type::kJsonSchema && !format.schema.empty();
  UpstreamBody body(request.extra, kFixed);
  body.Add("model", model);
  // OpenAI's other name of the same limit.
  if (request.max_tokens) body.TakeExtra("max_completion_tokens");
  body.Add("max_tokens", absl::optional<int>(max_tokens));
  WriteMessages(messages, as_json && !has_schema, body);
  WriteTools(request.tools, body);
  WriteChoice(request, body);
  if (has_schema) WriteSchema(format.schema, body);
  WriteStop(request.stop, body);
  body.Add("temperature", request.temperature);
  body.Add("top_p", request.top_p);
  if (!request.user.empty() && body.Begin("metadata")) {
    body.json().BeginObject().Name("user_id").String(request.user).EndObject();
  }
  body.json().Name("stream").Bool(request.stream);
  return body.Finish();
}

}  // namespace aibackend::models
