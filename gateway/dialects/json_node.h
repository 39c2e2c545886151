// Other people's JSON, read with one pass and no check at every step: a node that isn't there, or
// is of the wrong type, reads as empty, and the document remembers the first thing that was wrong,
// with its path. So a translation reads as what it translates:
//
//   JsonDocument document;
//   JsonNode body = document.Parse(request.body);
//   chat.set_model(body["model"].String());
//   for (JsonNode message : body["messages"].Elements()) …
//   if (document.problem()) return *document.problem();
//
// null counts as absent. Not thread-safe; nodes live as long as their document.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/transcode/error.h"

namespace aibackend::gateway {

class JsonDocument;

// Of one array or object. A node takes a hundred bytes, what it stands for two ("0,"): this bounds
// what a body can take. No honest request has as many.
inline constexpr size_t kJsonElementsMax = 100'000;

class JsonNode {
 public:
  // Absent: no such member, or null.
  bool exists() const { return has_value_; }
  explicit operator bool() const { return has_value_; }
  bool is_string() const { return has_value_ && value_.is_string(); }
  bool is_array() const { return has_value_ && value_.is_array(); }
  bool is_object() const { return has_value_ && value_.is_object(); }
  // "messages[0].content": how errors name it.
  const std::string& path() const { return path_; }

  // A member. Of what is no object: absent, and a problem unless this is absent itself.
  JsonNode operator[](absl::string_view name) const;

  // Values. Absent: empty, false, nullopt, nothing; another type is a problem (WRONG_TYPE), and so
  // are more elements or members than kJsonElementsMax.
  std::string String() const;
  bool Bool() const;
  std::optional<double> Number() const;
  std::optional<int64_t> Integer() const;  // 3.0 is one, 3.5 is a problem
  std::optional<int> Int() const;          // beyond 32 bits is a problem
  std::vector<JsonNode> Elements() const;
  std::vector<std::pair<std::string, JsonNode>> Members() const;
  // One string, or a list of strings.
  std::vector<std::string> Strings() const;

  // The text of the value, without spaces between its parts: names keep their order.
  std::string Raw() const;

  // It must be there: a problem (FIELD_REQUIRED) otherwise.
  const JsonNode& Required() const;
  // Records a problem of this node, unless there is one already.
  void Refuse(v1::Error::Reason reason, std::string message) const;

 private:
  friend class JsonDocument;
  JsonNode(JsonDocument& document, std::string path)
      : document_(&document), path_(std::move(path)) {}
  JsonNode(JsonDocument& document, std::string path, simdjson::dom::element value)
      : document_(&document), path_(std::move(path)), value_(value), has_value_(!value.is_null()) {}
  void WrongType(absl::string_view wanted) const;
  bool IsTooLong(size_t elements) const;

  JsonDocument* document_;
  std::string path_;
  simdjson::dom::element value_;
  bool has_value_ = false;
};

class JsonDocument {
 public:
  // The root, which must be an object: MALFORMED_JSON (with line and column), INVALID_UTF8 or
  // WRONG_TYPE otherwise. Once.
  JsonNode Parse(absl::string_view text);
  // The first thing that was wrong.
  const std::optional<ApiError>& problem() const { return problem_; }

 private:
  friend class JsonNode;
  simdjson::dom::parser parser_;
  std::optional<ApiError> problem_;
};

// Builds JSON text of an object member by member: {"a":1,"b":…}.
class JsonObjectText {
 public:
  // `raw` is JSON already.
  void AddRaw(absl::string_view name, absl::string_view raw);
  bool empty() const { return text_.empty(); }
  // "{…}", or an empty string where nothing was added.
  std::string Text() const;

 private:
  std::string text_;
};

}  // namespace aibackend::gateway
