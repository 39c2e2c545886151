#include "server/tasks/job_params.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/retrieval/document_validation.h"

namespace aibackend::tasks {

absl::Status WrongType(absl::string_view field, absl::string_view expected) {
  return MakeError(Reason::WRONG_TYPE, absl::StrCat("must be ", expected), field);
}

absl::Status CheckKeys(const jobs::Json& json, absl::string_view path,
                       std::initializer_list<absl::string_view> known) {
  if (!json.is_object()) return WrongType(path, "an object");
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), absl::string_view(key)) != known.end()) continue;
    return MakeError(Reason::UNKNOWN_FIELD,
                     absl::StrCat("unknown; known are: ", absl::StrJoin(known, ", ")),
                     absl::StrCat(path, ".", Utf8Prefix(key, 100)));
  }
  return absl::OkStatus();
}

absl::Status ReadText(const jobs::Json& json, absl::string_view path, const char* key,
                      std::string& value) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return absl::OkStatus();
  if (!found->is_string()) return WrongType(absl::StrCat(path, ".", key), "a string");
  value = found->get<std::string>();
  return absl::OkStatus();
}

absl::StatusOr<absl::optional<int64_t>> ReadWhole(const jobs::Json& json, absl::string_view path,
                                                  const char* key, int64_t min, int64_t max) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return absl::nullopt;
  const std::string field = absl::StrCat(path, ".", key);
  // A number that came through a protobuf Struct is a double.
  const double value = found->is_number() ? found->get<double>() : std::nan("");
  if (std::isnan(value) || value != std::floor(value)) return WrongType(field, "an integer");
  if (value < static_cast<double>(min) || value > static_cast<double>(max)) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE, absl::StrCat("must be ", min, " to ", max), field);
  }
  return static_cast<int64_t>(value);
}

absl::Status ReadCollection(const jobs::Json& params, retrieval::CollectionId& collection) {
  AIB_RETURN_IF_ERROR(ReadText(params, "params", "collection", collection.name));
  AIB_RETURN_IF_ERROR(ReadText(params, "params", "tenant", collection.tenant));
  if (absl::Status status = retrieval::ValidateCollection(collection.name); !status.ok()) {
    return MakeError(ReasonOf(status), status.message(), "params.collection");
  }
  return absl::OkStatus();
}

jobs::Json ToJson(const retrieval::RebuildResult& rebuilt) {
  return {{"documents", rebuilt.documents},
          {"chunks", rebuilt.chunks},
          {"generation", rebuilt.generation},
          {"embedder", rebuilt.embedder}};
}

}  // namespace aibackend::tasks
