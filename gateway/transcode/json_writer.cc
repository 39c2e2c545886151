#include "gateway/transcode/json_writer.h"

#include <simdjson.h>

#include <charconv>
#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/transcode/json_struct.h"
#include "google/protobuf/reflection.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

void AppendEscaped(unsigned char c, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
  }
}

// The bytes of the UTF-8 character at the start of `text`; 0 where there is none.
size_t CharacterBytes(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t bytes = lead < 0x80   ? 1
                       : lead < 0xC2 ? 0
                       : lead < 0xE0 ? 2
                       : lead < 0xF0 ? 3
                       : lead < 0xF5 ? 4
                                     : 0;
  return bytes <= text.size() && simdjson::validate_utf8(text.data(), bytes) ? bytes : 0;
}

std::string Repaired(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    const absl::string_view piece = bytes ? text.substr(0, bytes) : kReplacement;
    out.append(piece.data(), piece.size());
    text.remove_prefix(bytes ? bytes : 1);
  }
  return out;
}

// The shortest text that reads back as the same number. NaN and the infinities are texts, as JSON
// has none.
template <class Real>
void AppendReal(Real value, std::string& out) {
  if (!std::isfinite(value)) {
    out += std::isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    return;
  }
  char digits[32];  // the longest double has 24
  const auto end = std::to_chars(std::begin(digits), std::end(digits), value).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

bool AppendMessage(const Message& message, std::string& out);

void AppendName(absl::string_view name, bool& is_first, std::string& out) {
  if (!is_first) out += ',';
  is_first = false;
  AppendJsonString(name, out);
  out += ':';
}

void AppendStruct(const google::protobuf::Struct& fields, std::string& out);

void AppendValue(const google::protobuf::Value& value, std::string& out) {
  using google::protobuf::Value;
  switch (value.kind_case()) {
    case Value::kNumberValue:
      return AppendReal(value.number_value(), out);
    case Value::kStringValue:
      return AppendJsonString(value.string_value(), out);
    case Value::kBoolValue:
      out += value.bool_value() ? "true" : "false";
      return;
    case Value::kStructValue:
      return AppendStruct(value.struct_value(), out);
    case Value::kListValue: {
      out += '[';
      bool is_first = true;
      for (const Value& item : value.list_value().values()) {
        if (!is_first) out += ',';
        is_first = false;
        AppendValue(item, out);
      }
      out += ']';
      return;
    }
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      out += "null";
  }
}

void AppendStruct(const google::protobuf::Struct& fields, std::string& out) {
  out += '{';
  bool is_first = true;
  for (const auto& [name, value] : fields.fields()) {
    AppendName(name, is_first, out);
    AppendValue(value, out);
  }
  out += '}';
}

// The types whose JSON is not an object of their fields. Struct is in most answers; the others are
// left to protobuf.
bool AppendWellKnown(const Message& message, std::string& out) {
  if (const auto* fields =
          google::protobuf::DynamicCastToGenerated<google::protobuf::Struct>(&message)) {
    AppendStruct(*fields, out);
    return true;
  }
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json).ok()) return false;
  out += json;
  return true;
}

