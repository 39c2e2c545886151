// JSON as text. What came as JSON (schemas, extra, a tool's arguments) goes on byte for byte, the
// order of its names and its numbers untouched: it is taken apart and put together, never
// converted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::models {

// What is nested deeper counts as no JSON: the reader recurses. simdjson stops there too.
inline constexpr int kJsonDepthMax = 1024;

// Writes one JSON value from its beginning to its end. Commas come by themselves; that names and
// values alternate and brackets match is up to the caller.
class JsonWriter {
 public:
  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Name(absl::string_view name);
  JsonWriter& String(absl::string_view text);  // what isn't UTF-8 becomes U+FFFD
  JsonWriter& Integer(int64_t number);
  JsonWriter& Double(double number);  // as short as it can be without loss
  JsonWriter& Bool(bool value);
  JsonWriter& Raw(absl::string_view json);  // a JSON value
  std::string Take() { return std::move(out_); }

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  void Comma();
  void Quote(absl::string_view text);

  std::string out_;
};

struct JsonMember {
  std::string name;
  absl::string_view value;  // JSON, of the text that was read
};

// The members of the object that `json` is, in their order; absent if it is none. Numbers may be of
// any size.
absl::optional<std::vector<JsonMember>> JsonMembers(absl::string_view json);
// The elements of an array, likewise.
absl::optional<std::vector<absl::string_view>> JsonElements(absl::string_view json);
bool IsJsonObject(absl::string_view json);

}  // namespace aibackend::models
