#include "gateway/dialects/json_node.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "gateway/transcode/json_fault.h"
#include "gateway/transcode/json_place.h"
#include "gateway/transcode/json_reader.h"
#include "gateway/transcode/json_scalar.h"
#include "gateway/transcode/json_writer.h"

namespace aibackend::gateway {
namespace {

constexpr double kInt64Limit = 9223372036854775808.0;  // 2^63

}  // namespace

JsonNode JsonDocument::Parse(absl::string_view text) {
  JsonNode absent(*this, "");
  if (parser_.allocate(0, kJsonDepthMax) != simdjson::SUCCESS) {
    problem_ = MakeApiError(Reason::OVERLOADED, "no memory to read the body");
    return absent;
  }
  simdjson::dom::element root;
  const auto error = parser_.parse(text.data(), text.size()).get(root);
  if (error == simdjson::MEMALLOC) {
    problem_ = MakeApiError(Reason::OVERLOADED, "no memory to read the body");
  } else if (error != simdjson::SUCCESS) {
    problem_ = ExplainJsonFault(text);
  } else if (!root.is_object()) {
    problem_ = MakeApiError(Reason::WRONG_TYPE, "the body must be a JSON object");
  }
  return problem_ ? absent : JsonNode(*this, "", root);
}

void JsonNode::Refuse(v1::Error::Reason reason, std::string message) const {
  if (!document_->problem_) document_->problem_ = MakeApiError(reason, std::move(message), path_);
}

void JsonNode::WrongType(absl::string_view wanted) const {
  if (document_->problem_) return;
  JsonPlace place;
  place.name = path_;
  document_->problem_ = gateway::WrongType(place, wanted, value_);
}

bool JsonNode::IsTooLong(size_t elements) const {
  if (elements <= kJsonElementsMax) return false;
  Refuse(Reason::FIELD_OUT_OF_RANGE,
         absl::StrCat("holds more than ", kJsonElementsMax, " elements"));
  return true;
}

const JsonNode& JsonNode::Required() const {
  if (!has_value_) Refuse(Reason::FIELD_REQUIRED, "must be given");
  return *this;
}

JsonNode JsonNode::operator[](absl::string_view name) const {
  std::string path = path_.empty() ? std::string(name) : absl::StrCat(path_, ".", name);
  if (!has_value_) return {*document_, std::move(path)};
  simdjson::dom::object object;
  if (value_.get(object) != simdjson::SUCCESS) {
    WrongType("an object");
    return {*document_, std::move(path)};
  }
  simdjson::dom::element member;
  if (object.at_key({name.data(), name.size()}).get(member) != simdjson::SUCCESS)
    return {*document_, std::move(path)};
  return {*document_, std::move(path), member};
}

std::string JsonNode::String() const {
  std::string_view text;
  if (!has_value_) return {};
  if (value_.get(text) != simdjson::SUCCESS) {
    WrongType("a string");
    return {};
  }
  return std::string(text);
}

bool JsonNode::Bool() const {
  bool value = false;
  if (has_value_ && value_.get(value) != simdjson::SUCCESS) WrongType("true or false");
  return value;
}

std::optional<double> JsonNode::Number() const {
  double value = 0;
  if (!has_value_) return std::nullopt;
  if (value_.get(value) == simdjson::SUCCESS) return value;
  WrongType("a number");
  return std::nullopt;
}

std::optional<int64_t> JsonNode::Integer() const {
  int64_t value = 0;
  if (!has_value_) return std::nullopt;
  if (value_.get(value) == simdjson::SUCCESS) return value;
  double number = 0;
  if (value_.get(number) == simdjson::SUCCESS && std::trunc(number) == number &&
      number >= -kInt64Limit && number < kInt64Limit)
    return static_cast<int64_t>(number);
  WrongType("a whole number");
  return std::nullopt;
}

std::optional<int> JsonNode::Int() const {
  const auto value = Integer();
  if (!value) return std::nullopt;
  if (*value >= std::numeric_limits<int>::min() && *value <= std::numeric_limits<int>::max())
    return static_cast<int>(*value);
  Refuse(Reason::FIELD_OUT_OF_RANGE, "is too large a number");
  return std::nullopt;
}

std::vector<JsonNode> JsonNode::Elements() const {
  std::vector<JsonNode> nodes;
  simdjson::dom::array array;
  if (!has_value_) return nodes;
  if (value_.get(array) != simdjson::SUCCESS) {
    WrongType("an array");
    return nodes;
  }
  if (IsTooLong(array.size())) return nodes;
  nodes.reserve(array.size());
  for (const auto element : array)
    nodes.push_back({*document_, absl::StrCat(path_, "[", nodes.size(), "]"), element});
  return nodes;
}

std::vector<std::pair<std::string, JsonNode>> JsonNode::Members() const {
  std::vector<std::pair<std::string, JsonNode>> members;
  simdjson::dom::object object;
  if (!has_value_) return members;
  if (value_.get(object) != simdjson::SUCCESS) {
    WrongType("an object");
    return members;
  }
  if (IsTooLong(object.size())) return members;
  for (const auto& member : object) {
    std::string name(member.key);
    std::string path = path_.empty() ? name : absl::StrCat(path_, ".", name);
    members.emplace_back(std::move(name), JsonNode(*document_, std::move(path), member.value));
  }
  return members;
}

std::vector<std::string> JsonNode::Strings() const {
  if (is_string()) return {String()};
  std::vector<std::string> strings;
  for (const JsonNode& element : Elements()) strings.push_back(element.String());
  return strings;
}

std::string JsonNode::Raw() const {
  return has_value_ ? simdjson::to_string(value_) : std::string();
}

void JsonObjectText::AddRaw(absl::string_view name, absl::string_view raw) {
  text_ += text_.empty() ? '{' : ',';
  AppendJsonString(name, text_);
  absl::StrAppend(&text_, ":", raw);
}

std::string JsonObjectText::Text() const {
  return text_.empty() ? std::string() : text_ + "}";
}

}  // namespace aibackend::gateway
