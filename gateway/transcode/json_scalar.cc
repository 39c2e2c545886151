#include "gateway/transcode/json_scalar.h"

#include <cmath>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using simdjson::dom::element;
using simdjson::dom::element_type;
using Refused = std::optional<ApiError>;

const char* TypeName(element_type type) {
  switch (type) {
    case element_type::ARRAY:
      return "an array";
    case element_type::OBJECT:
      return "an object";
    case element_type::INT64:
    case element_type::UINT64:
    case element_type::DOUBLE:
      return "a number";
    case element_type::STRING:
      return "a string";
    case element_type::BOOL:
      return "a boolean";
    case element_type::NULL_VALUE:
      return "null";
  }
  return "something else";
}

const char* WantedName(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return field.type() == FieldDescriptor::TYPE_BYTES ? "a base64 string" : "a string";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "a number";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "the name of a value";
    default:
      return "an integer";
  }
}

ApiError OutOfRange(const FieldDescriptor& field, std::string name) {
  return MakeApiError(Reason::FIELD_OUT_OF_RANGE,
                      absl::StrCat("does not fit into ", field.cpp_type_name()), std::move(name));
}

ApiError WrongText(const FieldDescriptor& field, std::string name) {
  return MakeApiError(Reason::WRONG_TYPE, absl::StrCat("must be ", WantedName(field)),
                      std::move(name));
}

// Set() or Add(), as the field is repeated or not.
#define AIB_STORE(Type, value)                                         \
  (field.is_repeated() ? reflection.Add##Type(&message, &field, value) \
                       : reflection.Set##Type(&message, &field, value))

// The integer fields' common range check. `is_negative` says how `bits` is to be read.
bool StoreInteger(bool is_negative, uint64_t bits, const FieldDescriptor& field, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const auto value = static_cast<int64_t>(bits);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      if (is_negative ? value < std::numeric_limits<int32_t>::min()
                      : bits > static_cast<uint64_t>(std::numeric_limits<int32_t>::max()))
        return false;
      AIB_STORE(Int32, static_cast<int32_t>(value));
      return true;
    case FieldDescriptor::CPPTYPE_INT64:
      if (!is_negative && bits > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        return false;
      AIB_STORE(Int64, value);
      return true;
    case FieldDescriptor::CPPTYPE_UINT32:
      if (is_negative || bits > std::numeric_limits<uint32_t>::max()) return false;
      AIB_STORE(UInt32, static_cast<uint32_t>(bits));
      return true;
    case FieldDescriptor::CPPTYPE_UINT64:
      if (is_negative) return false;
      AIB_STORE(UInt64, bits);
      return true;
    default:
      return false;
  }
}

bool IsInteger(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return true;
    default:
      return false;
  }
}

bool Is64Bit(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_INT64 ||
         field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
}

Refused StoreDouble(double value, const FieldDescriptor& field, std::string name,
                    Message& message) {
  const Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
    AIB_STORE(Double, value);
    return std::nullopt;
  }
  if (std::abs(value) > std::numeric_limits<float>::max()) return OutOfRange(field, name);
  AIB_STORE(Float, static_cast<float>(value));
  return std::nullopt;
}

Refused StoreEnum(absl::string_view text, const FieldDescriptor& field, std::string name,
                  Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const auto& type = *field.enum_type();
  if (const EnumValueDescriptor* value = type.FindValueByName(std::string(text))) {
    AIB_STORE(Enum, value);
    return std::nullopt;
  }
  std::string known;
  for (int i = 0; i < type.value_count(); ++i)
    absl::StrAppend(&known, i ? ", " : "", type.value(i)->name());
  return MakeApiError(Reason::FIELD_INVALID, absl::StrCat("unknown value; known: ", known),
                      std::move(name));
}

Refused StoreString(absl::string_view text, const FieldDescriptor& field, std::string name,
                    Message& message) {
  const Reflection& reflection = *message.GetReflection();
  std::string bytes;
  if (field.type() != FieldDescriptor::TYPE_BYTES) {
    bytes.assign(text.data(), text.size());
  } else if (!absl::Base64Unescape(text, &bytes) && !absl::WebSafeBase64Unescape(text, &bytes)) {
    return WrongText(field, std::move(name));
  }
  AIB_STORE(String, std::move(bytes));
  return std::nullopt;
}

