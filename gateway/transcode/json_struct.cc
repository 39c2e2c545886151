#include "gateway/transcode/json_struct.h"

#include "gateway/transcode/json_scalar.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Message;
using google::protobuf::Struct;
using google::protobuf::Timestamp;
using google::protobuf::Value;
using simdjson::dom::element;
using simdjson::dom::element_type;
using Refused = std::optional<ApiError>;

// A level of a Struct is three messages deep on the wire (Struct, its map's entry, Value), and
// protobuf's parsers refuse more than 100.
constexpr int kStructDepthMax = 30;

Refused ReadValue(const element& json, const JsonPlace& place, const ValueCounter& count, int depth,
                  Value& value);

Refused ReadStruct(const element& json, const JsonPlace& place, const ValueCounter& count,
                   int depth, Struct& fields) {
  simdjson::dom::object object;
  if (json.get(object) != simdjson::SUCCESS) return WrongType(place, "an object", json);
  for (const auto& member : object) {
    const JsonPlace here{&place, {member.key.data(), member.key.size()}};
    if (auto refused = count(here)) return refused;
    const auto [it, is_new] = fields.mutable_fields()->insert({std::string(member.key), Value()});
    if (!is_new)
      return MakeApiError(Reason::MALFORMED_JSON, "the name is given twice", here.ToString());
    if (auto refused = ReadValue(member.value, here, count, depth + 1, it->second)) return refused;
  }
  return std::nullopt;
}

Refused ReadList(const element& json, const JsonPlace& place, const ValueCounter& count, int depth,
                 ListValue& list) {
  simdjson::dom::array array;
  if (json.get(array) != simdjson::SUCCESS) return WrongType(place, "an array", json);
  int index = 0;
  for (const element& item : array) {
    const JsonPlace here{&place, {}, index++};
    if (auto refused = count(here)) return refused;
    if (auto refused = ReadValue(item, here, count, depth + 1, *list.add_values())) return refused;
  }
  return std::nullopt;
}

Refused ReadValue(const element& json, const JsonPlace& place, const ValueCounter& count, int depth,
                  Value& value) {
  if (depth > kStructDepthMax)
    return MakeApiError(Reason::FIELD_INVALID,
                        absl::StrCat("more than ", kStructDepthMax, " levels of nesting"),
                        place.ToString());
  switch (json.type()) {
    case element_type::OBJECT:
      return ReadStruct(json, place, count, depth, *value.mutable_struct_value());
    case element_type::ARRAY:
      return ReadList(json, place, count, depth, *value.mutable_list_value());
    case element_type::STRING:
      value.set_string_value(std::string(json.get_string().value_unsafe()));
      return std::nullopt;
    case element_type::BOOL:
      value.set_bool_value(json.get_bool().value_unsafe());
      return std::nullopt;
    case element_type::NULL_VALUE:
      value.set_null_value(google::protobuf::NULL_VALUE);
      return std::nullopt;
    default:
      value.set_number_value(json.get_double().value_unsafe());
      return std::nullopt;
  }
}

Refused ReadTimestamp(const element& json, const JsonPlace& place, Timestamp& timestamp) {
  constexpr char kWanted[] = "a time such as 2024-05-01T12:00:00Z";
  std::string_view text;
  if (json.get(text) != simdjson::SUCCESS) return WrongType(place, kWanted, json);
  if (google::protobuf::util::TimeUtil::FromString(std::string(text), &timestamp))
    return std::nullopt;
  return MakeApiError(Reason::FIELD_INVALID, absl::StrCat("must be ", kWanted), place.ToString());
}

// Duration, wrappers, FieldMask, Any: seldom enough for protobuf's own, slower reader.
Refused ReadByProtobuf(const element& json, const JsonPlace& place, Message& message) {
  if (google::protobuf::util::JsonStringToMessage(simdjson::minify(json), &message).ok())
    return std::nullopt;
  return MakeApiError(Reason::WRONG_TYPE,
                      absl::StrCat("is no ", message.GetDescriptor()->full_name()),
                      place.ToString());
}

}  // namespace

bool IsWellKnown(const google::protobuf::Descriptor& type) {
  return type.file()->package() == "google.protobuf";
}

bool IsJsonValue(const google::protobuf::FieldDescriptor& field) {
  return field.message_type() == Value::descriptor() && !field.is_repeated();
}

Refused ReadWellKnown(const element& value, const JsonPlace& place, const ValueCounter& count,
                      Message& message) {
  // Messages come from the generated factory, so that their classes are the generated ones.
  const auto* type = message.GetDescriptor();
  if (type == Struct::descriptor())
    return ReadStruct(value, place, count, 0, static_cast<Struct&>(message));
  if (type == Value::descriptor())
    return ReadValue(value, place, count, 0, static_cast<Value&>(message));
  if (type == ListValue::descriptor())
    return ReadList(value, place, count, 0, static_cast<ListValue&>(message));
  if (type == Timestamp::descriptor())
    return ReadTimestamp(value, place, static_cast<Timestamp&>(message));
  return ReadByProtobuf(value, place, message);
}

}  // namespace aibackend::gateway
