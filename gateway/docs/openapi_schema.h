// OpenAPI schemas of the contract's messages, with the proto's comments as descriptions.
#pragma once

#include <google/protobuf/descriptor.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace aibackend::gateway {

using Json = nlohmann::ordered_json;  // in the order it was written in, as a reader expects

// The comments of a FileDescriptorSet.
class Comments {
 public:
  static absl::StatusOr<Comments> Read(absl::string_view file_descriptor_set);

  // Of a method, message, field, enum or enum value by its full name, as one text with its line
  // breaks within paragraphs removed. Empty where there is none.
  std::string Of(const google::protobuf::MethodDescriptor& method) const;
  std::string Of(const google::protobuf::Descriptor& message) const;
  std::string Of(const google::protobuf::FieldDescriptor& field) const;

 private:
  std::unique_ptr<google::protobuf::DescriptorPool> pool_;
};

// Collects the schemas that paths refer to.
class SchemaBook {
 public:
  explicit SchemaBook(const Comments& comments) : comments_(comments) {}

  // {"$ref": "#/components/schemas/ChatRequest"}, and its schema, with those it refers to, is in
  // the book. Well-known types and plain fields are written out in place.
  Json Reference(const google::protobuf::Descriptor& message);
  // The schema of a field's value, with its comment.
  Json Field(const google::protobuf::FieldDescriptor& field);

  // components.schemas.
  const Json& schemas() const { return schemas_; }

 private:
  Json Single(const google::protobuf::FieldDescriptor& field);
  Json Object(const google::protobuf::Descriptor& message);

  const Comments& comments_;
  Json schemas_ = Json::object();
  std::set<std::string> known_;
};

}  // namespace aibackend::gateway
