// The REST routes, read from the google.api.http annotations of the compiled-in contract: a new RPC
// gets its route without a line here.
//
// Understood: get, put, post, delete and patch with additional_bindings; path templates of literals
// and {field} or {field.inner} variables of one segment each; body "*" or none. Anything else is
// refused at start, by name.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace aibackend::gateway {

// The way from a message to one of its fields, outermost first.
using FieldPath = std::vector<const google::protobuf::FieldDescriptor*>;

// The path that a dotted name means; empty where there is none, or where it passes a repeated
// field.
FieldPath ResolveFieldPath(const google::protobuf::Descriptor& message, absl::string_view dotted);

struct Route {
  std::string http_method;  // "POST"
  std::string path;         // the template: "/v1/jobs/{job_id}"
  std::string grpc_method;  // "/aibackend.v1.AiBackend/GetJob"
  const google::protobuf::MethodDescriptor* method = nullptr;
  const google::protobuf::Message* request_prototype = nullptr;
  const google::protobuf::Message* response_prototype = nullptr;
  std::vector<FieldPath> variables;  // in the order of the template
  bool has_body = false;
  bool is_alias = false;  // of an additional binding
  int success_status = 200;
  bool is_raw_body = false;  // the stream's messages are the pieces of one body
  // Where file parts of a multipart body go; null: multipart is refused.
  const google::protobuf::FieldDescriptor* files_field = nullptr;
  size_t index = 0;  // its place in RouteTable::routes()
};

class RouteTable {
 public:
  struct Found {
    const Route* route = nullptr;       // null: not this path (allow empty) or not this method
    std::vector<std::string> segments;  // the raw values of the template's variables
    std::vector<std::string> allow;     // the path's methods, sorted, with OPTIONS (and HEAD)
  };

  // Every annotated method of `services`. Fails on an empty table, on two
  // routes of the same method and shape, and on an annotation that isn't understood.
  static absl::StatusOr<RouteTable> Build(
      const std::vector<const google::protobuf::ServiceDescriptor*>& services);

  // `path` is still percent-encoded. HEAD finds what GET does, except for streams. A literal
  // segment goes before a variable. Touches no more than the path's segments.
  Found Find(absl::string_view method, absl::string_view path) const;

  // The first route of an RPC, by its name; null where there is none.
  const Route* OfMethod(absl::string_view rpc) const;

  // The template most like `path`, for the message of a 404; empty if none is near.
  std::string Nearest(absl::string_view path) const;

  const std::vector<std::unique_ptr<Route>>& routes() const { return routes_; }

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> variable;
    std::map<std::string, const Route*, std::less<>> methods;
  };

  absl::Status AddMethod(const google::protobuf::MethodDescriptor& method);
  absl::Status AddRoute(Route route);
  static const Node* Descend(const Node& node, absl::string_view path,
                             std::vector<std::string>& segments);

  std::vector<std::unique_ptr<Route>> routes_;
  std::unique_ptr<Node> root_ = std::make_unique<Node>();
};

// The services of package aibackend.v1 linked into this program: those of aibackend.proto and of
// what it imports.
std::vector<const google::protobuf::ServiceDescriptor*> ContractServices();

}  // namespace aibackend::gateway
