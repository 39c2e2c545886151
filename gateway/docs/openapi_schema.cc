#include "gateway/docs/openapi_schema.h"

#include <google/protobuf/descriptor.pb.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "aibackend/v1/annotations.pb.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// Comments are wrapped at the proto's width; a reader's page has its own.
std::string Unwrapped(absl::string_view comment) {
  std::string text;
  for (absl::string_view line : absl::StrSplit(absl::StripAsciiWhitespace(comment), '\n')) {
    line = absl::StripAsciiWhitespace(line);
    absl::StrAppend(&text, text.empty() ? "" : line.empty() ? "\n" : " ", line);
  }
  return text;
}

template <class T>
std::string LeadingComment(const T* described) {
  google::protobuf::SourceLocation location;
  if (!described || !described->GetSourceLocation(&location)) return {};
  return Unwrapped(location.leading_comments);
}

// "aibackend.v1.AddDocumentsResponse.Added" → "AddDocumentsResponse.Added".
std::string SchemaName(const Descriptor& message) {
  const std::string prefix = absl::StrCat(message.file()->package(), ".");
  return std::string(absl::StripPrefix(message.full_name(), prefix));
}

Json WellKnown(const std::string& name) {
  if (name == "google.protobuf.Timestamp") return {{"type", "string"}, {"format", "date-time"}};
  if (name == "google.protobuf.Struct")
    return {{"type", "object"}, {"additionalProperties", Json::object()}};
  if (name == "google.protobuf.ListValue") return {{"type", "array"}, {"items", Json::object()}};
  if (name == "google.protobuf.Duration") return {{"type", "string"}};
  return Json::object();  // Value: anything
}

Json Enum(const google::protobuf::EnumDescriptor& type) {
  Json values = Json::array();
  for (int i = 0; i < type.value_count(); ++i) values.push_back(type.value(i)->name());
  return {{"type", "string"}, {"enum", std::move(values)}};
}

}  // namespace

absl::StatusOr<Comments> Comments::Read(absl::string_view file_descriptor_set) {
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromArray(file_descriptor_set.data(), static_cast<int>(file_descriptor_set.size())))
    return absl::InternalError("the embedded descriptor set cannot be read");
  Comments comments;
  comments.pool_ = std::make_unique<google::protobuf::DescriptorPool>();
  for (const auto& file : set.file()) {  // each after what it imports
    if (!comments.pool_->BuildFile(file))
      return absl::InternalError(
          absl::StrCat("the embedded descriptors of ", file.name(), " do not fit together"));
  }
  return comments;
}

std::string Comments::Of(const google::protobuf::MethodDescriptor& method) const {
  return LeadingComment(pool_->FindMethodByName(method.full_name()));
}

std::string Comments::Of(const Descriptor& message) const {
  return LeadingComment(pool_->FindMessageTypeByName(message.full_name()));
}

std::string Comments::Of(const FieldDescriptor& field) const {
  return LeadingComment(pool_->FindFieldByName(field.full_name()));
}

Json SchemaBook::Reference(const Descriptor& message) {
  if (message.file()->package() == "google.protobuf") return WellKnown(message.full_name());
  const std::string name = SchemaName(message);
  if (known_.insert(name).second) {
    Json schema = Object(message);  // may add others, so that schemas_ is touched afterwards
    schemas_[name] = std::move(schema);
  }
  return {{"$ref", absl::StrCat("#/components/schemas/", name)}};
}

Json SchemaBook::Object(const Descriptor& message) {
  Json schema = {{"type", "object"}};
  if (std::string text = comments_.Of(message); !text.empty()) schema["description"] = text;
  Json properties = Json::object();
  for (int i = 0; i < message.field_count(); ++i)
    properties[message.field(i)->name()] = Field(*message.field(i));
  if (!properties.empty()) schema["properties"] = std::move(properties);
  schema["additionalProperties"] = false;
  return schema;
}

Json SchemaBook::Field(const FieldDescriptor& field) {
  Json schema;
  if (field.is_map()) {
    schema = {{"type", "object"},
              {"additionalProperties", Single(*field.message_type()->map_value())}};
  } else if (field.is_repeated()) {
    schema = {{"type", "array"}, {"items", Single(field)}};
  } else {
    schema = Single(field);
  }
  const std::string text = comments_.Of(field);
  if (text.empty()) return schema;
  // OpenAPI 3.0 ignores what stands beside a $ref.
  if (schema.contains("$ref")) schema = {{"allOf", Json::array({std::move(schema)})}};
  schema["description"] = text;
  return schema;
}

Json SchemaBook::Single(const FieldDescriptor& field) {
  if (field.options().GetExtension(v1::raw_json)) return Json::object();  // any value
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (field.type() == FieldDescriptor::TYPE_BYTES)
        return {{"type", "string"}, {"format", "byte"}};
      return {{"type", "string"}};
    case FieldDescriptor::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return {{"type", "number"}, {"format", "double"}};
    case FieldDescriptor::CPPTYPE_FLOAT:
      return {{"type", "number"}, {"format", "float"}};
    case FieldDescriptor::CPPTYPE_INT32:
      return {{"type", "integer"}, {"format", "int32"}};
    case FieldDescriptor::CPPTYPE_UINT32:
      return {{"type", "integer"}, {"format", "int64"}, {"minimum", 0}};
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT64:
      return {{"type", "string"}, {"format", "int64"}};
    case FieldDescriptor::CPPTYPE_ENUM:
      return Enum(*field.enum_type());
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Reference(*field.message_type());
  }
  return Json::object();
}

}  // namespace aibackend::gateway
