#include "gateway/transcode/route_table.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "aibackend/v1/annotations.pb.h"
#include "google/api/annotations.pb.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

// A path of more bytes is too long to be a misspelling of one of ours.
constexpr size_t kNearestBytesMax = 64;

std::pair<std::string, std::string> MethodAndPath(const google::api::HttpRule& rule) {
  switch (rule.pattern_case()) {
    case google::api::HttpRule::kGet:
      return {"GET", rule.get()};
    case google::api::HttpRule::kPut:
      return {"PUT", rule.put()};
    case google::api::HttpRule::kPost:
      return {"POST", rule.post()};
    case google::api::HttpRule::kDelete:
      return {"DELETE", rule.delete_()};
    case google::api::HttpRule::kPatch:
      return {"PATCH", rule.patch()};
    default:
      return {};
  }
}

bool IsVariable(absl::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

// "/v1/jobs" → "v1", "jobs".
std::vector<absl::string_view> SegmentsOf(absl::string_view path) {
  path.remove_prefix(1);
  return absl::StrSplit(path, '/');
}

absl::Status Bad(const MethodDescriptor& method, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("the HTTP annotation of ", method.full_name(), ": ", what));
}

// The edit distance (Levenshtein) of two short texts, row by row.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

bool IsBodyPiece(const Descriptor& type) {
  const FieldDescriptor* content_type = type.FindFieldByName("content_type");
  const FieldDescriptor* data = type.FindFieldByName("data");
  return content_type && content_type->type() == FieldDescriptor::TYPE_STRING &&
         !content_type->is_repeated() && data && data->type() == FieldDescriptor::TYPE_BYTES &&
         !data->is_repeated();
}

absl::StatusOr<Route> MakeRoute(const MethodDescriptor& method, const google::api::HttpRule& rule) {
  Route route;
  std::tie(route.http_method, route.path) = MethodAndPath(rule);
  if (route.path.empty() || route.path[0] != '/') return Bad(method, "no method and path");
  if (!rule.body().empty() && rule.body() != "*") return Bad(method, "body may be \"*\" or none");
  if (!rule.response_body().empty()) return Bad(method, "response_body is not supported");
  if (method.client_streaming()) return Bad(method, "client streams have no REST form");
  route.has_body = rule.body() == "*";
  route.method = &method;
  route.grpc_method = absl::StrCat("/", method.service()->full_name(), "/", method.name());

  MessageFactory& factory = *MessageFactory::generated_factory();
  route.request_prototype = factory.GetPrototype(method.input_type());
  route.response_prototype = factory.GetPrototype(method.output_type());

  const v1::RestOptions& rest = method.options().GetExtension(v1::rest);
  if (rest.success_status() != 0) route.success_status = rest.success_status();
  route.is_raw_body = rest.raw_body();
  if (route.is_raw_body && !IsBodyPiece(*method.output_type()))
    return Bad(method, "raw_body needs messages of {string content_type, bytes data}");
  if (!rest.multipart_files_field().empty()) {
    route.files_field = method.input_type()->FindFieldByName(rest.multipart_files_field());
    if (!route.files_field || !route.files_field->is_repeated() ||
        route.files_field->type() != FieldDescriptor::TYPE_MESSAGE)
      return Bad(method, "multipart_files_field is no repeated message");
  }
  return route;
}

}  // namespace

FieldPath ResolveFieldPath(const Descriptor& message, absl::string_view dotted) {
  FieldPath path;
  const Descriptor* level = &message;
  for (absl::string_view name : absl::StrSplit(dotted, '.')) {
    if (!level || (!path.empty() && path.back()->is_repeated())) return {};
    const FieldDescriptor* field = level->FindFieldByName(std::string(name));
    if (!field) return {};
    path.push_back(field);
    level = field->message_type();
  }
  return path;
}

absl::StatusOr<RouteTable> RouteTable::Build(
    const std::vector<const ServiceDescriptor*>& services) {
  RouteTable table;
  for (const ServiceDescriptor* service : services) {
    for (int i = 0; i < service->method_count(); ++i) {
      if (absl::Status status = table.AddMethod(*service->method(i)); !status.ok()) return status;
    }
  }
  if (table.routes_.empty())
    return absl::FailedPreconditionError(
        "no route: the contract's descriptors are not linked into this program");
  return table;
}

