// What job kinds need to read their params strictly. Errors name the field by its path.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "server/jobs/job.h"
#include "server/retrieval/collection_id.h"
#include "server/retrieval/document_store.h"

namespace aibackend::tasks {

// WRONG_TYPE for `field`: "must be <expected>".
absl::Status WrongType(absl::string_view field, absl::string_view expected);

// WRONG_TYPE if `json` is no object, UNKNOWN_FIELD for its first key that isn't in `known`.
absl::Status CheckKeys(const jobs::Json& json, absl::string_view path,
                       std::initializer_list<absl::string_view> known);

// Sets `value` to json[key] if it is there and not null; WRONG_TYPE if it is no string.
absl::Status ReadText(const jobs::Json& json, absl::string_view path, const char* key,
                      std::string& value);

// json[key], a whole number of `min` to `max`; absent if it isn't there or null. WRONG_TYPE or
// FIELD_OUT_OF_RANGE.
absl::StatusOr<absl::optional<int64_t>> ReadWhole(const jobs::Json& json, absl::string_view path,
                                                  const char* key, int64_t min, int64_t max);

// Sets the collection to params.collection and params.tenant, where they are given. The tenant is
// the server's to set: rpc/ takes none from a client.
absl::Status ReadCollection(const jobs::Json& params, retrieval::CollectionId& collection);

// What a job that makes a generation gives back: {"documents", "chunks", "generation", "embedder"}.
jobs::Json ToJson(const retrieval::RebuildResult& rebuilt);

}  // namespace aibackend::tasks
