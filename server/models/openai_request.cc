#include "server/models/openai_request.h"

#include <algorithm>
#include <utility>

#include "server/models/upstream_body.h"

namespace aibackend::models {
namespace {

// OpenAI wants a name; nothing depends on which.
constexpr char kSchemaNameDefault[] = "answer";

const char* RoleName(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
    case Role::kUser:
      break;
  }
  return "user";
}

void WritePart(const ContentPart& part, JsonWriter& json) {
  switch (part.kind) {
    case ContentPart::Kind::kRaw:
      json.Raw(part.text);
      return;
    case ContentPart::Kind::kText:
      json.BeginObject().Name("type").String("text").Name("text").String(part.text).EndObject();
      return;
    case ContentPart::Kind::kImage:
      json.BeginObject().Name("type").String("image_url").Name("image_url").BeginObject();
      json.Name("url").String(part.url);
      if (!part.detail.empty()) json.Name("detail").String(part.detail);
      json.EndObject().EndObject();
  }
}

void WriteContent(const ChatMessage& message, JsonWriter& json) {
  if (!message.parts.empty()) {
    json.BeginArray();
    for (const ContentPart& part : message.parts) WritePart(part, json);
    json.EndArray();
  } else if (message.content.empty() && !message.tool_calls.empty()) {
    json.Raw("null");
  } else {
    json.String(message.content);
  }
}

void WriteMessages(const std::vector<ChatMessage>& messages, UpstreamBody& body) {
  JsonWriter& json = body.json().Name("messages").BeginArray();
  for (const ChatMessage& message : messages) {
    json.BeginObject().Name("role").String(RoleName(message.role)).Name("content");
    WriteContent(message, json);
    if (!message.name.empty()) json.Name("name").String(message.name);
    if (!message.tool_call_id.empty()) json.Name("tool_call_id").String(message.tool_call_id);
    if (!message.tool_calls.empty()) json.Name("tool_calls").BeginArray();
    for (const ToolCall& call : message.tool_calls) {
      json.BeginObject().Name("id").String(call.id).Name("type").String("function");
      json.Name("function").BeginObject().Name("name").String(call.name);
      json.Name("arguments").String(call.arguments).EndObject().EndObject();
    }
    if (!message.tool_calls.empty()) json.EndArray();
    json.EndObject();
  }
  json.EndArray();
}

void WriteChoice(const ToolChoice& choice, JsonWriter& json) {
  switch (choice.mode) {
    case ToolChoice::Mode::kAuto:
      json.String("auto");
      return;
    case ToolChoice::Mode::kNone:
      json.String("none");
      return;
    case ToolChoice::Mode::kRequired:
      json.String("required");
      return;
    case ToolChoice::Mode::kTool:
      json.BeginObject().Name("type").String("function").Name("function").BeginObject();
      json.Name("name").String(choice.name).EndObject().EndObject();
  }
}

// Without tools there is no choice to send: OpenAI refuses even "none".
void WriteTools(const GenerateRequest& request, UpstreamBody& body) {
  if (request.tools.empty()) return;
  if (body.Begin("tools")) {
    JsonWriter& json = body.json().BeginArray();
    for (const Tool& tool : request.tools) {
      json.BeginObject().Name("type").String("function").Name("function").BeginObject();
      json.Name("name").String(tool.name);
      if (!tool.description.empty()) json.Name("description").String(tool.description);
      if (!tool.parameters.empty()) json.Name("parameters").Raw(tool.parameters);
      if (tool.strict) json.Name("strict").Bool(*tool.strict);
      json.EndObject().EndObject();
    }
    json.EndArray();
  }
  if (request.tool_choice && body.Begin("tool_choice")) {
    WriteChoice(*request.tool_choice, body.json());
  }
}

void WriteFormat(const ResponseFormat& format, UpstreamBody& body) {
  if (!body.Begin("response_format")) return;
  JsonWriter& json = body.json().BeginObject().Name("type");
  if (format.type == ResponseFormat::Type::kText) json.String("text");
  if (format.type == ResponseFormat::Type::kJsonObject) json.String("json_object");
  if (format.type == ResponseFormat::Type::kJsonSchema) {
    json.String("json_schema").Name("json_schema").BeginObject();
    json.Name("name").String(format.name.empty() ? kSchemaNameDefault : format.name);
    if (!format.description.empty()) json.Name("description").String(format.description);
    if (!format.schema.empty()) json.Name("schema").Raw(format.schema);
    if (format.strict) json.Name("strict").Bool(*format.strict);
    json.EndObject();
  }
  json.EndObject();
}

void WriteStop(const std::vector<std::string>& stop, UpstreamBody& body) {
  if (!body.Begin("stop")) return;
  body.json().BeginArray();
  for (const std::string& text : stop) body.json().String(text);
  body.json().EndArray();
}

}  // namespace

std::vector<ChatMessage> WithSystemPrompt(std::vector<ChatMessage> messages, std::string prompt) {
  const auto place = std::find_if(messages.begin(), messages.end(), [](const ChatMessage& message) {
    return message.role != Role::kSystem;
  });
  messages.insert(place, {Role::kSystem, std::move(prompt)});
  return messages;
}

std::string RequestBody(const GenerateRequest& request, const std::string& model,
                        const std::vector<ChatMessage>& messages) {
  static constexpr absl::string_view kFixed[] = {"model", "messages", "stream", "stream_options"};
  UpstreamBody body(request.extra, kFixed);
  body.Add("model", model);
  WriteMessages(messages, body);
  WriteTools(request, body);
  if (request.response_format) WriteFormat(*request.response_format, body);
  body.Add("temperature", request.temperature);
  body.Add("top_p", request.top_p);
  // Newer models know only the second name; who names it means the same limit.
  if (body.Extra("max_completion_tokens").empty()) body.Add("max_tokens", request.max_tokens);
  if (request.seed && body.Begin("seed")) body.json().Integer(*request.seed);
  if (!request.stop.empty()) WriteStop(request.stop, body);
  if (request.top_logprobs) {
    if (body.Begin("logprobs")) body.json().Bool(true);
    body.Add("top_logprobs", request.top_logprobs);
  }
  if (!request.user.empty()) body.Add("user", request.user);
  body.json().Name("stream").Bool(request.stream);
  if (request.stream) body.json().Name("stream_options").Raw(R"({"include_usage":true})");
  return body.Finish();
}

}  // namespace aibackend::models
