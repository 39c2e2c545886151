#include "gateway/dialects/retrieval_choice.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace aibackend::gateway {
namespace {

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

// The one value of a header; empty where there is none.
std::optional<ApiError> ReadHeader(const httplib::Request& request, const char* name,
                                   std::string* value) {
  if (request.get_header_value_count(name) > 1)
    return MakeApiError(Reason::MALFORMED_REQUEST, "the header is given twice", name);
  *value = request.get_header_value(name);
  if (!IsPrintable(*value))
    return MakeApiError(Reason::MALFORMED_REQUEST,
                        "the header has bytes that are not printable ASCII", name);
  return std::nullopt;
}

}  // namespace

std::optional<ApiError> ChooseRetrieval(const httplib::Request& request, v1::ChatRequest& chat) {
  std::string choice;
  std::string collection;
  std::string filter;
  if (auto refused = ReadHeader(request, kRetrievalHeader, &choice)) return refused;
  if (auto refused = ReadHeader(request, kCollectionHeader, &collection)) return refused;
  if (auto refused = ReadHeader(request, kFilterHeader, &filter)) return refused;

  v1::RetrievalOptions& retrieval = *chat.mutable_retrieval();
  retrieval.set_collection(std::move(collection));
  retrieval.set_filter(std::move(filter));
  const bool by_name = absl::StartsWith(chat.model(), kModelPrefix);
  if (by_name) chat.mutable_model()->erase(0, kModelPrefix.size());

  if (choice.empty()) {
    retrieval.set_enabled(by_name);
  } else if (choice == "off") {
    retrieval.set_enabled(false);
  } else if (choice == "on" || choice == "strict") {
    retrieval.set_enabled(true);
    if (choice == "strict") retrieval.set_strict(true);
  } else {
    return MakeApiError(Reason::FIELD_INVALID, "must be on, strict or off", kRetrievalHeader);
  }
  return std::nullopt;
}

}  // namespace aibackend::gateway
