#include "gateway/dialects/openai_json.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/transcode/json_writer.h"

namespace aibackend::gateway {

ObjectWriter& ObjectWriter::Raw(absl::string_view name, absl::string_view json) {
  absl::StrAppend(&text_, text_.empty() ? "{\"" : ",\"", name, "\":", json);
  return *this;
}

ObjectWriter& ObjectWriter::String(absl::string_view name, absl::string_view text) {
  return Raw(name, Quoted(text));
}

ObjectWriter& ObjectWriter::Number(absl::string_view name, int64_t number) {
  return Raw(name, absl::StrCat(number));
}

std::string Quoted(absl::string_view text) {
  std::string json;
  AppendJsonString(text, json);
  return json;
}

std::string ListText(const std::vector<std::string>& elements) {
  return absl::StrCat("[", absl::StrJoin(elements, ","), "]");
}

}  // namespace aibackend::gateway
