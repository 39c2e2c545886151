#include "gateway/docs/openapi.h"

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "aibackend/v1/annotations.pb.h"
#include "aibackend/v1/errors.pb.h"
#include "gateway/docs/openapi_example.h"
#include "gateway/docs/openapi_schema.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::MethodDescriptor;

constexpr int kQueryDepthMax = 3;  // retrieval.top_k has two; a message may contain itself

// Statuses to their reasons, for the methods' error answers.
using ReasonsByStatus = std::map<int, std::vector<std::string>>;

void AddReasons(absl::string_view pattern, ReasonsByStatus& reasons) {
  const absl::string_view family = absl::StripSuffix(pattern, "*");
  const auto& table = *v1::Error::Reason_descriptor();
  for (int i = 1; i < table.value_count(); ++i) {  // 0 is no reason
    const std::string& name = table.value(i)->name();
    const bool fits =
        family.size() < pattern.size() ? absl::StartsWith(name, family) : name == pattern;
    if (fits)
      reasons[table.value(i)->options().GetExtension(v1::error).http_status()].push_back(name);
  }
}

constexpr const char* kCommonReasons[] = {
    "MALFORMED_JSON",     "UNKNOWN_FIELD", "WRONG_TYPE",        "KEY_REQUIRED",
    "KEY_INVALID",        "SCOPE_MISSING", "RATE_LIMITED",      "OVERLOADED",
    "SERVER_UNREACHABLE", "DRAINING",      "DEADLINE_EXCEEDED", "INTERNAL"};

std::vector<std::string> WordsOf(absl::string_view comment) {
  return absl::StrSplit(comment, absl::ByAnyChar(" \n,.:;()"), absl::SkipEmpty());
}

void AddNamed(const std::vector<std::string>& words, std::set<std::string>& named) {
  for (const std::string& word : words) {
    const bool is_constant = absl::StrContains(word, "_") && word == absl::AsciiStrToUpper(word);
    if (is_constant || word == "OVERLOADED") named.insert(word);
  }
}

// The reasons that a method's comment names ("TOP_K_OUT_OF_RANGE", "UPSTREAM_*"), also by another
// method ("those of Chat"), and those that any call can have.
ReasonsByStatus ReasonsOf(const MethodDescriptor& method, const Comments& comments) {
  std::set<std::string> named(std::begin(kCommonReasons), std::end(kCommonReasons));
  const std::vector<std::string> words = WordsOf(comments.Of(method));
  AddNamed(words, named);
  for (size_t i = 2; i < words.size(); ++i) {
    if (words[i - 2] != "those" || words[i - 1] != "of") continue;
    const MethodDescriptor* other = method.service()->FindMethodByName(words[i]);
    if (other != nullptr) AddNamed(WordsOf(comments.Of(*other)), named);
  }
  ReasonsByStatus reasons;
  for (const std::string& name : named) AddReasons(name, reasons);
  return reasons;
}

class Writer {
 public:
  Writer(const RouteTable& routes, const Comments& comments)
      : routes_(routes), comments_(comments), book_(comments) {}

  Json Document(const std::vector<DialectOperation>& dialects);

 private:
  Json Operation(const Route& route);
  Json Parameters(const Route& route);
  void AddQuery(const Descriptor& message, const std::string& prefix, int depth,
                const std::set<std::string>& in_path, Json& parameters);
  Json RequestBody(const Route& route);
  Json Responses(const Route& route);
  void AddFixed(Json& paths);
  static void AddDialect(const DialectOperation& dialect, Json& paths);

  const RouteTable& routes_;
  const Comments& comments_;
  SchemaBook book_;
  std::map<std::string, int> operations_;  // how many of each name so far
};

Json JsonContent(Json schema) {
  return {{"application/json", {{"schema", std::move(schema)}}}};
}

std::string VariableName(const FieldPath& path) {
  return absl::StrJoin(path, ".", [](std::string* out, const FieldDescriptor* field) {
    out->append(field->name());
  });
}

Json Writer::Parameters(const Route& route) {
  Json parameters = Json::array();
  std::set<std::string> in_path;
  for (const FieldPath& variable : route.variables) {
    const std::string name = VariableName(variable);
    in_path.insert(name);
    parameters.push_back({{"name", name},
                          {"in", "path"},
                          {"required", true},
                          {"schema", book_.Field(*variable.back())}});
  }
  if (!route.has_body) AddQuery(*route.method->input_type(), "", 1, in_path, parameters);
  return parameters;
}

