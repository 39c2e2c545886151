#include "gateway/dialects/openai_chat_request.h"

#include "gateway/dialects/json_node.h"
#include "gateway/dialects/openai_request.h"
#include "gateway/dialects/retrieval_choice.h"

namespace aibackend::gateway {
namespace {

// Members that this file translates or refuses. All others go on untouched.
constexpr absl::string_view kKnown[] = {
    "model", "messages",    "temperature", "top_p",           "max_tokens",
    "stop",  "seed",        "logprobs",    "top_logprobs",    "max_completion_tokens",
    "tools", "tool_choice", "user",        "response_format", "safety_identifier",
    "n",     "stream",      "functions",   "function_call",   "stream_options",
};

void ReadPart(const JsonNode& part, v1::Message& message) {
  const std::string type = part["type"].Required().String();
  if (type == "text") {
    message.add_parts()->set_text(part["text"].Required().String());
  } else if (type == "refusal") {
    message.add_parts()->set_text(part["refusal"].Required().String());
  } else if (type == "image_url") {
    const JsonNode image = part["image_url"].Required();
    ReadImage(image["url"], image["detail"], message);
  } else {
    message.add_parts()->set_raw(part.Raw());
  }
}

void ReadContent(const JsonNode& node, v1::Message& message) {
  const JsonNode content = node["content"];
  if (content.is_string()) return message.set_content(content.String());
  if (!content) return message.set_content(node["refusal"].String());
  if (!content.is_array())
    return content.Refuse(Reason::WRONG_TYPE, "must be a string or an array of parts");
  for (const JsonNode& part : content.Elements()) ReadPart(part, message);
}

void ReadToolCalls(const JsonNode& calls, v1::Message& message) {
  for (const JsonNode& node : calls.Elements()) {
    const JsonNode type = node["type"];
    if (type && type.String() != "function")
      type.Refuse(Reason::FIELD_INVALID, "must be function: no other tool is served");
    v1::ToolCall& call = *message.add_tool_calls();
    call.set_id(node["id"].Required().String());
    const JsonNode function = node["function"].Required();
    call.set_name(function["name"].Required().String());
    call.set_arguments(function["arguments"].String());
  }
}

void ReadMessage(const JsonNode& node, v1::Message& message) {
  message.set_role(node["role"].Required().String());
  if (message.role() == "function")
    node["role"].Refuse(Reason::ROLE_UNKNOWN,
                        "function is the old form of tool: use role tool and tool_call_id");
  for (const char* name : {"function_call", "audio"}) {
    if (const JsonNode member = node[name])
      member.Refuse(Reason::FIELD_INVALID, "cannot be carried in a message");
  }
  ReadContent(node, message);
  ReadToolCalls(node["tool_calls"], message);
  message.set_tool_call_id(node["tool_call_id"].String());
  message.set_name(node["name"].String());
}

void ReadTools(const JsonNode& body, v1::ChatRequest& chat) {
  for (const char* name : {"functions", "function_call"}) {
    if (const JsonNode old = body[name])
      old.Refuse(Reason::FIELD_INVALID, "is the old form: use tools and tool_choice");
  }
  for (const JsonNode& tool : body["tools"].Elements()) {
    if (tool["type"].Required().String() != "function")
      tool["type"].Refuse(Reason::FIELD_INVALID, "must be function: no other tool is served");
    ReadFunction(tool["function"].Required(), *chat.add_tools());
  }
  const JsonNode choice = body["tool_choice"];
  if (choice.is_object()) return ReadToolChoice(choice, choice["function"], chat);
  ReadToolChoice(choice, choice, chat);
}

void ReadLimits(const JsonNode& body, v1::ChatRequest& chat) {
  const JsonNode old = body["max_tokens"];
  const JsonNode limit = body["max_completion_tokens"];
  if (old && limit)
    limit.Refuse(Reason::FIELD_INVALID, "and max_tokens are two names of one limit: give one");
  if (const auto tokens = (limit ? limit : old).Int()) chat.set_max_tokens(*tokens);
  for (std::string& stop : body["stop"].Strings()) chat.add_stop(std::move(stop));
  const JsonNode n = body["n"];
  if (n && n.Integer() != 1)
    n.Refuse(Reason::FIELD_OUT_OF_RANGE, "must be 1: each request has one answer");
}

void ReadLogprobs(const JsonNode& body, v1::ChatRequest& chat) {
  const bool wanted = body["logprobs"].Bool();
  const JsonNode others = body["top_logprobs"];
  const int count = others.Int().value_or(0);
  if (wanted) {
    chat.set_top_logprobs(count);
  } else if (count != 0) {
    others.Refuse(Reason::FIELD_INVALID, "needs logprobs to be true");
  }
}

}  // namespace

std::optional<ApiError> ReadOpenAiChat(const httplib::Request& http, OpenAiChat& out) {
  JsonDocument document;
  const JsonNode body = document.Parse(http.body);
  v1::ChatRequest& chat = out.request;
  if (document.problem()) return document.problem();
  chat.set_model(body["model"].String());
  if (auto refused = ChooseRetrieval(http, chat)) return refused;
  for (const JsonNode& message : body["messages"].Required().Elements())
    ReadMessage(message, *chat.add_messages());
  ReadSampling(body, chat);
  ReadLimits(body, chat);
  if (const auto seed = body["seed"].Integer()) chat.set_seed(*seed);
  ReadLogprobs(body, chat);
  ReadTools(body, chat);
  const JsonNode format = body["response_format"];
  if (format) ReadFormat(format, format["json_schema"], chat);
  chat.set_user(ReadUser(body));
  out.stream = body["stream"].Bool();
  out.include_usage = body["stream_options"]["include_usage"].Bool();
  JsonObjectText extra;
  AddUnknown(body, kKnown, extra);
  // By that name too: OpenAI's newer models refuse the old one.
  if (const JsonNode limit = body["max_completion_tokens"])
    extra.AddRaw("max_completion_tokens", limit.Raw());
  chat.set_extra(extra.Text());
  return document.problem();
}

}  // namespace aibackend::gateway
