#include "gateway/transcode/json_reader.h"

#include <simdjson.h>

#include "absl/container/flat_hash_set.h"
#include "aibackend/v1/annotations.pb.h"
#include "gateway/transcode/json_fault.h"
#include "gateway/transcode/json_place.h"
#include "gateway/transcode/json_scalar.h"
#include "gateway/transcode/json_struct.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using simdjson::dom::element;
using Refused = std::optional<ApiError>;

// Above this a thread's parser gives its memory back after use (it takes a few times the document).
constexpr size_t kParserKeptBytesMax = 1 << 20;

class Reader {
 public:
  Refused ReadObject(const element& value, const JsonPlace& place, int depth, Message& message);

 private:
  Refused ReadMember(const element& value, const FieldDescriptor& field, const JsonPlace& place,
                     int depth, Message& message);
  Refused ReadArray(const element& value, const FieldDescriptor& field, const JsonPlace& place,
                    int depth, Message& message);
  Refused ReadMap(const element& value, const FieldDescriptor& field, const JsonPlace& place,
                  int depth, Message& message);
  Refused ReadMessage(const element& value, const JsonPlace& place, int depth, Message& message);
  Refused Count(const JsonPlace& place);

  size_t values_ = 0;
};

// "known: a, b, c", for whoever misspelled one; the right name first where camelCase was written.
std::string KnownFields(const Descriptor& type, absl::string_view name) {
  if (const auto* meant = type.FindFieldByCamelcaseName(std::string(name)))
    return absl::StrCat("write ", meant->name());
  std::string known = "known:";
  for (int i = 0; i < type.field_count(); ++i)
    absl::StrAppend(&known, i ? ", " : " ", type.field(i)->name());
  return type.field_count() ? known : "it has no fields";
}

Refused Reader::Count(const JsonPlace& place) {
  if (++values_ <= kJsonValuesMax) return std::nullopt;
  return MakeApiError(Reason::REQUEST_TOO_LARGE,
                      absl::StrCat("the body has more than ", kJsonValuesMax, " values"),
                      place.ToString());
}

Refused Reader::ReadObject(const element& value, const JsonPlace& place, int depth,
                           Message& message) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return WrongType(place, "an object", value);
  const Descriptor& type = *message.GetDescriptor();
  absl::flat_hash_set<const FieldDescriptor*> seen;
  absl::flat_hash_set<const google::protobuf::OneofDescriptor*> chosen;
  for (const auto& member : object) {
    const JsonPlace here{&place, {member.key.data(), member.key.size()}};
    if (auto refused = Count(here)) return refused;
    const FieldDescriptor* field = type.FindFieldByName(std::string(member.key));
    if (!field)
      return MakeApiError(Reason::UNKNOWN_FIELD,
                          absl::StrCat("unknown field; ", KnownFields(type, here.name)),
                          here.ToString());
    if (!seen.insert(field).second)
      return MakeApiError(Reason::MALFORMED_JSON, "the field is given twice", here.ToString());
    if (member.value.is_null() && !IsJsonValue(*field)) continue;
    const auto* oneof = field->real_containing_oneof();
    if (oneof && !chosen.insert(oneof).second)
      return MakeApiError(Reason::FIELD_INVALID,
                          absl::StrCat("only one of the fields of ", oneof->name(), " may be set"),
                          here.ToString());
    if (auto refused = ReadMember(member.value, *field, here, depth, message)) return refused;
  }
  return std::nullopt;
}

Refused Reader::ReadMember(const element& value, const FieldDescriptor& field,
                           const JsonPlace& place, int depth, Message& message) {
  if (field.options().GetExtension(v1::raw_json)) {
    message.GetReflection()->SetString(&message, &field, simdjson::to_string(value));
    return std::nullopt;
  }
  if (field.is_map()) return ReadMap(value, field, place, depth, message);
  if (field.is_repeated()) return ReadArray(value, field, place, depth, message);
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
    return ReadJsonScalar(value, field, place, message);
  return ReadMessage(value, place, depth + 1,
                     *message.GetReflection()->MutableMessage(&message, &field));
}

Refused Reader::ReadArray(const element& value, const FieldDescriptor& field,
                          const JsonPlace& place, int depth, Message& message) {
  simdjson::dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return WrongType(place, "an array", value);
  int index = 0;
  for (const element& item : array) {
    const JsonPlace here{&place, {}, index++};
    if (auto refused = Count(here)) return refused;
    Refused refused = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE
                          ? ReadMessage(item, here, depth + 1,
                                        *message.GetReflection()->AddMessage(&message, &field))
                          : ReadJsonScalar(item, field, here, message);
    if (refused) return refused;
  }
  return std::nullopt;
}

Refused Reader::ReadMap(const element& value, const FieldDescriptor& field, const JsonPlace& place,
                        int depth, Message& message) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return WrongType(place, "an object", value);
  const FieldDescriptor& key_field = *field.message_type()->map_key();
  const FieldDescriptor& value_field = *field.message_type()->map_value();
  absl::flat_hash_set<absl::string_view> seen;
  for (const auto& member : object) {
    const JsonPlace here{&place, {member.key.data(), member.key.size()}};
    if (auto refused = Count(here)) return refused;
    if (!seen.insert(here.name).second)
      return MakeApiError(Reason::MALFORMED_JSON, "the name is given twice", here.ToString());
    Message& entry = *message.GetReflection()->AddMessage(&message, &field);
    if (auto refused = SetScalarFromText(here.name, key_field, here.ToString(), entry))
      return refused;
    if (auto refused = ReadMember(member.value, value_field, here, depth, entry)) return refused;
  }
  return std::nullopt;
}

Refused Reader::ReadMessage(const element& value, const JsonPlace& place, int depth,
                            Message& message) {
  if (depth > kJsonDepthMax)
    return MakeApiError(Reason::MALFORMED_JSON,
                        absl::StrCat("more than ", kJsonDepthMax, " levels of nesting"),
                        place.ToString());
  if (!IsWellKnown(*message.GetDescriptor())) return ReadObject(value, place, depth, message);
  return ReadWellKnown(
      value, place, [this](const JsonPlace& at) { return Count(at); }, message);
}

}  // namespace

Refused ReadJson(absl::string_view json, Message& message) {
  thread_local std::unique_ptr<simdjson::dom::parser> parser;
  if (!parser) {
    parser = std::make_unique<simdjson::dom::parser>();
    if (parser->allocate(0, kJsonDepthMax) != simdjson::SUCCESS)
      return MakeApiError(Reason::OVERLOADED, "no memory to read the body");
  }
  element document;
  const auto error = parser->parse(json.data(), json.size()).get(document);
  Refused refused;
  if (error == simdjson::MEMALLOC) {
    refused = MakeApiError(Reason::OVERLOADED, "no memory to read the body");
  } else if (error != simdjson::SUCCESS) {
    refused = ExplainJsonFault(json);
  } else {
    refused = Reader().ReadObject(document, JsonPlace{}, 1, message);
  }
  if (json.size() > kParserKeptBytesMax) parser.reset();
  return refused;
}

}  // namespace aibackend::gateway