void Writer::AddQuery(const Descriptor& message, const std::string& prefix, int depth,
                      const std::set<std::string>& in_path, Json& parameters) {
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    const std::string name = absl::StrCat(prefix, field.name());
    if (in_path.count(name)) continue;
    const bool is_message = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    const bool is_text =
        !is_message || field.message_type()->full_name() == "google.protobuf.Timestamp";
    if (is_text) {
      Json schema = book_.Field(field);
      Json parameter = {{"name", name}, {"in", "query"}};
      if (schema.contains("description")) parameter["description"] = schema["description"];
      schema.erase("description");
      parameter["schema"] = std::move(schema);
      parameters.push_back(std::move(parameter));
    } else if (!field.is_repeated() && depth < kQueryDepthMax &&
               field.message_type()->file()->package() != "google.protobuf") {
      AddQuery(*field.message_type(), absl::StrCat(name, "."), depth + 1, in_path, parameters);
    }
  }
}

Json Writer::RequestBody(const Route& route) {
  const Descriptor& type = *route.method->input_type();
  Json content = JsonContent(book_.Reference(type));
  if (Json example = ExampleOf(type.full_name()); !example.is_null())
    content["application/json"]["example"] = std::move(example);
  if (route.files_field) {
    Json files = {{"type", "array"}, {"items", {{"type", "string"}, {"format", "binary"}}}};
    Json form = {{"type", "object"}, {"properties", {{"files", std::move(files)}}}};
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
        form["properties"][field.name()] = book_.Field(field);
    }
    content["multipart/form-data"] = {{"schema", std::move(form)}};
  }
  return {{"content", std::move(content)}};
}

Json Writer::Responses(const Route& route) {
  Json success = {{"description", route.success_status == 202 ? "Accepted" : "OK"}};
  const Json schema = book_.Reference(*route.method->output_type());
  if (route.is_raw_body) {
    success["description"] = "A file; one that could not be sent whole breaks the connection";
    success["content"] = {{"*/*", {{"schema", {{"type", "string"}, {"format", "binary"}}}}}};
  } else if (route.method->server_streaming()) {
    success["description"] = "A stream of events; the last one says how it ended";
    success["content"] = {{"text/event-stream", {{"schema", schema}}},
                          {"text/plain", {{"schema", {{"type", "string"}}}}}};
  } else {
    success["content"] = JsonContent(schema);
  }
  Json responses = {{std::to_string(route.success_status), std::move(success)}};
  for (const auto& [status, reasons] : ReasonsOf(*route.method, comments_)) {
    responses[std::to_string(status)] = {
        {"description", absl::StrJoin(reasons, ", ")},
        {"content", JsonContent({{"$ref", "#/components/schemas/ErrorAnswer"}})}};
  }
  return responses;
}

Json Writer::Operation(const Route& route) {
  const std::string& name = route.method->name();
  const std::string comment = comments_.Of(*route.method);
  const int nth = ++operations_[name];
  Json operation = {
      {"tags", {route.is_alias ? std::string("aliases") : route.method->service()->name()}},
      {"operationId", nth == 1 ? name : absl::StrCat(name, "_", nth)},
      {"summary", route.is_alias ? absl::StrCat(name, ", by another path") : name},
      {"description", comment}};
  if (Json parameters = Parameters(route); !parameters.empty())
    operation["parameters"] = std::move(parameters);
  if (route.has_body) operation["requestBody"] = RequestBody(route);
  operation["responses"] = Responses(route);
  return operation;
}

// The gateway's own paths, which no RPC stands behind.
void Writer::AddFixed(Json& paths) {
  const auto add = [&paths](const char* path, const char* summary, Json responses) {
    paths[path]["get"] = {{"tags", {"operations"}},
                          {"operationId", absl::StrCat("get_", path + 1)},
                          {"summary", summary},
                          {"security", Json::array()},
                          {"responses", std::move(responses)}};
  };
  const Json status =
      JsonContent({{"type", "object"}, {"properties", {{"status", {{"type", "string"}}}}}});
  const Json error = JsonContent({{"$ref", "#/components/schemas/ErrorAnswer"}});
  add("/health", "Whether the gateway runs",
      {{"200", {{"description", "It does"}, {"content", status}}}});
  add("/ready", "Whether the gateway and a server behind it can serve",
      {{"200", {{"description", "They can"}, {"content", status}}},
       {"503", {{"description", "NOT_READY, SERVER_UNREACHABLE, DRAINING"}, {"content", error}}}});
  add("/metrics", "Figures for Prometheus",
      {{"200",
        {{"description", "Text exposition format"},
         {"content", {{"text/plain", {{"schema", {{"type", "string"}}}}}}}}}});
}

