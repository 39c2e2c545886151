// Messages of the contract ↔ types of the folders below.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "aibackend/v1/documents.pb.h"
#include "aibackend/v1/jobs.pb.h"
#include "aibackend/v1/models.pb.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "server/base/status.h"
#include "server/jobs/job.h"
#include "server/models/language_model.h"
#include "server/retrieval/document_store.h"

namespace aibackend::rpc {

inline constexpr int kPageSizeDefault = 100;
inline constexpr int kPageSizeMax = 1000;
inline constexpr int kRetrieveTopKDefault = 5;
inline constexpr int kRetrieveTopKMax = 1000;
inline constexpr size_t kQueryBytesMax = 32 * 1024;

// Retrieval. Errors: FIELD_REQUIRED, FIELD_OUT_OF_RANGE, TOP_K_OUT_OF_RANGE, MODE_UNKNOWN,
// FILTER_INVALID.
absl::StatusOr<retrieval::RetrieveQuery> ToQuery(const v1::RetrieveRequest& request,
                                                 const std::string& tenant);
void Fill(const retrieval::RetrieveResult& result, v1::RetrieveResponse* out);

retrieval::StoredDocument ToDocument(const v1::Document& document);
void Fill(const retrieval::StoredDocument& document, v1::Document* out);
void Fill(const retrieval::AddedDocument& added, v1::AddDocumentsResponse::Added* out);
void FillFailed(const absl::Status& status, v1::AddDocumentsResponse::Added* out);

void Fill(const jobs::Job& job, v1::Job* out);
// `kind`: "chat" or "embedding".
void Fill(const models::ModelInfo& info, const char* kind, bool is_default, v1::Model* out);

// "" is hybrid. Errors: MODE_UNKNOWN.
absl::StatusOr<retrieval::Mode> ModeOf(const std::string& mode, const char* field);

// The least score asked for, or 0. Errors: FIELD_OUT_OF_RANGE.
template <class WithMinScore>
absl::StatusOr<double> MinScoreOf(const WithMinScore& request, const char* field) {
  if (!request.has_min_score()) return 0;
  if (request.min_score() >= 0 && request.min_score() <= 1) return request.min_score();
  return MakeError(Reason::FIELD_OUT_OF_RANGE, "must be from 0 to 1", field);
}

void Fill(const retrieval::CollectionInfo& info, v1::Collection* out);

// The tenant's collection of that name; "" → "default".
retrieval::CollectionId CollectionOf(const std::string& name, const std::string& tenant);

// The page size asked for, or the default. Errors: FIELD_OUT_OF_RANGE.
template <class ListRequest>
absl::StatusOr<int> PageSizeOf(const ListRequest& request) {
  if (!request.has_page_size()) return kPageSizeDefault;
  if (request.page_size() >= 1 && request.page_size() <= kPageSizeMax) return request.page_size();
  return MakeError(Reason::FIELD_OUT_OF_RANGE, "page_size must be from 1 to 1000", "page_size");
}

// To the microsecond, as everything is stored.
void FillTime(absl::Time time, google::protobuf::Timestamp* out);
absl::Time ToTime(const google::protobuf::Timestamp& time);

// A Struct as JSON text, "" for an empty one; and back.
std::string StructToJson(const google::protobuf::Struct& fields);
void JsonToStruct(const std::string& json, google::protobuf::Struct* out);

}  // namespace aibackend::rpc
