#include "gateway/dialects/anthropic_request.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/dialects/json_node.h"

namespace aibackend::gateway {
namespace {

// The contract wants a name for a schema, Anthropic's API has none.
constexpr char kSchemaName[] = "answer";

constexpr char kParallelToolCalls[] = "parallel_tool_calls";

// The members that the contract has a word for, or a part of one.
constexpr absl::string_view kTranslated[] = {
    "model",         "max_tokens", "system",         "messages", "temperature",
    "top_p",         "tools",      "stop_sequences", "metadata", "tool_choice",
    "output_config", "stream",     "output_format"};

std::string ImageUrl(const JsonNode& source) {
  if (source["type"].String() == "url") return source["url"].Required().String();
  return absl::StrCat("data:", source["media_type"].Required().String(), ";base64,",
                      source["data"].Required().String());
}

// The text of a JSON object, "{}" where there is none.
std::string ObjectText(const JsonNode& node) {
  if (!node) return "{}";
  if (!node.is_object()) node.Refuse(Reason::WRONG_TYPE, "must be an object");
  return node.Raw();
}

void AddPart(const JsonNode& block, v1::Message& message) {
  const std::string type = block["type"].Required().String();
  if (type == "text") {
    message.add_parts()->set_text(block["text"].Required().String());
    return;
  }
  if (type == "image") {
    const JsonNode source = block["source"];
    const std::string kind = source.Required()["type"].Required().String();
    if (kind == "base64" || kind == "url") {
      message.add_parts()->mutable_image_url()->set_url(ImageUrl(source));
      return;
    }
  }
  message.add_parts()->set_raw(block.Raw());
}

// One text alone is a message's content.
void Simplify(v1::Message& message) {
  if (message.parts_size() != 1 || !message.parts(0).has_text()) return;
  message.set_content(std::move(*message.mutable_parts(0)->mutable_text()));
  message.clear_parts();
}

// The contract has no word for a tool that failed, so its text says so, before all else.
void MarkAsError(v1::Message& result) {
  auto& parts = *result.mutable_parts();
  if (!parts.empty() && !parts[0].has_text()) {
    parts.Add()->set_text("");
    std::rotate(parts.pointer_begin(), parts.pointer_end() - 1, parts.pointer_end());
  }
  std::string& text = parts.empty() ? *result.mutable_content() : *parts[0].mutable_text();
  if (!absl::StartsWithIgnoreCase(text, "error")) text.insert(0, "Error: ");
}

class RequestReader {
 public:
  explicit RequestReader(AnthropicRequest& out) : out_(out), chat_(out.chat) {}

  void Read(const JsonNode& body, AnthropicPath path);

 private:
  v1::Message& AddMessage(const char* role, int origin);
  // System messages: a string or text blocks.
  void ReadSystem(const JsonNode& content, int origin);
  void ReadMessage(const JsonNode& node, int origin);
  void ReadUser(const JsonNode& content, int origin);
  void ReadAssistant(const JsonNode& content, int origin);
  void ReadToolResult(const JsonNode& block, int origin);
  void ReadSampling(const JsonNode& body, AnthropicPath path);
  void ReadTool(const JsonNode& node);
  void ReadToolChoice(const JsonNode& node);
  void ReadFormat(const JsonNode& node);
  void ReadExtra(const JsonNode& body);