// Digits with an optional sign; `in_range` is false where they are digits but too many.
bool ReadInteger(absl::string_view text, const FieldDescriptor& field, Message& message,
                 bool& in_range) {
  const bool is_negative = !text.empty() && text[0] == '-';
  const absl::string_view digits = text.substr(is_negative);
  if (digits.empty() || digits.find_first_not_of("0123456789") != absl::string_view::npos)
    return false;
  int64_t negative = 0;
  uint64_t positive = 0;
  in_range = is_negative ? absl::SimpleAtoi(text, &negative) : absl::SimpleAtoi(digits, &positive);
  const uint64_t bits = is_negative ? static_cast<uint64_t>(negative) : positive;
  in_range = in_range && StoreInteger(negative < 0, bits, field, message);
  return true;
}

Refused StoreIntegerText(absl::string_view text, const FieldDescriptor& field, std::string name,
                         Message& message) {
  bool in_range = true;
  if (!ReadInteger(text, field, message, in_range)) return WrongText(field, std::move(name));
  if (!in_range) return OutOfRange(field, std::move(name));
  return std::nullopt;
}

// A JSON number for an integer field: 5 and 5.0 are the same number to JSON.
Refused ReadJsonInteger(const element& value, const FieldDescriptor& field, const JsonPlace& place,
                        Message& message) {
  int64_t integer = 0;
  uint64_t positive = 0;
  double real = 0;
  absl::string_view wanted = WantedName(field);
  if (value.type() == element_type::STRING && Is64Bit(field)) {
    const std::string_view text = value.get_string().value_unsafe();
    return StoreIntegerText({text.data(), text.size()}, field, place.ToString(), message);
  }
  bool stored = false;
  if (value.type() == element_type::INT64 && value.get(integer) == simdjson::SUCCESS) {
    stored = StoreInteger(integer < 0, static_cast<uint64_t>(integer), field, message);
  } else if (value.type() == element_type::UINT64 && value.get(positive) == simdjson::SUCCESS) {
    stored = StoreInteger(false, positive, field, message);
  } else if (value.type() == element_type::DOUBLE && value.get(real) == simdjson::SUCCESS) {
    if (std::trunc(real) != real) return WrongType(place, wanted, value);
    // Beyond 2^53 a double no longer says which integer was meant.
    constexpr double kExactMax = 9007199254740992.0;
    if (std::abs(real) <= kExactMax) {
      const auto exact = static_cast<int64_t>(real);
      stored = StoreInteger(exact < 0, static_cast<uint64_t>(exact), field, message);
    }
  } else {
    return WrongType(place, wanted, value);
  }
  if (!stored) return OutOfRange(field, place.ToString());
  return std::nullopt;
}

}  // namespace

ApiError WrongType(const JsonPlace& place, absl::string_view wanted, const element& value) {
  const std::string where = place.ToString();
  return MakeApiError(Reason::WRONG_TYPE,
                      absl::StrCat(where.empty() ? "the body must be " : "must be ", wanted,
                                   ", not ", TypeName(value.type())),
                      where);
}

Refused ReadJsonScalar(const element& value, const FieldDescriptor& field, const JsonPlace& place,
                       Message& message) {
  const Reflection& reflection = *message.GetReflection();
  if (IsInteger(field)) return ReadJsonInteger(value, field, place, message);
  std::string_view text;
  double real = 0;
  bool truth = false;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (value.get(text) != simdjson::SUCCESS) break;
      return field.type() == FieldDescriptor::TYPE_BYTES
                 ? StoreString({text.data(), text.size()}, field, place.ToString(), message)
                 : StoreString({text.data(), text.size()}, field, {}, message);
    case FieldDescriptor::CPPTYPE_ENUM:
      if (value.get(text) != simdjson::SUCCESS) break;
      return StoreEnum({text.data(), text.size()}, field, place.ToString(), message);
    case FieldDescriptor::CPPTYPE_BOOL:
      if (value.get(truth) != simdjson::SUCCESS) break;
      AIB_STORE(Bool, truth);
      return std::nullopt;
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      if (value.get(real) != simdjson::SUCCESS) break;
      return StoreDouble(real, field, place.ToString(), message);
    default:
      break;
  }
  return WrongType(place, WantedName(field), value);
}

Refused SetScalarFromText(absl::string_view text, const FieldDescriptor& field,
                          const std::string& name, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  if (IsInteger(field)) return StoreIntegerText(text, field, name, message);
  double real = 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return StoreString(text, field, name, message);
    case FieldDescriptor::CPPTYPE_ENUM:
      return StoreEnum(text, field, name, message);
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") break;
      AIB_STORE(Bool, text == "true");
      return std::nullopt;
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      if (!absl::SimpleAtod(text, &real) || std::isnan(real)) break;
      if (std::isinf(real)) return OutOfRange(field, name);
      return StoreDouble(real, field, name, message);
    default:
      break;
  }
  return WrongText(field, name);
}

#undef AIB_STORE

}  // namespace aibackend::gateway
