#include "gateway/dialects/openai_request.h"

#include <algorithm>

namespace aibackend::gateway {
std::string ReadUser(const JsonNode& body) {
  const JsonNode user = body["user"];
  return user ? user.String() : body["safety_identifier"].String();
}

void ReadSampling(const JsonNode& body, v1::ChatRequest& chat) {
  if (const auto value = body["temperature"].Number()) chat.set_temperature(*value);
  if (const auto value = body["top_p"].Number()) chat.set_top_p(*value);
}

void MustBeObject(const JsonNode& node) {
  if (node && !node.is_object()) node.Refuse(Reason::WRONG_TYPE, "must be an object");
}

std::string RawObject(const JsonNode& node) {
  MustBeObject(node);
  return node.Raw();
}

void ReadFunction(const JsonNode& function, v1::Tool& tool) {
  tool.set_name(function["name"].Required().String());
  tool.set_description(function["description"].String());
  tool.set_parameters(RawObject(function["parameters"]));
  if (const JsonNode strict = function["strict"]) tool.set_strict(strict.Bool());
}

void ReadToolChoice(const JsonNode& choice, const JsonNode& function, v1::ChatRequest& chat) {
  if (!choice) return;
  v1::ToolChoice& out = *chat.mutable_tool_choice();
  if (choice.is_string()) return out.set_mode(choice.String());
  if (!choice.is_object())
    return choice.Refuse(Reason::WRONG_TYPE,
                         "must be a string, or an object that names a function");
  if (choice["type"].Required().String() != "function")
    return choice["type"].Refuse(Reason::FIELD_INVALID,
                                 "must be function: other tools than functions are not served");
  out.set_mode("tool");
  out.set_name(function["name"].Required().String());
}

void ReadFormat(const JsonNode& format, const JsonNode& schema, v1::ChatRequest& chat) {
  if (!format) return;
  v1::ResponseFormat& out = *chat.mutable_response_format();
  out.set_type(format["type"].Required().String());
  if (out.type() != "json_schema") return;
  out.set_name(schema["name"].Required().String());
  out.set_description(schema["description"].String());
  out.set_schema(RawObject(schema["schema"]));
  if (const JsonNode strict = schema["strict"]) out.set_strict(strict.Bool());
}

void ReadImage(const JsonNode& url, const JsonNode& detail, v1::Message& message) {
  v1::ImageUrl& image = *message.add_parts()->mutable_image_url();
  image.set_url(url.Required().String());
  image.set_detail(detail.String());
}

void AddUnknown(const JsonNode& body, absl::Span<const absl::string_view> known,
                JsonObjectText& extra) {
  for (const auto& [name, value] : body.Members()) {
    if (value && std::find(known.begin(), known.end(), name) == known.end())
      extra.AddRaw(name, value.Raw());
  }
}

}  // namespace aibackend::gateway