// Of a field that is not repeated, or of element `index` of one that is.
#define AIB_LOAD(Type)                                             \
  (index < 0 ? message.GetReflection()->Get##Type(message, &field) \
             : message.GetReflection()->GetRepeated##Type(message, &field, index))

void AppendString(const Message& message, const FieldDescriptor& field, int index,
                  std::string& out) {
  std::string scratch;
  const auto& reflection = *message.GetReflection();
  const std::string& text =
      index < 0 ? reflection.GetStringReference(message, &field, &scratch)
                : reflection.GetRepeatedStringReference(message, &field, index, &scratch);
  if (field.type() != FieldDescriptor::TYPE_BYTES) return AppendJsonString(text, out);
  absl::StrAppend(&out, "\"", absl::Base64Escape(text), "\"");
}

void AppendEnum(const Message& message, const FieldDescriptor& field, int index, std::string& out) {
  const int number = AIB_LOAD(EnumValue);
  if (const auto* value = field.enum_type()->FindValueByNumber(number)) {
    absl::StrAppend(&out, "\"", value->name(), "\"");
  } else {
    absl::StrAppend(&out, number);  // of a newer contract
  }
}

bool AppendOne(const Message& message, const FieldDescriptor& field, int index, std::string& out) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      absl::StrAppend(&out, AIB_LOAD(Int32));
      return true;
    case FieldDescriptor::CPPTYPE_UINT32:
      absl::StrAppend(&out, AIB_LOAD(UInt32));
      return true;
    case FieldDescriptor::CPPTYPE_INT64:
      absl::StrAppend(&out, "\"", AIB_LOAD(Int64), "\"");
      return true;
    case FieldDescriptor::CPPTYPE_UINT64:
      absl::StrAppend(&out, "\"", AIB_LOAD(UInt64), "\"");
      return true;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      AppendReal(AIB_LOAD(Double), out);
      return true;
    case FieldDescriptor::CPPTYPE_FLOAT:
      AppendReal(AIB_LOAD(Float), out);
      return true;
    case FieldDescriptor::CPPTYPE_BOOL:
      out += AIB_LOAD(Bool) ? "true" : "false";
      return true;
    case FieldDescriptor::CPPTYPE_ENUM:
      AppendEnum(message, field, index, out);
      return true;
    case FieldDescriptor::CPPTYPE_STRING:
      AppendString(message, field, index, out);
      return true;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return AppendMessage(AIB_LOAD(Message), out);
  }
  return false;
}

#undef AIB_LOAD

bool AppendList(const Message& message, const FieldDescriptor& field, std::string& out) {
  const int size = message.GetReflection()->FieldSize(message, &field);
  out += '[';
  for (int i = 0; i < size; ++i) {
    if (i > 0) out += ',';
    if (!AppendOne(message, field, i, out)) return false;
  }
  out += ']';
  return true;
}

// Keys are texts in JSON, whatever they are in the contract.
bool AppendMap(const Message& message, const FieldDescriptor& field, std::string& out) {
  const FieldDescriptor& key = *field.message_type()->map_key();
  const FieldDescriptor& value = *field.message_type()->map_value();
  const int size = message.GetReflection()->FieldSize(message, &field);
  out += '{';
  for (int i = 0; i < size; ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    std::string name;
    if (!AppendOne(entry, key, -1, name)) return false;
    if (name[0] != '"') name = absl::StrCat("\"", name, "\"");
    absl::StrAppend(&out, i == 0 ? "" : ",", name, ":");
    if (!AppendOne(entry, value, -1, out)) return false;
  }
  out += '}';
  return true;
}

bool AppendField(const Message& message, const FieldDescriptor& field, std::string& out) {
  if (field.is_map()) return AppendMap(message, field, out);
  if (field.is_repeated()) return AppendList(message, field, out);
  return AppendOne(message, field, -1, out);
}

// False where it has no JSON; `out` then holds a part of it.
bool AppendMessage(const Message& message, std::string& out) {
  const auto& type = *message.GetDescriptor();
  if (IsWellKnown(type)) return AppendWellKnown(message, out);
  out += '{';
  bool is_first = true;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.has_presence() && !message.GetReflection()->HasField(message, &field)) continue;
    AppendName(field.name(), is_first, out);
    if (!AppendField(message, field, out)) return false;
  }
  out += '}';
  return true;
}

}  // namespace

void AppendJsonString(absl::string_view text, std::string& out) {
  std::string repaired;
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    repaired = Repaired(text);
    text = repaired;
  }
  out += '"';
  size_t clean = 0;  // start of the run that needs no escape
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text.data() + clean, i - clean);
    AppendEscaped(c, out);
    clean = i + 1;
  }
  out.append(text.data() + clean, text.size() - clean);
  out += '"';
}

std::optional<std::string> MessageToJson(const Message& message) {
  std::string json;
  if (!AppendMessage(message, json)) return std::nullopt;
  return json;
}

}  // namespace aibackend::gateway