void Writer::AddDialect(const DialectOperation& dialect, Json& paths) {
  const bool is_open = absl::EndsWith(dialect.path, "/");
  const std::string path = is_open ? dialect.path + "{id}" : dialect.path;
  const std::string method = absl::AsciiStrToLower(dialect.http_method);
  Json& operation = paths[path][method];
  if (operation.is_object()) {
    operation["description"] =
        absl::StrCat(operation["description"].get<std::string>(), "\n\n", dialect.summary);
    return;
  }
  const Json any = JsonContent({{"type", "object"}});
  const std::string name = absl::StrReplaceAll(path, {{"/", "_"}, {"{", ""}, {"}", ""}});
  operation = {
      {"tags", {"dialects"}},
      {"operationId", absl::StrCat(method, name)},
      {"summary", dialect.summary},
      {"responses",
       {{"200", {{"description", "OK"}, {"content", any}}},
        {"default", {{"description", "An error, as that API has it"}, {"content", any}}}}}};
  if (is_open)
    operation["parameters"] = Json::array(
        {{{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
  if (method == "post") operation["requestBody"] = {{"content", any}};
}

// Where a key is looked for; a JWT goes where a key does.
Json SecuritySchemes() {
  return {{"bearer",
           {{"type", "http"},
            {"scheme", "bearer"},
            {"description", "Authorization: Bearer, with a key or a JWT"}}},
          {"api_key",
           {{"type", "apiKey"},
            {"in", "header"},
            {"name", "x-api-key"},
            {"description", "The same in a header of its own"}}}};
}

// Any of the schemes, or none: a server that listens on loopback alone may ask nobody.
Json Security() {
  Json alternatives = Json::array({Json::object()});
  const Json schemes = SecuritySchemes();
  for (const auto& [name, scheme] : schemes.items())
    alternatives.push_back({{name, Json::array()}});
  return alternatives;
}

Json Writer::Document(const std::vector<DialectOperation>& dialects) {
  Json paths = Json::object();
  for (const auto& route : routes_.routes())
    paths[route->path][absl::AsciiStrToLower(route->http_method)] = Operation(*route);
  AddFixed(paths);
  for (const DialectOperation& dialect : dialects) AddDialect(dialect, paths);
  const Json error = book_.Reference(*v1::Error::descriptor());
  Json schemas = book_.schemas();
  schemas["ErrorAnswer"] = {{"type", "object"}, {"properties", {{"error", error}}}};
  return {
      {"openapi", "3.0.3"},
      {"info",
       {{"title", "AI backend"},
        {"version", "1"},
        {"description",
         "Chat over language models, grounded in stored documents, with background jobs and a "
         "usage ledger. Unknown fields and query parameters are refused by name; every answer "
         "carries x-request-id."}}},
      {"servers", Json::array({{{"url", "/"}}})},
      {"tags", Json::array({{{"name", "AiBackend"}},
                            {{"name", "AiBackendAdmin"}},
                            {{"name", "dialects"}, {"description", "Other services' APIs"}},
                            {{"name", "operations"}},
                            {{"name", "aliases"}, {"description", "The same by other paths"}}})},
      {"security", Security()},
      {"paths", std::move(paths)},
      {"components", {{"securitySchemes", SecuritySchemes()}, {"schemas", std::move(schemas)}}}};
}

}  // namespace

absl::StatusOr<std::string> MakeOpenApi(const RouteTable& routes,
                                        absl::string_view file_descriptor_set,
                                        const std::vector<DialectOperation>& dialects) {
  absl::StatusOr<Comments> comments = Comments::Read(file_descriptor_set);
  if (!comments.ok()) return comments.status();
  return Writer(routes, *comments).Document(dialects).dump(1);
}

}  // namespace aibackend::gateway