  AnthropicRequest& out_;
  v1::ChatRequest& chat_;
};

void RequestReader::Read(const JsonNode& body, AnthropicPath path) {
  chat_.set_model(body["model"].String());
  ReadSampling(body, path);
  if (const JsonNode system = body["system"]) ReadSystem(system, kOfSystem);
  int index = 0;
  for (const JsonNode& message : body["messages"].Required().Elements())
    ReadMessage(message, index++);
  for (const JsonNode& tool : body["tools"].Elements()) ReadTool(tool);
  if (const JsonNode choice = body["tool_choice"]) ReadToolChoice(choice);
  if (const JsonNode metadata = body["metadata"]) chat_.set_user(metadata["user_id"].String());
  if (const JsonNode format = body["output_format"]) ReadFormat(format);
  if (const JsonNode config = body["output_config"]) {
    if (const JsonNode format = config["format"]) ReadFormat(format);
  }
  ReadExtra(body);
}

void RequestReader::ReadSampling(const JsonNode& body, AnthropicPath path) {
  const JsonNode max_tokens = body["max_tokens"];
  if (path == AnthropicPath::kMessages) max_tokens.Required();
  if (const auto value = max_tokens.Int()) chat_.set_max_tokens(*value);
  if (const auto value = body["temperature"].Number()) chat_.set_temperature(*value);
  if (const auto value = body["top_p"].Number()) chat_.set_top_p(*value);
  for (std::string& text : body["stop_sequences"].Strings()) chat_.add_stop(std::move(text));
  out_.stream = body["stream"].Bool();
}

v1::Message& RequestReader::AddMessage(const char* role, int origin) {
  v1::Message& message = *chat_.add_messages();
  message.set_role(role);
  out_.origins.push_back(origin);
  return message;
}

void RequestReader::ReadSystem(const JsonNode& content, int origin) {
  v1::Message& message = AddMessage("system", origin);
  if (content.is_string()) {
    message.set_content(content.String());
    return;
  }
  for (const JsonNode& block : content.Elements()) {
    const JsonNode type = block["type"];
    if (type.Required().String() != "text")
      type.Refuse(Reason::FIELD_INVALID, "a system message holds text blocks only");
    message.add_parts()->set_text(block["text"].Required().String());
  }
  Simplify(message);
}

void RequestReader::ReadMessage(const JsonNode& node, int origin) {
  const JsonNode role = node["role"];
  const JsonNode content = node["content"];
  const std::string name = role.Required().String();
  content.Required();
  if (name == "user") {
    ReadUser(content, origin);
  } else if (name == "assistant") {
    ReadAssistant(content, origin);
  } else if (name == "system") {
    ReadSystem(content, origin);
  } else {
    role.Refuse(Reason::ROLE_UNKNOWN, "must be user, assistant or system");
  }
}

void RequestReader::ReadUser(const JsonNode& content, int origin) {
  if (content.is_string()) return AddMessage("user", origin).set_content(content.String());
  v1::Message rest;
  bool has_result = false;
  for (const JsonNode& block : content.Elements()) {
    if (block["type"].String() != "tool_result") {
      AddPart(block, rest);
    } else {
      ReadToolResult(block, origin);
      has_result = true;
    }
  }
  if (has_result && rest.parts().empty()) return;
  Simplify(rest);
  AddMessage("user", origin).MergeFrom(rest);
}

void RequestReader::ReadAssistant(const JsonNode& content, int origin) {
  v1::Message& message = AddMessage("assistant", origin);
  if (content.is_string()) return message.set_content(content.String());
  for (const JsonNode& block : content.Elements()) {
    const std::string type = block["type"].String();
    if (type == "tool_use") {
      v1::ToolCall& call = *message.add_tool_calls();
      call.set_id(block["id"].Required().String());
      call.set_name(block["name"].Required().String());
      call.set_arguments(ObjectText(block["input"]));
    } else if (type != "thinking" || !block["signature"].String().empty()) {
      AddPart(block, message);
    }
  }
  Simplify(message);
}

void RequestReader::ReadToolResult(const JsonNode& block, int origin) {
  v1::Message& message = AddMessage("tool", origin);
  message.set_tool_call_id(block["tool_use_id"].Required().String());
  const JsonNode content = block["content"];
  if (content.is_string()) {
    message.set_content(content.String());
  } else {
    for (const JsonNode& part : content.Elements()) AddPart(part, message);
    Simplify(message);
  }
  if (block["is_error"].Bool()) MarkAsError(message);
}

void RequestReader::ReadTool(const JsonNode& node) {
  const JsonNode type = node["type"];
  if (type && type.String() != "custom")
    return type.Refuse(Reason::FIELD_INVALID,
                       "only custom tools, which the caller runs, are supported");
  v1::Tool& tool = *chat_.add_tools();
  tool.set_name(node["name"].Required().String());
  tool.set_description(node["description"].String());
  tool.set_parameters(ObjectText(node["input_schema"].Required()));
  if (const JsonNode strict = node["strict"]) tool.set_strict(strict.Bool());
}

void RequestReader::ReadToolChoice(const JsonNode& node) {
  const JsonNode type = node["type"];
  const std::string mode = type.Required().String();
  v1::ToolChoice& choice = *chat_.mutable_tool_choice();
  if (mode == "auto" || mode == "none" || mode == "tool") {
    choice.set_mode(mode);
  } else if (mode == "any") {
    choice.set_mode("required");
  } else {
    type.Refuse(Reason::FIELD_INVALID, "must be auto, any, tool or none");
  }
  if (mode == "tool") choice.set_name(node["name"].Required().String());
}

void RequestReader::ReadFormat(const JsonNode& node) {
  const JsonNode type = node["type"];
  if (type.Required().String() != "json_schema")
    type.Refuse(Reason::FIELD_INVALID, "must be json_schema");
  v1::ResponseFormat& format = *chat_.mutable_response_format();
  format.set_type("json_schema");
  format.set_name(kSchemaName);
  format.set_schema(ObjectText(node["schema"].Required()));
  format.set_strict(true);
}

void RequestReader::ReadExtra(const JsonNode& body) {
  JsonObjectText extra;
  for (const auto& [name, value] : body.Members()) {
    const bool translated =
        std::find(std::begin(kTranslated), std::end(kTranslated), name) != std::end(kTranslated);
    if (value && !translated) extra.AddRaw(name, value.Raw());
  }
  if (body["tool_choice"]["disable_parallel_tool_use"].Bool() && !body[kParallelToolCalls])
    extra.AddRaw(kParallelToolCalls, "false");
  JsonObjectText config;  // what of it isn't the format
  for (const auto& [name, value] : body["output_config"].Members()) {
    if (value && name != "format") config.AddRaw(name, value.Raw());
  }
  if (!config.empty()) extra.AddRaw("output_config", config.Text());
  chat_.set_extra(extra.Text());
}

}  // namespace

std::optional<ApiError> ReadAnthropicRequest(absl::string_view body, AnthropicPath path,
                                             AnthropicRequest& request) {
  JsonDocument document;
  const JsonNode root = document.Parse(body);
  if (!document.problem()) RequestReader(request).Read(root, path);
  return document.problem();
}

}  // namespace aibackend::gateway