absl::Status RouteTable::AddMethod(const MethodDescriptor& method) {
  if (!method.options().HasExtension(google::api::http)) return absl::OkStatus();
  const google::api::HttpRule& rule = method.options().GetExtension(google::api::http);
  absl::StatusOr<Route> route = MakeRoute(method, rule);
  if (!route.ok()) return route.status();
  if (absl::Status status = AddRoute(*std::move(route)); !status.ok()) return status;
  for (const auto& additional : rule.additional_bindings()) {
    absl::StatusOr<Route> alias = MakeRoute(method, additional);
    if (!alias.ok()) return alias.status();
    alias->is_alias = true;
    if (absl::Status status = AddRoute(*std::move(alias)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status RouteTable::AddRoute(Route route) {
  const MethodDescriptor& method = *route.method;
  Node* node = root_.get();
  for (absl::string_view segment : SegmentsOf(route.path)) {
    std::unique_ptr<Node>* next = nullptr;
    if (IsVariable(segment)) {
      const absl::string_view name = segment.substr(1, segment.size() - 2);
      FieldPath field = ResolveFieldPath(*method.input_type(), name);
      if (field.empty() || field.back()->is_repeated() || field.back()->message_type())
        return Bad(method, absl::StrCat(route.path, ": ", name, " is no single plain field"));
      route.variables.push_back(std::move(field));
      next = &node->variable;
    } else if (segment.find_first_of("{}*=:") != absl::string_view::npos) {
      return Bad(method, absl::StrCat(route.path, ": only {field} variables are supported"));
    } else {
      next = &node->literals[std::string(segment)];
    }
    if (!*next) *next = std::make_unique<Node>();
    node = next->get();
  }
  route.index = routes_.size();
  const Route& added = *routes_.emplace_back(std::make_unique<Route>(std::move(route)));
  if (!node->methods.emplace(added.http_method, &added).second)
    return Bad(method, absl::StrCat(added.http_method, " ", added.path, " is taken"));
  return absl::OkStatus();
}

const RouteTable::Node* RouteTable::Descend(const Node& node, absl::string_view path,
                                            std::vector<std::string>& segments) {
  // `path` is empty at the end of the path, or starts with '/'. The depth is bounded by the
  // table's.
  if (path.empty()) return node.methods.empty() ? nullptr : &node;
  path.remove_prefix(1);
  const size_t end = std::min(path.find('/'), path.size());
  const absl::string_view segment = path.substr(0, end);
  const absl::string_view rest = path.substr(end);
  const auto literal = node.literals.find(std::string_view(segment.data(), segment.size()));
  if (literal != node.literals.end()) {
    if (const Node* found = Descend(*literal->second, rest, segments)) return found;
  }
  if (!node.variable || segment.empty()) return nullptr;
  segments.emplace_back(segment);
  if (const Node* found = Descend(*node.variable, rest, segments)) return found;
  segments.pop_back();
  return nullptr;
}

RouteTable::Found RouteTable::Find(absl::string_view method, absl::string_view path) const {
  Found found;
  if (path.empty() || path[0] != '/') return found;
  const Node* node = Descend(*root_, path, found.segments);
  if (!node) return found;

  const std::string_view wanted =
      method == "HEAD" ? "GET" : std::string_view(method.data(), method.size());
  const auto it = node->methods.find(wanted);
  if (it != node->methods.end() && (method != "HEAD" || !it->second->method->server_streaming())) {
    found.route = it->second;
    return found;
  }
  for (const auto& [name, route] : node->methods) {
    found.allow.push_back(name);
    if (name == "GET" && !route->method->server_streaming()) found.allow.push_back("HEAD");
  }
  found.allow.push_back("OPTIONS");
  std::sort(found.allow.begin(), found.allow.end());
  return found;
}

const Route* RouteTable::OfMethod(absl::string_view rpc) const {
  for (const auto& route : routes_) {
    if (route->method->name() == rpc) return route.get();
  }
  return nullptr;
}

std::string RouteTable::Nearest(absl::string_view path) const {
  if (path.size() > kNearestBytesMax) return {};
  std::string best;
  size_t best_distance = path.size() / 2 + 1;  // at least half of it must be right
  for (const auto& route : routes_) {
    const size_t distance = EditDistance(path, route->path);
    if (distance >= best_distance) continue;
    best_distance = distance;
    best = absl::StrCat(route->http_method, " ", route->path);
  }
  return best;
}

std::vector<const ServiceDescriptor*> ContractServices() {
  std::vector<const ServiceDescriptor*> services;
  const auto* root = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(
      "aibackend/v1/aibackend.proto");
  if (!root) return services;
  const auto add = [&services, root](const google::protobuf::FileDescriptor& file) {
    if (file.package() != root->package()) return;
    for (int i = 0; i < file.service_count(); ++i) services.push_back(file.service(i));
  };
  add(*root);
  for (int i = 0; i < root->dependency_count(); ++i) add(*root->dependency(i));
  return services;
}

}  // namespace aibackend::gateway
