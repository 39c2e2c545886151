#include "gateway/dialects/openai_responses_request.h"

#include "absl/strings/str_cat.h"
#include "gateway/dialects/json_node.h"
#include "gateway/dialects/openai_json.h"
#include "gateway/dialects/openai_request.h"
#include "gateway/dialects/retrieval_choice.h"

namespace aibackend::gateway {
namespace {

// Members that this file translates, refuses, or only repeats. All others go on untouched.
constexpr absl::string_view kKnown[] = {
    "model",       "input",          "instructions", "tools",
    "tool_choice", "text",           "temperature",  "max_output_tokens",
    "top_p",       "user",           "metadata",     "safety_identifier",
    "store",       "stream",         "background",   "previous_response_id",
    "reasoning",   "stream_options", "conversation", "max_tool_calls",
    "include",     "truncation",     "prompt",       "top_logprobs",
};

void ReadPart(const JsonNode& part, v1::Message& message) {
  const std::string type = part["type"].Required().String();
  if (type == "input_text" || type == "output_text" || type == "text") {
    message.add_parts()->set_text(part["text"].Required().String());
  } else if (type == "refusal") {
    message.add_parts()->set_text(part["refusal"].Required().String());
  } else if (type == "input_image") {
    if (const JsonNode file = part["file_id"])
      file.Refuse(Reason::FIELD_INVALID, "cannot be used: no files are stored; give image_url");
    ReadImage(part["image_url"], part["detail"], message);
  } else {
    part["type"].Refuse(Reason::FIELD_INVALID,
                        absl::StrCat("must be input_text, input_image or output_text, not ", type));
  }
}

void ReadContent(const JsonNode& content, v1::Message& message) {
  if (content.is_string()) return message.set_content(content.String());
  if (!content.is_array())
    return content.Refuse(Reason::WRONG_TYPE, "must be a string or an array of parts");
  for (const JsonNode& part : content.Elements()) ReadPart(part, message);
}

// The calls of one answer are items of their own here, and one message in the contract.
v1::Message& AssistantMessage(v1::ChatRequest& chat) {
  const int last = chat.messages_size() - 1;
  if (last >= 0 && chat.messages(last).role() == "assistant") return *chat.mutable_messages(last);
  v1::Message& message = *chat.add_messages();
  message.set_role("assistant");
  return message;
}

void ReadItem(const JsonNode& item, v1::ChatRequest& chat) {
  const JsonNode type_node = item["type"];
  const std::string type = type_node ? type_node.String() : "message";
  if (type == "message") {
    v1::Message& message = *chat.add_messages();
    message.set_role(item["role"].Required().String());
    ReadContent(item["content"].Required(), message);
  } else if (type == "function_call") {
    v1::ToolCall& call = *AssistantMessage(chat).add_tool_calls();
    call.set_id(item["call_id"].Required().String());
    call.set_name(item["name"].Required().String());
    call.set_arguments(item["arguments"].String());
  } else if (type == "function_call_output") {
    v1::Message& message = *chat.add_messages();
    message.set_role("tool");
    message.set_tool_call_id(item["call_id"].Required().String());
    ReadContent(item["output"].Required(), message);
  } else if (type != "reasoning") {  // which is this API's own, and no model's input
    type_node.Refuse(Reason::FIELD_INVALID,
                     absl::StrCat("must be message, function_call, function_call_output or "
                                  "reasoning, not ",
                                  type));
  }
}

void ReadInput(const JsonNode& body, v1::ChatRequest& chat) {
  if (const JsonNode instructions = body["instructions"]) {
    v1::Message& message = *chat.add_messages();
    message.set_role("system");
    message.set_content(instructions.String());
  }
  const JsonNode input = body["input"].Required();
  if (input.is_string()) {
    v1::Message& message = *chat.add_messages();
    message.set_role("user");
    return message.set_content(input.String());
  }
  if (input && !input.is_array())
    return input.Refuse(Reason::WRONG_TYPE, "must be a string or an array of items");
  for (const JsonNode& item : input.Elements()) ReadItem(item, chat);
}

void RefuseWhatIsStored(const JsonNode& body) {
  for (const char* name : {"previous_response_id", "conversation", "prompt"}) {
    if (const JsonNode node = body[name])
      node.Refuse(Reason::FIELD_INVALID,
                  "cannot be used: nothing is stored between requests; send the whole input");
  }
  const JsonNode background = body["background"];
  if (background.Bool())
    background.Refuse(Reason::FIELD_INVALID, "cannot be true: nothing is stored to come back for");
}

void ReadTools(const JsonNode& body, v1::ChatRequest& chat) {
  for (const JsonNode& tool : body["tools"].Elements()) {
    const std::string type = tool["type"].Required().String();
    if (type != "function")
      tool["type"].Refuse(
          Reason::FIELD_INVALID,
          absl::StrCat("must be function: there is no built-in tool ", type, " here"));
    ReadFunction(tool, *chat.add_tools());
  }
  const JsonNode choice = body["tool_choice"];
  ReadToolChoice(choice, choice, chat);
}

void ReadLogprobs(const JsonNode& body, v1::ChatRequest& chat) {
  if (const auto count = body["top_logprobs"].Int()) {
    if (*count != 0) chat.set_top_logprobs(*count);
  }
  for (const std::string& included : body["include"].Strings()) {
    if (included == "message.output_text.logprobs" && !chat.has_top_logprobs())
      chat.set_top_logprobs(0);
  }
}

// What chat completions, which is what models serve, have by another name.
std::string ReadExtra(const JsonNode& body) {
  JsonObjectText extra;
  if (const JsonNode effort = body["reasoning"]["effort"])
    extra.AddRaw("reasoning_effort", effort.Raw());
  if (const JsonNode verbosity = body["text"]["verbosity"])
    extra.AddRaw("verbosity", verbosity.Raw());
  AddUnknown(body, kKnown, extra);
  return extra.Text();
}

std::string EchoOf(const JsonNode& body) {
  constexpr std::pair<const char*, const char*> kDefaults[] = {
      {"instructions", "null"},
      {"max_output_tokens", "null"},
      {"metadata", "{}"},
      {"parallel_tool_calls", "true"},
      {"reasoning", R"({"effort":null,"summary":null})"},
      {"temperature", "null"},
      {"text", R"({"format":{"type":"text"}})"},
      {"tool_choice", "\"auto\""},
      {"tools", "[]"},
      {"top_logprobs", "0"},
      {"top_p", "null"},
      {"truncation", "\"disabled\""},
      {"user", "null"},
  };
  ObjectWriter echo;
  for (const auto& [name, fallback] : kDefaults) {
    const JsonNode node = body[name];
    echo.Raw(name, node ? node.Raw() : fallback);
  }
  return echo.Raw("background", "false")
      .Raw("previous_response_id", "null")
      .Raw("store", "false")
      .Members();
}

}  // namespace

std::optional<ApiError> ReadOpenAiResponses(const httplib::Request& http, OpenAiResponses& out) {
  JsonDocument document;
  const JsonNode body = document.Parse(http.body);
  v1::ChatRequest& chat = out.request;
  if (document.problem()) return document.problem();
  chat.set_model(body["model"].String());
  if (auto refused = ChooseRetrieval(http, chat)) return refused;
  RefuseWhatIsStored(body);
  ReadInput(body, chat);
  ReadSampling(body, chat);
  if (const auto tokens = body["max_output_tokens"].Int()) chat.set_max_tokens(*tokens);
  ReadLogprobs(body, chat);
  ReadTools(body, chat);
  const JsonNode format = body["text"]["format"];
  ReadFormat(format, format, chat);
  MustBeObject(body["metadata"]);
  chat.set_user(ReadUser(body));
  out.stream = body["stream"].Bool();
  chat.set_extra(ReadExtra(body));
  out.echo = EchoOf(body);
  return document.problem();
}

}  // namespace aibackend::gateway
