// Whether an answer is grounded in the stored documents, where the dialect's API has no word for
// it.
//
// Off, so that an application that changes its base URL gets what it had. On for one request with
// the model's name, "docs/<model>" ("docs/" alone: the server's default model), which is all that
// some tools let one set, or with headers:
//
//   x-aibackend-retrieval: on | strict | off    strict: answer only from the documents
//   x-aibackend-collection: <collection>        where to search; doesn't switch retrieval on
//   x-aibackend-filter: {"lang": "en"}          among which documents; as RetrieveRequest.filter
//
// The retrieval header wins over the name. A model that answers from documents alone is the
// server's matter.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "aibackend/v1/chat.pb.h"
#include "gateway/transcode/error.h"
#include "httplib.h"

namespace aibackend::gateway {

// Before a model's name.
inline constexpr absl::string_view kModelPrefix = "docs/";
inline constexpr char kRetrievalHeader[] = "x-aibackend-retrieval";
inline constexpr char kCollectionHeader[] = "x-aibackend-collection";
inline constexpr char kFilterHeader[] = "x-aibackend-filter";

// Fills chat.retrieval, and takes the prefix off chat.model, which is set already. Refuses another
// value of the header, a header given twice, and one of other than printable ASCII (JSON has \u
// escapes); the error's field is the header's name.
[[nodiscard]] std::optional<ApiError> ChooseRetrieval(const httplib::Request& request,
                                                      v1::ChatRequest& chat);

}  // namespace aibackend::gateway
